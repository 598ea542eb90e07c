"""The loop around a training step: checkpoints, exact resume, and a stop where numbers go wrong."""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

from facial_jax.training.checkpoints import Checkpoints


def run_steps(
    step: Callable[[Any, Any], tuple[Any, dict[str, Any]]],
    state: Any,
    batches: Iterable,
    *,
    first: int,
    last: int,
    checkpoints: Checkpoints,
    save_every: int,
    look_every: int,
    look: Callable[[int, dict[str, float]], None],
    describe: Callable[[Any], str],
    validate_every: int,
    validate: Callable[[int, Any], None],
) -> Any:
    """Trains from step `first` to step `last`.

    Args:
        step: (state, batch) to (state, losses).
        state: after `first` steps.
        batches: an iterator with `get_state()`, at batch number `first`.
        first: steps done.
        last: steps to be done in all.
        checkpoints: where the state goes.
        save_every: steps between checkpoints; there is one at the end too.
        look_every: steps between looks at the losses; on accelerators each look waits for them.
        look: is told the number of steps done and the losses, averaged since the last look.
        describe: what a batch is made of, for the message where a loss is not finite.
        validate_every: steps between validations; there is one at the end too.
        validate: is told the number of steps done and the state.

    Returns:
        The state after `last` steps.

    Raises:
        FloatingPointError: a loss is not finite; says which, in which step, of which batch. No
            state after that step was saved.
    """
    pending = []
    for done in range(first + 1, last + 1):
        batch = next(batches)
        state, losses = step(state, batch)
        pending.append((done, losses, describe(batch)))
        saves, validates = (done % n == 0 or done == last for n in (save_every, validate_every))
        if saves or validates or done % look_every == 0:
            look(done, _mean_losses(pending))
            pending = []
        if validates:
            validate(done, state)
        if saves:
            checkpoints.save(done, state, batches.get_state())
    return state


def _mean_losses(pending: list[tuple[int, dict[str, Any], str]]) -> dict[str, float]:
    values = jax.device_get([losses for _, losses, _ in pending])
    for (done, _, description), losses in zip(pending, values, strict=True):
        wrong = {name: float(value) for name, value in losses.items() if not np.isfinite(value)}
        if wrong:
            named = ", ".join(f"{name} {value}" for name, value in wrong.items())
            raise FloatingPointError(
                f"step {done}: expected finite losses, got {named}; the batch: {description}"
            )
    return {name: float(np.mean([losses[name] for losses in values])) for name in values[0]}
