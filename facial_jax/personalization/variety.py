"""Which frames of a long clip are worth training on: no more than its variety needs."""

import numpy as np
from jaxtyping import Float, Int

from facial_jax.data.clips import Clip

MAX_FRAMES = 2000
"""Trained on, of each clip: what a network learns of a person grows little with more of the same,
while rendering and memory grow with each."""
RUN_S = 0.5
"""Frames are chosen in runs of this length: the network sees windows of consecutive ones."""


def varied_frames(clip: Clip, numbers: Int[np.ndarray, "n"]) -> Int[np.ndarray, "m"]:
    """At most `MAX_FRAMES` of these frames, in runs of half a second that are unlike each other.

    The runs are chosen by farthest-point sampling (Gonzalez 1985) of their mean pose, expression
    and blink: first the most usual one, then always the one that is least like all before.
    """
    if len(numbers) <= MAX_FRAMES:
        return numbers
    length = max(1, round(RUN_S * clip.frame_rate))
    runs = [numbers[start : start + length] for start in range(0, len(numbers), length)]
    rows = np.concatenate([_spread(clip.pose), _spread(clip.expression)], axis=1)
    rows = np.concatenate([rows, _spread(clip.blink[:, None])], axis=1)
    chosen = farthest_points(
        np.stack([rows[run].mean(axis=0) for run in runs]), MAX_FRAMES // length
    )
    return np.concatenate([runs[k] for k in np.sort(chosen)])


def _spread(values: Float[np.ndarray, "t n"]) -> Float[np.ndarray, "t n"]:
    """Values about their mean, so that all columns together have a variance of 1."""
    apart = values - values.mean(axis=0)
    return apart / max(float(np.sqrt(np.square(apart).sum(axis=1).mean())), 1e-6)


def farthest_points(points: Float[np.ndarray, "n k"], count: int) -> Int[np.ndarray, "m"]:
    """Numbers of at most `count` points, each the one farthest from all before; the first is the
    one nearest to their mean."""
    chosen = [int(np.square(points - points.mean(axis=0)).sum(axis=1).argmin())]
    apart = np.square(points - points[chosen[0]]).sum(axis=1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(apart.argmax()))
        apart = np.minimum(apart, np.square(points - points[chosen[-1]]).sum(axis=1))
    return np.array(chosen)
