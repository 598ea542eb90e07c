"""Distances of speech and pictures for every shift of the one against the other.

As SyncNet is measured (Chung and Zisserman, "Out of time: automated lip sync in the wild", 2016):
the distance of a frame's vector to the speech's vectors of frames up to 15 before and after it,
averaged over frames for each shift; the smallest is at the offset, and the median less the smallest
says how sure that is.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

MAX_SHIFT = 15


class Shift(NamedTuple):
    """Where speech and pictures are nearest."""

    sound_delay_frames: int
    # how much later the sound is than the pictures
    distance: float
    # there, the smallest over all shifts
    confidence: float
    # the median over shifts less the smallest


def shift_distances(
    pictures: Float[np.ndarray, "t d"],
    speech: Float[np.ndarray, "n d"],
    *,
    max_shift: int = MAX_SHIFT,
    padded: bool = False,
) -> Float[np.ndarray, "shifts"]:
    """Mean Euclidean distance of frame i of the pictures and frame i + k of the speech.

    For k from −max_shift to max_shift. If there is no frame i + k, it is left out, or with
    `padded` stands for a vector of zeros, as in the published measure.

    Raises:
        ValueError: they are not as long as one another, or not longer than the largest shift.
    """
    count = len(pictures)
    if len(speech) != count or count <= max_shift:
        raise ValueError(
            f"speech: expected as many vectors as of the pictures and more than {max_shift}, got "
            f"{len(speech)} for {count}"
        )
    around = np.pad(speech.astype(np.float64), ((max_shift, max_shift), (0, 0)))
    means = []
    for start in range(2 * max_shift + 1):
        distances = np.linalg.norm(pictures - around[start : start + count], axis=1)
        frames = np.arange(count) + start - max_shift
        there = np.ones(count, bool) if padded else (frames >= 0) & (frames < count)
        means.append(distances[there].mean())
    return np.array(means)


def nearest_shift(distances: Float[np.ndarray, "shifts"]) -> Shift:
    """The shift with the smallest distance; the middle one is none."""
    best = int(distances.argmin())
    smallest = float(distances[best])
    return Shift(best - len(distances) // 2, smallest, float(np.median(distances)) - smallest)
