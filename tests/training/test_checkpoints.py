"""Checkpoints come back as they were, whenever the training was killed."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.training.checkpoints import Checkpoints

PROVENANCE = {"seed": 0, "batch.size": 4}


def state(value):
    return {"w": jnp.full((3, 2), value, jnp.float32), "step": jnp.asarray(value, jnp.int32)}


def test_the_last_state_comes_back(tmp_path):
    checkpoints = Checkpoints(tmp_path, PROVENANCE)
    assert checkpoints.restore(state(0)) is None
    for step in (1, 2, 3):
        checkpoints.save(step, state(step))
    checkpoints.close()
    again = Checkpoints(tmp_path, PROVENANCE)
    found = again.restore(state(0))
    np.testing.assert_array_equal(found["w"], np.full((3, 2), 3.0, np.float32))
    assert found["step"].dtype == jnp.int32
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir()) == ["2", "3"]
    again.close()


def test_a_checkpoint_of_another_provenance_is_refused(tmp_path):
    first = Checkpoints(tmp_path, PROVENANCE)
    first.save(1, state(1))
    first.close()
    other = Checkpoints(tmp_path, {"seed": 0, "batch.size": 8})
    with pytest.raises(ValueError, match=r"another provenance .*batch.size: 4 there, 8 here"):
        other.restore(state(0))


def test_a_process_killed_while_saving_leaves_a_whole_checkpoint(tmp_path):
    script = f"""
import jax.numpy as jnp
from facial_jax.training.checkpoints import Checkpoints
from tests.training.test_checkpoints import PROVENANCE, state
checkpoints = Checkpoints({str(tmp_path / "run")!r}, PROVENANCE)
found = checkpoints.restore(state(0))
step = 0 if found is None else int(found["step"])
print("saving", flush=True)
while True:
    step += 1
    checkpoints.save(step, state(step))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[2],
    )
    process.stdout.readline()
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / "3").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    found = Checkpoints(tmp_path / "run", PROVENANCE).restore(state(0))
    step = int(found["step"])
    assert step >= 3
    np.testing.assert_array_equal(found["w"], state(step)["w"])
