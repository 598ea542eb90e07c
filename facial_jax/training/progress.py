"""How a training shows itself: a progress bar, lines of text, TensorBoard's files and pictures."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tensorboardX import SummaryWriter
from tqdm.auto import tqdm

from facial_jax.files import whole_or_nothing
from facial_jax.pictures import save_png
from facial_jax.training.processes import is_first
from facial_jax.training.task import Report


def silent(line: str) -> None:
    """Says nothing."""
    del line


class Progress(NamedTuple):
    """The functions that show a training's progress."""

    losses: Callable[[int, dict[str, float]], None]
    """Shows the losses after a number of steps, and the steps per second."""
    report: Callable[[int, Report], None]
    """Shows a validation after a number of steps."""


@contextmanager
def training_progress(
    folder: Path | None,
    *,
    first: int,
    steps: int,
    shown: bool = True,
    say: Callable[[str], None] | None = None,
) -> Iterator[Progress]:
    """From step `first` of `steps`; what is written goes into `folder`, if there is one.

    Of the processes that train together only the first one shows and writes anything.

    Args:
        folder: of the run.
        first: steps done.
        steps: to be done in all.
        shown: show a progress bar.
        say: is given the lines of validations; beside the progress bar if None.
    """
    writes = is_first()
    shown = shown and writes
    board = None
    if folder is not None and writes:
        board = SummaryWriter(str(folder / "tensorboard"), purge_step=first + 1)
    options = {"unit": "step", "desc": "training", "smoothing": 0.05, "disable": not shown}
    with tqdm(initial=first, total=steps, **options) as bar:

        def losses(done: int, values: dict[str, float]) -> None:
            bar.update(done - bar.n)
            bar.set_postfix({name: f"{value:.3g}" for name, value in values.items()})
            if board is None:
                return
            for name, value in values.items():
                board.add_scalar(f"training/{name}", value, done)
            if rate := bar.format_dict["rate"]:
                board.add_scalar("training/steps_per_s", rate, done)

        def report(done: int, validation: Report) -> None:
            for line in validation.lines:
                if say is not None:
                    say(line)
                elif shown:
                    bar.write(line)
            if board is not None:
                _write_report(board, folder, done, validation)

        yield Progress(losses, report)
    if board is not None:
        board.close()


def _write_report(board: SummaryWriter, folder: Path, done: int, report: Report) -> None:
    for name, value in report.numbers.items():
        board.add_scalar(f"validation/{name}", value, done)
    for name, picture in report.pictures.items():
        save_png(folder / f"{name}_{done:06d}.png", picture)
        board.add_image(name, picture, done, dataformats="HWC")
    for name, figure in report.figures.items():
        with whole_or_nothing(folder / f"{name}.png") as partial:
            figure.savefig(partial, dpi=60)
        board.add_figure(name, figure, done, close=True)
