"""When eyes blink: blinks found in a curve, a person's habits, and blinks by these habits.

FACIAL-GAN is trained to come near the true curve, and if speech leaves open whether the eyes
blink, the nearest curve is a blink in part: its height says how likely a blink is at that moment. A
person, though, blinks or does not. So the network says when a blink comes, and the person's habits
say how soon after the last one, and how the lids move. (The paper takes the curve as it is.)
"""

from collections.abc import Sequence

import flax.struct
import jax
import numpy as np
from jaxtyping import Float

BLINK_LEVEL = 1.0
"""Above this AU45 intensity the eyes are closing, closed, or opening."""
BLINK_PEAK = 2.0
"""A movement of the lids that stays below is no blink."""
MIN_BLINKS = 6
"""Fewer intervals between blinks are no habit."""
_INTERVAL_PERCENTILES = (0.0, 95.0)
_LEVELS = np.linspace(0.05, 1.0, 39)
_MARGIN_FRAMES = 5


@flax.struct.dataclass
class BlinkHabits:
    """How one person blinks, at the frame rate of the video that it was seen in."""

    shape: Float[jax.Array | np.ndarray, "n"]
    # one blink, frame by frame: AU45 intensities
    interval: Float[jax.Array | np.ndarray, "2"]
    # frames from a blink to the next one: never fewer than the first, seldom more than the second
    rest: Float[jax.Array | np.ndarray, ""]
    # AU45 intensity between blinks
    level: Float[jax.Array | np.ndarray, ""]
    # share of a whole blink that the network's curve has to reach, at the shortest interval


def find_blinks(blink: Float[np.ndarray, "t"]) -> Float[np.ndarray, "n 2"]:
    """When the blinks in a curve of AU45 intensities (0 to 5) begin and end, in frames.

    A blink is a run of frames above 1 that reaches 2. Its ends are where straight lines between
    the frames cross 1; −∞ and ∞ if the curve begins or ends within it.
    """
    closed = np.concatenate([[False], blink > BLINK_LEVEL, [False]])
    blink = blink.astype(np.float64)
    edges = np.flatnonzero(closed[1:] != closed[:-1]).reshape(-1, 2)
    blinks = []
    for first, after in edges.tolist():
        if blink[first:after].max() < BLINK_PEAK:
            continue
        begin = -np.inf if first == 0 else first - _share(*blink[[first, first - 1]].tolist())
        last = after - 1
        end = np.inf if after == len(blink) else last + _share(*blink[[last, after]].tolist())
        blinks.append((begin, end))
    return np.array(blinks, np.float64).reshape(-1, 2)


def _share(above: float, below: float) -> float:
    """Which share of the way from the frame above the level to the one below lies above it."""
    return (above - BLINK_LEVEL) / (above - below)


def learn_blink_habits(
    blinks: Sequence[Float[np.ndarray, "_"]], generated: Sequence[Float[np.ndarray, "_"]]
) -> BlinkHabits | None:
    """The habits seen in recordings of one person; None if they hold too few blinks to tell.

    The blink is the one of median duration, as it was seen. The level is the one with which the
    network blinks as often as the person.

    Args:
        blinks: AU45 intensities of the person.
        made: the curves that the network makes of speech of the person.
    """
    whole, intervals, count = [], [], 0
    for blink in blinks:
        times = find_blinks(blink)
        count += len(times)
        intervals.extend(np.diff(times.mean(axis=1)).tolist())
        for begin, end in times[np.isfinite(times).all(axis=1)]:
            first, after = int(begin) - _MARGIN_FRAMES, int(end) + 2 + _MARGIN_FRAMES
            if first >= 0 and after <= len(blink):
                whole.append((end - begin, _alone(blink[first:after])))
    intervals = [x for x in intervals if np.isfinite(x)]
    if len(intervals) < MIN_BLINKS or not whole:
        return None
    shape = sorted(whole, key=lambda one: one[0])[len(whole) // 2][1]
    shape = shape.astype(np.float32)
    interval = np.percentile(intervals, _INTERVAL_PERCENTILES).astype(np.float32)
    rest = np.asarray(np.median(np.concatenate(blinks)), np.float32)

    def habits(level):
        level = np.asarray(level, np.float32)
        return BlinkHabits(shape=shape, interval=interval, rest=rest, level=level)

    expected = count / sum(map(len, blinks)) * sum(map(len, generated))
    counts = np.array([_count_blinks(generated, habits(level)) for level in _LEVELS])
    off = np.abs(counts - expected)
    # Of the levels that are equally good, the middle one.
    return habits(np.median(_LEVELS[off == off.min()]))


def _count_blinks(curves: Sequence[Float[np.ndarray, "_"]], habits: BlinkHabits) -> int:
    return sum(len(find_blinks(blink_by_habit(blink, habits))) for blink in curves)


def _alone(shape: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """A blink without what a blink close before or after it has in its margins."""
    shape, n = shape.copy(), _MARGIN_FRAMES + 1
    shape[:n] = np.minimum.accumulate(shape[:n][::-1])[::-1]
    shape[-n:] = np.minimum.accumulate(shape[-n:])
    return shape


def blink_by_habit(
    blink: Float[np.ndarray, "t"],
    habits: BlinkHabits,
    *,
    draw: np.random.Generator | None = None,
) -> Float[np.ndarray, "t"]:
    """The same curve with a whole blink wherever one comes, and the eyes at rest elsewhere.

    A blink comes at a maximum of the curve that is high enough. How high that is falls from the
    habits' level, at the person's shortest interval since the last one, to nothing at their long
    interval, when a blink is due whatever the curve. A recording begins when one may come.

    With `draw`, the level is another before each blink, from half to one and a half of the habits':
    about as many blinks, but not the same ones.
    """
    shape, (soon, late) = np.asarray(habits.shape), np.asarray(habits.interval).tolist()
    middle, peak = int(shape.argmax()), float(shape.max())
    result = np.minimum(blink, np.asarray(habits.rest))

    def next_peak() -> float:
        return peak if draw is None else peak * draw.uniform(0.5, 1.5)

    last, needed = -soon, next_peak()
    for frame in range(len(blink)):
        share = (frame - last - soon) / max(late - soon, 1.0)
        level = needed * float(habits.level) * (1.0 - share)
        rises = frame + 1 < len(blink) and blink[frame + 1] > blink[frame]
        if share >= 1.0 or (share >= 0.0 and not rises and blink[frame] > level):
            begin = frame - middle
            part = result[max(begin, 0) : begin + len(shape)]
            np.maximum(part, shape[max(-begin, 0) :][: len(part)], out=part)
            last, needed = frame, next_peak()
    return result
