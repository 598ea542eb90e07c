"""Batches cut on the devices are those cut on the host; data lie there only where they fit."""

from unittest import mock

import chex
import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from facial_jax.training.batches import Batches, fits_on_devices
from facial_jax.training.parallel import data_mesh
from tests.eight_devices import run_on_eight_devices

DATA = np.arange(40, dtype=np.uint8).reshape(20, 2)


def draw(step):
    return {"place": np.random.default_rng(step).integers(0, 20, 8).astype(np.int32)}


def cut(data, places):
    return {"rows": data[places["place"]], "place": places["place"]}


def make(resident, mesh=None):
    mesh = mesh or data_mesh(jax.devices()[:1])
    return Batches(draw, cut, DATA, mesh=mesh, size=8, resident=resident)


@pytest.mark.parametrize("resident", [True, False])
def test_batches_come_in_order_from_any_step_on(resident):
    batches = make(resident)
    found = list(batches.between(3, 9))
    assert [batch.step for batch in found] == list(range(3, 9))
    for step, batch in found:
        expected = cut(DATA, draw(step))
        chex.assert_trees_all_equal(batch, expected)
        chex.assert_trees_all_equal(batches[step].batch, expected)
        assert all(isinstance(x, jax.Array) for x in jax.tree.leaves(batch))


def test_what_goes_wrong_in_a_thread_is_told():
    def broken(step):
        if step == 2:
            raise OSError("the disk is gone")
        return draw(step)

    mesh = data_mesh(jax.devices()[:1])
    batches = Batches(broken, cut, DATA, mesh=mesh, size=8, resident=False)
    with pytest.raises(OSError, match="the disk is gone"):
        list(batches.between(0, 4))


def test_data_lie_on_devices_where_half_of_the_free_memory_holds_them():
    def mesh_of(*memories):
        devices = [mock.Mock(memory_stats=mock.Mock(return_value=m)) for m in memories]
        return mock.Mock(spec=Mesh, local_devices=devices)

    roomy, full = {"bytes_limit": 100, "bytes_in_use": 20}, {"bytes_limit": 90, "bytes_in_use": 20}
    assert fits_on_devices(40, mesh_of(roomy))
    assert not fits_on_devices(41, mesh_of(roomy))
    assert not fits_on_devices(40, mesh_of(roomy, full))
    assert fits_on_devices(10**12, mesh_of(None))  # a CPU


def test_a_batch_that_cannot_be_split_says_so_before_it_is_drawn():
    mesh = mock.Mock(spec=Mesh, size=3)
    with pytest.raises(ValueError, match="multiple of the 3 devices, got 8"):
        make(False, mesh)


EIGHT = """
import chex
import jax
import numpy as np
from facial_jax.training.parallel import data_mesh
from tests.training.test_batches import DATA, cut, draw, make

for resident in (True, False):
    for step, batch in make(resident, data_mesh()).between(0, 3):
        chex.assert_trees_all_equal(batch, cut(DATA, draw(step)))
        assert all(len(x.sharding.device_set) == 8 for x in jax.tree.leaves(batch))
        assert all(x.addressable_shards[3].data.shape[0] == 1 for x in jax.tree.leaves(batch))
print("the same")
"""


def test_eight_devices_cut_an_eighth_each():
    assert "the same" in run_on_eight_devices(EIGHT)
