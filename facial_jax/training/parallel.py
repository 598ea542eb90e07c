"""One training step on every device of a mesh, each with its share of the batch."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from facial_jax.compilation import jit

AXIS = "data"
"""The mesh's one axis: over it steps average their gradients (`lax.pmean`)."""


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A 1-D mesh of these devices, or of all."""
    return Mesh(np.asarray(jax.devices() if devices is None else devices), (AXIS,))


def data_parallel(step: Callable[[Any, Any], tuple[Any, Any]], mesh: Mesh) -> Callable:
    """The step of one device, compiled for all devices of the mesh.

    Args:
        step: (state, batch) to (state, metrics); what it returns is the same on every device
            because it averages gradients, batch statistics and metrics over `AXIS`.
        mesh: from `data_mesh`.

    Returns:
        The same function of the whole batch, whose leaves are split along their first axis. The
        state that it is given is used up.
    """
    split = PartitionSpec(AXIS)
    # Like pmap, without the check of what varies over devices: it would sum the gradients itself.
    mapped = jax.shard_map(
        step,
        mesh=mesh,
        in_specs=(PartitionSpec(), split),
        out_specs=(PartitionSpec(), PartitionSpec()),
        check_vma=False,
    )
    return jit(mapped, donate_argnums=0)


def replicate(tree: Any, mesh: Mesh) -> Any:
    """The tree on every device."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def split_batch(batch: Any, mesh: Mesh) -> Any:
    """The batch, its first axis split over the devices.

    Raises:
        ValueError: the batch cannot be split evenly.
    """
    check_batch_size(jax.tree.leaves(batch)[0].shape[0], mesh.size)
    return jax.device_put(batch, NamedSharding(mesh, PartitionSpec(AXIS)))


def check_batch_size(batch: int, devices: int) -> None:
    """Raises ValueError where a batch of so many cannot be split evenly over the devices."""
    if batch % devices:
        raise ValueError(
            f"batch: expected a multiple of the {devices} devices, got {batch}; choose another "
            f"batch size, such as {max(1, batch // devices) * devices}, or fewer devices"
        )
