"""Processes that train as one end with what one process ends with, and the first one writes."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tests.many_processes import run_in_processes

TRAIN = """
import dataclasses
from pathlib import Path
import jax
import numpy as np
from tests.models.test_facial_gan_training import CONFIG, train

def train_four_steps(folder):
    options = dict(batch=8, max_steps=4, checkpoint_steps=2, learning_rate=1e-2)
    config = dataclasses.replace(CONFIG, **options)
    return train(folder, config, devices=jax.devices()).variables

def keep(variables, path):
    leaves = jax.tree_util.tree_leaves_with_path(variables)
    np.savez(path, **{jax.tree_util.keystr(name): value for name, value in leaves})
"""
ONE = """
from facial_jax.training.processes import join_processes
join_processes()
assert len(jax.devices()) == 8
keep(train_four_steps(Path({folder!r}) / "run"), Path({folder!r}) / "end_0.npz")
"""
TWO = """
import shutil
from facial_jax.training.processes import first_before_others, is_first, join_processes
join_processes()
assert (jax.process_count(), jax.local_device_count(), len(jax.devices())) == (2, 4, 8)
folder, process = Path({folder!r}), jax.process_index()
keep(train_four_steps(folder / "run"), folder / f"end_{{process}}.npz")
with first_before_others("the last checkpoint is lost"):
    if is_first():
        shutil.copytree(folder / "run", folder / "whole")
        shutil.rmtree(folder / "run" / "checkpoints" / "4")
keep(train_four_steps(folder / "run"), folder / f"resumed_{{process}}.npz")
"""


@pytest.fixture(scope="module")
def ends(tmp_path_factory):
    one, two = (tmp_path_factory.mktemp(name) for name in ("one", "two"))
    run_in_processes(TRAIN + ONE.format(folder=str(one)), 1)
    output = run_in_processes(TRAIN + TWO.format(folder=str(two)), 2)
    return one, two, output


def load(path):
    with np.load(path) as arrays:
        return dict(arrays)


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_two_processes_end_with_the_parameters_and_statistics_of_one(ends):
    one, two, _ = ends
    expected, found = load(one / "end_0.npz"), load(two / "end_0.npz")
    assert any("batch_stats" in name for name in expected)
    assert_same(found, expected)
    assert_same(found, load(two / "end_1.npz"))


def test_processes_go_on_from_their_last_checkpoint_and_end_with_the_same_bits(ends):
    _, two, _ = ends
    for process in range(2):
        assert_same(load(two / f"resumed_{process}.npz"), load(two / "end_0.npz"))


def test_the_first_process_alone_shows_and_writes(ends):
    _, two, (first, second) = ends
    assert "validation" in first
    assert "validation" not in second
    names = {path.name for path in (two / "whole").iterdir()}
    assert names >= {"facial_gan.safetensors", "discriminator.safetensors", "curves_0.png"}
    assert len(list((two / "whole" / "tensorboard").iterdir())) == 1


def test_processes_that_nobody_started_say_what_to_set():
    # In a process of its own: JAX refuses for another reason where it has computed before.
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
    }
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from facial_jax.training import processes as p; p.join_processes()",
        ],
        env=environment | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "ValueError: distributed: expected processes that SLURM" in done.stderr
    assert "or start one process without --distributed" in done.stderr
