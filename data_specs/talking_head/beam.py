"""One function applied to many items on Apache Beam, each in a process that may die.

A worker that tracks videos holds decoders and networks in native code, which a damaged file can
crash and a large one can fill the memory with. So each of Beam's threads has a process of its own
and gives it one item at a time; if it dies, the item gets its reason and a new process the next
item.
"""

import concurrent.futures.process
import multiprocessing
from collections.abc import Callable, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from data_specs.processes import begin_worker

Function = Callable[[Any], None]
Died = Callable[[Any, str], None]


def local_options(workers: int) -> list[str]:
    """Beam's options for `workers` processes on this machine."""
    return [
        "--runner=FnApiRunner",
        "--direct_running_mode=multi_threading",
        f"--direct_num_workers={workers}",
    ]


def for_each(function: Function, died: Died, items: Sequence, options: Sequence[str]) -> None:
    """Calls `function(item)` for every item, in no order, and waits for the last.

    What the function finds is what it writes to files that all workers and the caller see.

    Args:
        function: of a module that can be imported, as are the items' types. What it raises ends
            the whole pipeline.
        died: called with the item and what happened, when the function's process has died.
        items: what is to be done.
        options: Beam's, such as `local_options(4)`, or ["--runner=FlinkRunner", …].
    """
    with beam.Pipeline(options=PipelineOptions(list(options))) as pipeline:
        _ = (
            pipeline
            | "items" >> beam.Create(list(items))
            | "spread" >> beam.Reshuffle()
            | "each in a process" >> beam.ParDo(_InProcess(function, died))
        )


class _InProcess(beam.DoFn):
    """Beam makes one for each of its threads."""

    def __init__(self, function: Function, died: Died):
        self._function, self._died = function, died

    def setup(self):
        # A fresh process: a fork of one that runs JAX or gRPC may hang.
        context = multiprocessing.get_context("spawn")
        self._executor = concurrent.futures.ProcessPoolExecutor(
            1, mp_context=context, initializer=begin_worker
        )

    def process(self, item):
        try:
            self._executor.submit(self._function, item).result()
        except concurrent.futures.process.BrokenProcessPool:
            self._died(
                item,
                "the process that tracked it was ended by the system: it ran out of memory, or a "
                "decoder crashed on a damaged file",
            )
            self.setup()

    def teardown(self):
        self._executor.shutdown()
