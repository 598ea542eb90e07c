"""A batch over many devices gives what one device gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.training.parallel import (
    check_batch_size,
    data_mesh,
    data_parallel,
    replicate,
    split_batch,
)
from tests.eight_devices import run_on_eight_devices

SCRIPT = """
import functools
import jax
import numpy as np
import optax
from facial_jax.training.parallel import AXIS, data_mesh, data_parallel, replicate, split_batch
from tests.models.test_facial_gan_step import StepTask, begin, make_batch
from tests.one_device import device_step, one_device_step

assert len(jax.devices()) == 8
batch, task = make_batch(8), StepTask(optax.sgd(1e-4))
state, step = begin(task, batch), device_step(task)
alone, alone_losses = jax.jit(one_device_step(task))(state, batch)
share = jax.tree.map(lambda x: x.reshape(8, -1, *x.shape[1:]), batch)
pmapped, pmapped_losses = jax.pmap(step, axis_name=AXIS, in_axes=(None, 0, None), out_axes=None)(
    state, share, {}
)
mesh = data_mesh()
mapped, mapped_losses = data_parallel(step, mesh)(
    replicate(state, mesh), split_batch(batch, mesh), {}
)
for a, b in ((alone, alone_losses), (pmapped, pmapped_losses)):
    for one, many in zip(jax.tree.leaves((a, b)), jax.tree.leaves((mapped, mapped_losses))):
        np.testing.assert_allclose(one, many, rtol=2e-3, atol=2e-5)
start = jax.tree.leaves(begin(task, batch).variables["generator"]["params"])
end = jax.tree.leaves(jax.device_get(mapped.variables["generator"]["params"]))
moved = max(np.abs(np.asarray(x) - np.asarray(y)).max() for x, y in zip(start, end))
assert moved > 1e-3, moved
print("the same")
"""


def test_eight_devices_give_the_numbers_of_one_and_of_pmap():
    assert "the same" in run_on_eight_devices(SCRIPT)


def test_a_batch_that_cannot_be_split_evenly_says_so():
    check_batch_size(16, 8)
    with pytest.raises(ValueError, match=r"multiple of the 8 devices, got 20; .* such as 16"):
        check_batch_size(20, 8)


def test_the_mesh_has_one_axis_over_all_devices():
    mesh = data_mesh()
    assert mesh.axis_names == ("data",)
    np.testing.assert_array_equal(mesh.devices, jax.devices())


def test_a_step_uses_up_what_it_is_given_but_nothing_of_its_givers():
    mesh = data_mesh(jax.devices()[:1])
    starting = {"weight": jnp.arange(4.0), "from a file": np.arange(3.0, dtype=np.float32)}
    state = replicate(starting, mesh)

    def step(state, batch, fixed):
        return jax.tree.map(lambda x: x + fixed * batch.sum(), state), {}

    fixed = replicate(np.float32(1), mesh)
    moved, _ = data_parallel(step, mesh)(state, split_batch(np.ones(2, np.float32), mesh), fixed)
    assert not fixed.is_deleted()
    assert state["weight"].is_deleted()
    np.testing.assert_array_equal(moved["weight"], [2, 3, 4, 5])
    np.testing.assert_array_equal(starting["weight"], [0, 1, 2, 3])
    np.testing.assert_array_equal(starting["from a file"], [0, 1, 2])
