"""The loop around a step: where it saves, what it says of a bad batch, how it resumes."""

import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.training.checkpoints import Checkpoints
from facial_jax.training.loop import run_steps

ZERO = {"sum": jnp.float32(0)}


class Numbers:
    """0, 1, 2, … with a position that can be put back."""

    def __init__(self, first=0):
        self.next = first

    def __next__(self):
        self.next += 1
        return self.next - 1

    def __iter__(self):
        return self

    def get_state(self):
        return {"next": self.next}


def run(folder, last, step, *, save_every=3, validate_every=4, first=0, state=None, looks=None):
    seen = [] if looks is None else looks
    checkpoints = Checkpoints(folder, {})
    found = checkpoints.restore(ZERO)
    position = first
    if found is not None:
        state, position = found[0], found[1]["next"]
    try:
        return run_steps(
            step,
            ZERO if state is None else state,
            Numbers(position),
            first=position,
            last=last,
            checkpoints=checkpoints,
            save_every=save_every,
            look_every=2,
            look=lambda done, losses: seen.append((done, losses["loss"])),
            describe=lambda batch: f"number {batch}",
            validate_every=validate_every,
            validate=lambda done, state: seen.append((done, "validated")),
        )
    finally:
        checkpoints.close()


def add(state, batch):
    return {"sum": state["sum"] + batch}, {"loss": np.float32(batch)}


def test_losses_are_averaged_between_looks_and_validation_comes_at_its_steps(tmp_path):
    looks = []
    assert run(tmp_path, 5, add, looks=looks)["sum"] == 0 + 1 + 2 + 3 + 4
    assert looks == [(2, 0.5), (3, 2.0), (4, 3.0), (4, "validated"), (5, 4.0), (5, "validated")]


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
    found, position = checkpoints.restore(ZERO)
    checkpoints.close()
    assert float(found["sum"]) == 0 + 1 + 2 + 3
    assert position == {"next": 4}
