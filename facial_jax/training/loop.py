"""The loop around a training step: saves, validations, and a stop if a loss is not finite."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

STEPS_IN_FLIGHT = 8
"""How many steps an accelerator may be told of before it has done them: enough that it never waits
for the host, few enough that their batches need little memory."""


def run_steps(
    step: Callable[[Any, Any], tuple[Any, dict[str, Any]]],
    state: Any,
    batches: Iterable,
    *,
    first: int,
    last: int,
    save: Callable[[int, Any], None],
    save_every: int,
    show: Callable[[int, dict[str, float]], None],
    show_every: int,
    describe: Callable[[int], str],
    validate: Callable[[int, Any], None],
    validate_every: int,
) -> Any:
    """Trains from step `first` to step `last`.

    Steps are begun before the ones before them are done, up to `STEPS_IN_FLIGHT`. Their losses are
    checked as they arrive, all of them before a validation and before a checkpoint.

    Args:
        step: (state, batch) to (state, losses).
        state: after `first` steps.
        batches: of the steps from number `first` on.
        first: steps done.
        last: steps to be done in all.
        save: is told the number of steps done and the state.
        save_every: steps between two saves; there is one at the end too.
        show: is told the number of steps done and the losses, averaged since the last time.
        show_every: steps between two times.
        describe: what the batch of the step of this number (0 the first) is made of, for the
            message if a loss is not finite.
        validate: is told the number of steps done and the state.
        validate_every: steps between two validations; there is one at the end too.

    Returns:
        The state after `last` steps.

    Raises:
        FloatingPointError: a loss is not finite; says which, in which step, of which batch. No
            state after that step was saved.
    """
    arriving = _Losses(show_every, show, describe)
    for done, batch in zip(range(first + 1, last + 1), batches, strict=True):
        state, losses = step(state, batch)
        arriving.expect(done, losses)
        saves, validates = (done % n == 0 or done == last for n in (save_every, validate_every))
        if saves or validates:
            arriving.wait()
        if validates:
            validate(done, state)
        if saves:
            save(done, state)
    return state


class _Losses:
    """The losses of steps that were begun: checked, averaged and shown once they are known."""

    def __init__(self, show_every: int, show: Callable, describe: Callable[[int], str]):
        self._show_every, self._show, self._describe = show_every, show, describe
        self._expected, self._arrived, self._done = deque(), [], 0

    def expect(self, done: int, losses: dict[str, Any]) -> None:
        """Takes a step's losses; waits for those of the oldest step if too many are in flight."""
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
        self._show_means()

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
        self._arrived.append(values)
        if self._done % self._show_every == 0:
            self._show_means()

    def _show_means(self) -> None:
        if self._arrived:
            names = self._arrived[0]
            means = {name: float(np.mean([x[name] for x in self._arrived])) for name in names}
            self._arrived = []
            self._show(self._done, means)
