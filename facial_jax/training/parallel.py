"""One training step on every device of a mesh, each with its share of the batch."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from facial_jax.compilation import jit

AXIS = "data"
"""The mesh's one axis: over it steps average their gradients (`lax.pmean`)."""


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A 1-D mesh of these devices, or of all, those of other processes included."""
    return Mesh(np.asarray(jax.devices() if devices is None else devices), (AXIS,))


def data_parallel(step: Callable[[Any, Any, Any], tuple[Any, Any]], mesh: Mesh) -> Callable:
    """The step of one device, compiled for all devices of the mesh.

    Args:
        step: (state, batch, fixed) to (state, metrics); what it returns is the same on every device
            because it averages gradients, batch statistics and metrics over `AXIS`.
        mesh: from `data_mesh`.

    Returns:
        The same function of the whole batch, whose leaves are split along their first axis. The
        state that it is given is used up; what is fixed is not.
    """
    mapped = jax.shard_map(
        step,
        mesh=mesh,
        in_specs=(PartitionSpec(), PartitionSpec(AXIS), PartitionSpec()),
        out_specs=PartitionSpec(),
        # Like pmap, without the check of what varies over devices: it would sum the gradients
        # itself.
        check_vma=False,
    )
    return jit(mapped, donate_argnums=0)


def cut_on_devices(cut: Callable[[Any, Any], Any], mesh: Mesh) -> Callable:
    """A function that makes batches of data, compiled for all devices of the mesh.

    Args:
        cut: (data, places) to a batch; both have the batch as their first axis.
        mesh: from `data_mesh`.

    Returns:
        The same function of data that are whole on every device (`replicate`) and of places split
        over them (`split_batch`), as the batch will be.
    """
    specs = PartitionSpec(), PartitionSpec(AXIS)
    return jit(jax.shard_map(cut, mesh=mesh, in_specs=specs, out_specs=PartitionSpec(AXIS)))


def replicate(tree: Any, mesh: Mesh) -> Any:
    """The tree on every device; every process gives the same one.

    Steps may use it up: nothing of it is the memory of an array that was given.
    """
    placed = jax.make_array_from_process_local_data(NamedSharding(mesh, PartitionSpec()), tree)
    return jax.tree.map(lambda new, old: jnp.copy(new) if _shared(new, old) else new, placed, tree)


def _shared(new: jax.Array, old: Any) -> bool:
    if not isinstance(old, jax.Array):
        return False
    begins = [
        {shard.data.unsafe_buffer_pointer() for shard in array.addressable_shards}
        for array in (new, old)
    ]
    return not begins[0].isdisjoint(begins[1])


def local_copy(tree: Any) -> Any:
    """A replicated tree on one device of this process, which no other process need know of."""
    return jax.tree.map(lambda x: x.addressable_data(0), tree)


def split_batch(batch: Any, mesh: Mesh) -> Any:
    """The batch, its first axis split over the devices; each process gives its `own_rows`.

    Raises:
        ValueError: the batch cannot be split evenly.
    """
    check_batch_size(jax.tree.leaves(batch)[0].shape[0], len(mesh.local_devices))
    return jax.make_array_from_process_local_data(NamedSharding(mesh, PartitionSpec(AXIS)), batch)


def own_rows(batch: int, mesh: Mesh) -> np.ndarray:
    """Which of the `batch` rows belong to the devices of this process, in their order.

    Raises:
        ValueError: the batch cannot be split evenly.
    """
    check_batch_size(batch, mesh.size)
    own = [device.process_index == jax.process_index() for device in mesh.devices.flat]
    return np.flatnonzero(np.repeat(own, batch // mesh.size))


def check_batch_size(batch: int, devices: int) -> None:
    """Raises ValueError if `batch` rows cannot be split evenly over the devices."""
    if batch % devices:
        raise ValueError(
            f"batch: expected a multiple of the {devices} devices, got {batch}; choose another "
            f"batch size, such as {max(1, batch // devices) * devices}, or fewer devices"
        )
