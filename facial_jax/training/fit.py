"""How every model is trained: all but what its `Task` says."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from facial_jax.files import alone_in
from facial_jax.training.checkpoints import Checkpoints
from facial_jax.training.loop import run_steps
from facial_jax.training.parallel import check_batch_size, data_mesh, local_copy, replicate
from facial_jax.training.processes import is_first
from facial_jax.training.progress import training_progress
from facial_jax.training.step import compiled_step, initial_state
from facial_jax.training.task import Task, Variables

SHOW_EVERY = 20
"""Steps between two times that the losses are shown."""


def fit(
    task: Task,
    *,
    folder: Path | None = None,
    provenance: Mapping[str, Any] | None = None,
    devices: Sequence[jax.Device] | None = None,
    stop_after: int | None = None,
    progress: bool = True,
    say: Callable[[str], None] | None = None,
) -> Variables:
    """Trains, or goes on from the folder's last checkpoint, and exports the networks at the end.

    A training that was stopped, or killed, ends with the same numbers when it is started again.
    Of many processes that train as one (`facial_jax.training.processes`), which all call this, the
    first one validates and writes.

    Args:
        task: what is trained.
        folder: of the run: checkpoints, TensorBoard's files, the validations' figures and pictures,
            and in the end the networks. None: nothing is written, and the training begins anew.
        provenance: by name, all that the result depends on: settings, and hashes of data and
            starting weights (`facial_jax.provenance`). Needed with a folder.
        devices: to train on; all if None.
        stop_after: stop at this step, as if interrupted.
        progress: show a progress bar.
        say: is given a line of text on each validation; beside the progress bar if None.

    Returns:
        Every network's variables as NumPy arrays, by name.

    Raises:
        ValueError: the folder's checkpoints are of another provenance, or a batch cannot be split
            evenly over the devices.
        BlockingIOError: another process trains in the folder.
        FloatingPointError: a loss is not finite.
    """
    mesh = data_mesh(devices)
    check_batch_size(task.batch_size, mesh.size)
    batches = task.batches(mesh)
    step, state = compiled_step(task, mesh), replicate(initial_state(task, batches.row()), mesh)
    last = min(task.steps, task.steps if stop_after is None else stop_after)
    with contextlib.ExitStack() as stack:
        save = _save_nothing
        if folder is not None:
            if provenance is None:
                raise ValueError("provenance: expected what the result depends on, got None")
            if is_first():
                stack.enter_context(alone_in(folder))
            checkpoints = Checkpoints(folder / "checkpoints", provenance)
            stack.enter_context(contextlib.closing(checkpoints))
            restored, save = checkpoints.restore(state), checkpoints.save
            state = state if restored is None else restored
        first = int(state.step)
        shown = stack.enter_context(
            training_progress(folder, first=first, steps=task.steps, shown=progress, say=say)
        )

        def validate(done: int, state: Any) -> None:
            if is_first():
                shown.report(done, task.validate(local_copy(state.variables), done))

        state = run_steps(
            step,
            state,
            batches.between(first, last),
            first=first,
            last=last,
            save=save,
            save_every=task.save_every,
            show=shown.losses,
            show_every=SHOW_EVERY,
            describe=task.describe,
            validate=validate,
            validate_every=task.validate_every,
        )
    variables = jax.device_get(local_copy(state.variables))
    if folder is not None and is_first() and int(state.step) >= task.steps:
        task.export(variables, folder)
    return variables


def _save_nothing(step: int, state: Any) -> None:
    del step, state
