"""The loop around a training step: checkpoints, exact resume, and a stop where numbers go wrong."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import numpy as np

from facial_jax.training.batches import Batches
from facial_jax.training.checkpoints import Checkpoints

STEPS_IN_FLIGHT = 8
"""How many steps an accelerator may be told of before it has done them: enough that it never waits
for the host, few enough that their batches need little memory."""


class Training(NamedTuple):
    """What a training is made of, before its first step."""

    state: Any
    # on the devices, at step 0
    step: Callable[[Any, Any], tuple[Any, dict[str, Any]]]
    # (state, batch) to (state, losses); may use up the state that it is given
    batches: Batches
    steps: int
    # to be done in all
    describe: Callable[[int], str]
    # what the batch of the step of this number (0 the first) is made of


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
    describe: Callable[[int], str],
    validate_every: int,
    validate: Callable[[int, Any], None],
) -> Any:
    """Trains from step `first` to step `last`.

    Steps are begun before the ones before them are done, up to `STEPS_IN_FLIGHT`. Their losses are
    looked at as they arrive, all of them before a validation and before a checkpoint.

    Args:
        step: (state, batch) to (state, losses).
        state: after `first` steps.
        batches: of the steps from number `first` on.
        first: steps done.
        last: steps to be done in all.
        checkpoints: where the state goes.
        save_every: steps between checkpoints; there is one at the end too.
        look_every: steps between looks at the losses.
        look: is told a number of steps done and the losses, averaged since the last look.
        describe: what the batch of the step of this number (0 the first) is made of, for the
            message where a loss is not finite.
        validate_every: steps between validations; there is one at the end too.
        validate: is told the number of steps done and the state.

    Returns:
        The state after `last` steps.

    Raises:
        FloatingPointError: a loss is not finite; says which, in which step, of which batch. No
            state after that step was saved.
    """
    losses_seen = _Losses(look_every, look, describe)
    for done, batch in zip(range(first + 1, last + 1), batches, strict=True):
        state, losses = step(state, batch)
        losses_seen.expect(done, losses)
        saves, validates = (done % n == 0 or done == last for n in (save_every, validate_every))
        if saves or validates:
            losses_seen.wait()
        if validates:
            validate(done, state)
        if saves:
            checkpoints.save(done, state)
    return state


class _Losses:
    """The losses of steps that were begun: checked, averaged and shown once they are known."""

    def __init__(self, look_every: int, look: Callable, describe: Callable[[int], str]):
        self._look_every, self._look, self._describe = look_every, look, describe
        self._expected, self._seen, self._done = deque(), [], 0

    def expect(self, done: int, losses: dict[str, Any]) -> None:
        """Takes a step's losses; waits for those of a step begun long before, if need be."""
        for loss in losses.values():
            if isinstance(loss, jax.Array):
                loss.copy_to_host_async()
        self._expected.append((done, losses))
        if len(self._expected) > STEPS_IN_FLIGHT:
            self._receive()

    def wait(self) -> None:
        """Waits for all losses."""
        while self._expected:
            self._receive()
        self._show()

    def _receive(self) -> None:
        self._done, losses = self._expected.popleft()
        values = {name: float(np.asarray(value)) for name, value in losses.items()}
        wrong = {name: value for name, value in values.items() if not np.isfinite(value)}
        if wrong:
            named = ", ".join(f"{name} {value}" for name, value in wrong.items())
            raise FloatingPointError(
                f"step {self._done}: expected finite losses, got {named}; the batch: "
                f"{self._describe(self._done - 1)}"
            )
        self._seen.append(values)
        if self._done % self._look_every == 0:
            self._show()

    def _show(self) -> None:
        if self._seen:
            names = self._seen[0]
            means = {name: float(np.mean([x[name] for x in self._seen])) for name in names}
            self._seen = []
            self._look(self._done, means)
