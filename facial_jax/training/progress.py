"""How a training shows itself: a progress bar, and TensorBoard's files."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tensorboardX import SummaryWriter
from tqdm.auto import tqdm

from facial_jax.training.processes import is_first


def silent(line: str) -> None:
    """Says nothing."""
    del line


class Progress(NamedTuple):
    """Where a training shows itself."""

    say: Callable[[str], None]
    # shows a line beside the bar
    board: SummaryWriter
    look: Callable[[int, dict[str, float]], None]
    # shows the losses after so many steps, and how many are done in a second


@contextmanager
def training_progress(
    folder: Path, *, first: int, steps: int, shown: bool = True
) -> Iterator[Progress]:
    """From step `first` of `steps`; TensorBoard's files go into `folder`.

    Of the processes that train together only the first one shows and writes anything.
    """
    writes = is_first()
    shown = shown and writes
    board = SummaryWriter(str(folder), purge_step=first + 1, write_to_disk=writes)
    options = {"unit": "step", "desc": "training", "smoothing": 0.05, "disable": not shown}
    with tqdm(initial=first, total=steps, **options) as bar:

        def say(line: str) -> None:
            if shown:
                bar.write(line)

        def look(done: int, losses: dict[str, float]) -> None:
            if not writes:
                return
            bar.update(done - bar.n)
            bar.set_postfix({name: f"{value:.3g}" for name, value in losses.items()})
            for name, value in losses.items():
                board.add_scalar(f"training/{name}", value, done)
            if rate := bar.format_dict["rate"]:
                board.add_scalar("training/steps_per_s", rate, done)

        yield Progress(say, board, look)
    board.close()
