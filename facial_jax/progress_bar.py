"""Progress bars that show themselves when something takes longer than a second."""

import functools
from collections.abc import Callable, Iterator

import numpy as np
from tqdm.auto import tqdm

DELAY_S = 1.0


def progress_bar(what: str, shown: bool) -> Callable[..., tqdm]:
    """What makes a bar of this title over an iterable or a total; silent if not `shown`."""
    return functools.partial(tqdm, desc=what, disable=not shown, delay=DELAY_S, leave=False)


def advance(bar: tqdm, chunks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The chunks; the bar moves on by the length of each that has been taken."""
    for chunk in chunks:
        yield chunk
        bar.update(len(chunk))
