"""Steps that are quickly compiled; a task's step on one device that keeps the state it is given."""

import contextlib
import functools
from unittest import mock

import jax
from jax.sharding import PartitionSpec

from facial_jax.training import parallel
from facial_jax.training.parallel import AXIS, data_mesh
from facial_jax.training.step import train_step
from tests.programs import QUICK


def device_step(task, *, phase=None):
    """(state, batch, fixed) to (state, metrics), inside a mapping over `AXIS`."""
    return functools.partial(train_step, task=task, optimizers=task.optimizers(), phase=phase)


def one_device_step(task, *, phase=None):
    """(state, batch) to (state, metrics), not compiled."""
    mapped = jax.shard_map(
        device_step(task, phase=phase),
        mesh=data_mesh(jax.devices()[:1]),
        in_specs=(PartitionSpec(), PartitionSpec(AXIS), PartitionSpec()),
        out_specs=PartitionSpec(),
        check_vma=False,
    )
    return lambda state, batch: mapped(state, batch, task.fixed)


def compiled_one_device_step(task, *, phase=None):
    """(state, batch) to (state, metrics)."""
    return jax.jit(one_device_step(task, phase=phase), compiler_options=QUICK)


@contextlib.contextmanager
def quickly_compiled():
    """In it, the steps of whole trainings are compiled as here."""
    quick = functools.partial(jax.jit, compiler_options=QUICK)
    with mock.patch.object(parallel, "jit", quick):
        yield
