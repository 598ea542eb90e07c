"""A training's batches: out of data that lie on the devices, or made ahead by threads.

A batch follows from its step's number alone, in two stages. `draw` chooses what it is made of: a
few numbers and indices, NumPy arrays whose first axis is the batch. `cut` makes the batch of them.
If the data fit beside the networks, they are put on every device once, and cut there: a step is
sent nothing but what was drawn. Otherwise batches are cut on the host. Either way threads
work some steps ahead, and in a training of many processes each makes its own rows only.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import grain
import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from facial_jax.training.checks import check_rows
from facial_jax.training.parallel import cut_on_devices, own_rows, replicate, split_batch

THREADS = 4
STEPS_AHEAD = 8
_SHARE_OF_FREE_MEMORY = 0.5
# The rest is for activations and gradients.


class StepBatch(NamedTuple):
    """A training step's batch, split over the devices, and the step's number, 0 the first."""

    step: int
    batch: Any


class Batches:
    """The batches of a training, one for each step."""

    def __init__(
        self,
        draw: Callable[[int], Any],
        cut: Callable[[Any, Any], Any],
        data: Any,
        *,
        mesh: Mesh,
        size: int,
        resident: bool,
    ):
        """Batches of `size` rows, of which each process makes its own.

        Args:
            draw: step number to places; called by threads.
            cut: (data, places) to a batch. Resident data and places are JAX's, inside jit; others
                are as they were given, and it is called by threads.
            data: a tree of arrays if resident.
            mesh: from `data_mesh`.
            size: of a batch, over all devices.
            resident: the data are put on the devices, such as if `fits_on_devices` says so.

        Raises:
            ValueError: a batch cannot be split evenly over the devices.
        """
        self._draw, self._mesh, self._rows = draw, mesh, own_rows(size, mesh)
        self._size = size
        if resident:
            on_devices, compiled = replicate(data, mesh), cut_on_devices(cut, mesh)
            self._prepare = lambda places: places
            self._finish = lambda places: compiled(on_devices, places)
        else:
            self._prepare = lambda places: cut(data, places)
            self._finish = lambda batch: batch

    def __getitem__(self, step: int) -> StepBatch:
        """The batch of one step."""
        return StepBatch(step, self._finish(self._place(self._draw(step))))

    def row(self) -> Any:
        """One row of zeros, shaped as those of the batches: for networks' initialisation.

        Raises:
            ValueError: the first batch, or what is drawn for it, has not `size` rows.
        """
        drawn = self._draw(0)
        check_rows("draw", drawn, self._size)
        batch = self._finish(self._place(drawn))
        check_rows("cut", batch, self._size)
        return jax.tree.map(lambda x: jnp.zeros((1, *x.shape[1:]), x.dtype), batch)

    def between(self, first: int, last: int) -> Iterator[StepBatch]:
        """The batches of the steps `first` … `last` − 1, some of them made ahead."""
        steps = grain.MapDataset.range(first, last).map(lambda step: self._place(self._draw(step)))
        ahead = steps.to_iter_dataset(grain.ReadOptions(THREADS, STEPS_AHEAD))
        # Threads send arrays, but start no computations: these come in one order everywhere.
        for step, placed in enumerate(ahead, first):
            yield StepBatch(step, self._finish(placed))

    def _place(self, drawn: Any) -> Any:
        own = jax.tree.map(lambda x: x[self._rows], drawn)
        return split_batch(self._prepare(own), self._mesh)


def fits_on_devices(size_bytes: int, mesh: Mesh) -> bool:
    """Whether data of this size may lie on every device: they fill half of what is free at most.

    On a CPU they always do. Processes that train together come to one answer.
    """
    free = min(_free_bytes(device.memory_stats()) for device in mesh.local_devices)
    fits = size_bytes <= _SHARE_OF_FREE_MEMORY * free
    if jax.process_count() > 1:
        return bool(np.all(multihost_utils.process_allgather(np.array(fits))))
    return fits


def _free_bytes(memory: dict[str, int] | None) -> float:
    if memory is None or "bytes_limit" not in memory:
        return float("inf")
    return float(memory["bytes_limit"] - memory["bytes_in_use"])
