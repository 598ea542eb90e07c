"""A toy task through `fit`: killed, resumed to the last bit, refused, stopped, exported."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import chex
import jax
import numpy as np
import pytest

from facial_jax.models.layers.parameters import load_variables
from facial_jax.training.fit import fit
from tests.eight_devices import eight_devices, run_on_eight_devices
from tests.training.toy_task import ToyTask

ROOT = Path(__file__).resolve().parents[2]
PROVENANCE = {"seed": 0, "data": "a" * 64}


def train(folder, *, task=None, provenance=None, devices=None, **options):
    return fit(
        ToyTask() if task is None else task,
        folder=None if folder is None else Path(folder),
        provenance=provenance or PROVENANCE,
        # Bits are compared: GPUs sum in any order.
        devices=devices or jax.local_devices(backend="cpu")[:1],
        progress=False,
        **options,
    )


def assert_same(a, b):
    chex.assert_trees_all_equal(a, b)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder, said = tmp_path_factory.mktemp("whole") / "run", []
    return train(folder, say=said.append), folder, said


def test_the_toy_is_short_and_learns():
    lines = (ROOT / "tests" / "training" / "toy_task.py").read_text().splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith("class ToyTask"))
    assert len(lines) - begin < 50
    task = ToyTask()
    task.steps = 200
    found = train(None, task=task)["line"]["params"]
    np.testing.assert_allclose(found["kernel"], [[2], [-1]], atol=0.05)
    np.testing.assert_allclose(found["bias"], [3], atol=0.05)


def test_a_run_leaves_what_the_library_loads_and_shows_its_validations(whole):
    variables, folder, said = whole
    exported, _ = load_variables(folder / "line.safetensors")
    assert_same(exported, variables["average"])
    assert np.abs(variables["average"]["params"]["bias"] - variables["line"]["params"]["bias"]) > 0
    assert [line.split(":")[0] for line in said] == ["step 5", "step 10", "step 12"]
    pictures = sorted(path.name for path in folder.glob("*.png"))
    assert pictures == ["line_000005.png", "line_000010.png", "line_000012.png"]
    assert list((folder / "tensorboard").iterdir())
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["11", "12"]


def test_a_run_without_a_folder_ends_with_the_same_bits(whole):
    assert_same(train(None), whole[0])


SLOW = """
import sys, time
import jax
from tests.training.test_fit import save_leaves, train
from tests.training.toy_task import ToyTask

class Slow(ToyTask):
    def draw(self, step):
        time.sleep(0.3 * (step >= 6))  # so that it is killed before the end
        return super().draw(step)

"""


def kill_when_saved(script, folder, step, environment=None):
    """Runs a training, and kills it once its folder has the checkpoint of this step."""
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 300
    while not (folder / "checkpoints" / str(step)).exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / "line.safetensors").exists()
    saved = [int(path.name) for path in (folder / "checkpoints").iterdir() if path.name.isdigit()]
    assert step <= max(saved) < ToyTask.steps


def test_a_killed_run_ends_with_the_same_bits(whole, tmp_path):
    kill_when_saved(f"{SLOW}train({str(tmp_path)!r}, task=Slow())", tmp_path, 4)
    assert_same(train(tmp_path), whole[0])


def save_leaves(variables, path):
    leaves = jax.tree_util.tree_leaves_with_path(variables)
    np.savez(path, **{jax.tree_util.keystr(name): value for name, value in leaves})


def test_a_killed_run_on_eight_devices_ends_with_the_same_bits(whole, tmp_path):
    def script(folder, task="ToyTask"):
        run, end = str(tmp_path / folder), str(tmp_path / f"{folder}.npz")
        return (
            f"{SLOW}assert len(jax.devices()) == 8\n"
            f"save_leaves(train({run!r}, task={task}(), devices=jax.devices()), {end!r})"
        )

    run_on_eight_devices(script("whole"))
    kill_when_saved(script("parts", "Slow"), tmp_path / "parts", 4, eight_devices())
    run_on_eight_devices(script("parts"))
    save_leaves(whole[0], tmp_path / "one.npz")
    ends = [dict(np.load(tmp_path / f"{name}.npz")) for name in ("whole", "parts", "one")]
    assert_same(ends[0], ends[1])
    chex.assert_trees_all_close(ends[0], ends[2], rtol=1e-5)


def test_a_stopped_run_goes_on_and_exports_only_at_the_end(whole, tmp_path):
    train(tmp_path, stop_after=7)
    assert not (tmp_path / "line.safetensors").exists()
    assert_same(train(tmp_path), whole[0])
    assert (tmp_path / "line.safetensors").exists()


def test_a_finished_run_is_not_trained_again(whole):
    class Unused(ToyTask):
        def draw(self, step):
            assert step == 0  # for the shapes
            return super().draw(step)

    assert_same(train(whole[1], task=Unused()), whole[0])


@pytest.mark.parametrize(
    ("provenance", "message"),
    [
        ({"seed": 1, "data": "a" * 64}, r"another provenance \(seed: 0 there, 1 here\)"),
        (PROVENANCE | {"data": "b" * 64}, r"data: aaaaaaaaaaaa… there, bbbbbbbbbbbb… here"),
        (PROVENANCE | {"start": "c"}, r"start: nothing there, 'c' here"),
    ],
)
def test_a_checkpoint_of_another_provenance_is_refused(whole, provenance, message):
    with pytest.raises(ValueError, match=message):
        train(whole[1], provenance=provenance)


def test_a_second_training_in_one_folder_is_refused(tmp_path):
    class Second(ToyTask):
        def draw(self, step):
            if step == 3:
                with pytest.raises(BlockingIOError, match="another process is at work"):
                    train(tmp_path)
            return super().draw(step)

    train(tmp_path, task=Second())


def test_a_folder_needs_a_provenance(tmp_path):
    with pytest.raises(ValueError, match="provenance: expected what the result depends on"):
        fit(ToyTask(), folder=tmp_path)


def test_a_loss_that_is_not_finite_stops_and_names_step_and_batch(tmp_path):
    task = ToyTask()
    task.broken_at = 6
    with pytest.raises(FloatingPointError, match=r"step 7: .*error nan; the batch: number 6"):
        train(tmp_path, task=task)
    assert max(int(path.name) for path in (tmp_path / "checkpoints").iterdir()) <= 6
    assert not (tmp_path / "line.safetensors").exists()
