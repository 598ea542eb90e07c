"""How benchmarks measure, and the table that they print."""

import importlib.metadata
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import numpy as np

NAME_WIDTH = 58
LIBRARIES = ("jax", "jaxlib", "flax", "torch", "nvdiffrast")


class CannotRunError(Exception):
    """What a benchmark needs is not here; the message says what."""


@dataclass(frozen=True)
class Row:
    """What one thing takes, a line of the table."""

    name: str
    wall_s: float
    """Median of a call, results waited for."""
    processor_s: float | None = None
    """Processor time of all threads of this process together: other programs disturb it less."""
    compile_s: float | None = None
    """By how much the first call takes longer."""
    items: int = 1
    """Made by a call; the table has the time of one."""
    memory_mib: float | None = None

    def __str__(self) -> str:
        processor = "" if self.processor_s is None else _duration(self.processor_s / self.items)
        compiling = "" if self.compile_s is None else f"{self.compile_s:.1f} s"
        memory = "" if self.memory_mib is None else f"{self.memory_mib:.1f} MiB"
        line = (
            f"  {self.name:<{NAME_WIDTH}}{_duration(self.wall_s / self.items):>11}{processor:>12}"
            f"{self.items / self.wall_s:>14,.2f}{compiling:>12}{memory:>13}"
        )
        return line.rstrip()


def header() -> str:
    """The columns of the table."""
    return (
        f"  {'median':<{NAME_WIDTH}}{'wall clock':>11}{'processor':>12}{'a second':>14}"
        f"{'compiling':>12}{'memory':>13}"
    )


def _duration(seconds: float) -> str:
    if seconds < 0.01:
        return f"{1e3 * seconds:.3f} ms"
    return f"{1e3 * seconds:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def measure(name: str, function: Callable, *arguments: Any, repeats: int, items: int = 1) -> Row:
    """Calls the function once to compile it, and then `repeats` times."""

    def timed() -> tuple[float, float]:
        began, began_processor = time.perf_counter(), time.process_time()
        jax.block_until_ready(function(*arguments))
        return time.perf_counter() - began, time.process_time() - began_processor

    first_s = timed()[0]
    wall, processor = zip(*(timed() for _ in range(repeats)), strict=True)
    wall_s = statistics.median(wall)
    return Row(name, wall_s, statistics.median(processor), max(0.0, first_s - wall_s), items)


def random_variables(module: nn.Module, *inputs: Any) -> Any:
    """A module's variables without compiling its initialisation; normal noise, statistics of 1."""
    shapes = jax.eval_shape(module.init, jax.random.key(0), *inputs)
    largest = max(leaf.size for leaf in jax.tree.leaves(shapes))
    noise = np.random.default_rng(0).normal(0, 0.02, largest).astype(np.float32)

    def draw(path, leaf):
        if path[0].key == "batch_stats":
            return jax.device_put(np.ones(leaf.shape, np.float32))
        return jax.device_put(noise[: leaf.size].reshape(leaf.shape))

    return jax.tree_util.tree_map_with_path(draw, shapes)


def machine() -> str:
    """The device, the processor and the versions, in two lines."""
    device = jax.devices()[0]
    versions = [f"python {platform.python_version()}"]
    for library in LIBRARIES:
        try:
            versions.append(f"{library} {importlib.metadata.version(library)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    cores = len(os.sched_getaffinity(0))
    return (
        f"{device.device_kind} ({device.platform}), {cores} processor cores, {platform.machine()}\n"
        f"{', '.join(versions)}"
    )


def device_slug() -> str:
    """The device's name as part of a file's: `2_cpu_cores`, `nvidia_h100_80gb_hbm3`."""
    device = jax.devices()[0]
    if device.platform == "cpu":
        return f"{len(os.sched_getaffinity(0))}_cpu_cores"
    words = "".join(c if c.isalnum() else " " for c in device.device_kind.lower()).split()
    return "_".join(words)


def shown(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows, each printed when it is there."""
    for row in rows:
        print(row, flush=True)
        yield row


def print_table(rows: Iterable[Row]) -> None:
    """What a benchmark prints that is run by itself; ends the program if it cannot run."""
    print(f"{machine()}\n\n{header()}")
    try:
        for _ in shown(rows):
            pass
    except CannotRunError as error:
        sys.exit(f"not run: {error}")
