"""The loop around a step: where it saves, what it says of a bad batch, how it resumes."""

import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.training.checkpoints import Checkpoints
from facial_jax.training.loop import STEPS_IN_FLIGHT, run_steps

ZERO = {"sum": jnp.float32(0), "done": jnp.int32(0)}


def run(folder, last, step, *, save_every=3, validate_every=4, first=0, state=None, shown=None):
    seen = [] if shown is None else shown
    checkpoints = Checkpoints(folder, {})
    found = checkpoints.restore(ZERO)
    if found is not None:
        state, first = found, int(found["done"])
    try:
        return run_steps(
            step,
            ZERO if state is None else state,
            range(first, last),
            first=first,
            last=last,
            save=checkpoints.save,
            save_every=save_every,
            show_every=2,
            show=lambda done, losses: seen.append((done, losses["loss"])),
            describe=lambda step: f"number {step}",
            validate_every=validate_every,
            validate=lambda done, state: seen.append((done, "validated")),
        )
    finally:
        checkpoints.close()


def add(state, batch):
    state = {"sum": state["sum"] + batch, "done": state["done"] + 1}
    return state, {"loss": np.float32(batch)}


def test_losses_are_shown_averaged_and_validation_comes_at_its_steps(tmp_path):
    shown = []
    assert run(tmp_path, 5, add, shown=shown)["sum"] == 0 + 1 + 2 + 3 + 4
    assert shown == [(2, 0.5), (3, 2.0), (4, 3.0), (4, "validated"), (5, 4.0), (5, "validated")]


def test_a_stopped_run_goes_on_with_the_batch_that_comes_next(tmp_path):
    class StopError(Exception):
        pass

    def stopping(state, batch):
        if batch == 4:
            raise StopError
        return add(state, batch)

    with pytest.raises(StopError):
        run(tmp_path, 7, stopping)
    assert run(tmp_path, 7, add)["sum"] == sum(range(7))


def test_a_loss_that_is_not_finite_names_step_and_batch_and_saves_nothing(tmp_path):
    def breaking(state, batch):
        return add(state, batch)[0], {"loss": np.float32(np.nan if batch == 4 else 1), "other": 1.0}

    with pytest.raises(FloatingPointError, match=r"step 5: .* got loss nan; the batch: number 4"):
        run(tmp_path, 9, breaking, save_every=1)
    checkpoints = Checkpoints(tmp_path, {})
    found = checkpoints.restore(ZERO)
    checkpoints.close()
    assert float(found["sum"]) == 0 + 1 + 2 + 3
    assert int(found["done"]) == 4


def test_a_loss_is_asked_for_only_once_some_more_steps_were_begun(tmp_path):
    begun, asked = [], []

    class Loss:
        """Stands for a number that an accelerator may not have computed yet."""

        def __init__(self, step):
            self.step = step

        def __array__(self, dtype=None, copy=None):
            asked.append((self.step, len(begun)))
            return np.asarray(self.step, np.float32)

    def step(state, batch):
        begun.append(batch)
        return add(state, batch)[0], {"loss": Loss(batch)}

    shown = []
    run(tmp_path, 30, step, save_every=100, validate_every=20, shown=shown)
    ahead = [min(n + STEPS_IN_FLIGHT + 1, 20 if n < 20 else 30) for n in range(30)]
    assert asked == list(enumerate(ahead))
    assert [done for done, _ in shown] == [*range(2, 21, 2), 20, *range(22, 31, 2), 30]
    assert shown[:2] == [(2, 0.5), (4, 2.5)]


def test_a_bad_loss_of_a_step_begun_long_ago_stops_before_the_checkpoint(tmp_path):
    def breaking(state, batch):
        return add(state, batch)[0], {"loss": jnp.float32(np.inf if batch == 4 else 1)}

    with pytest.raises(FloatingPointError, match=r"step 5: .* got loss inf; the batch: number 4"):
        run(tmp_path, 9, breaking, save_every=7, validate_every=100)
    checkpoints = Checkpoints(tmp_path, {})
    assert checkpoints.restore(ZERO) is None
    checkpoints.close()
