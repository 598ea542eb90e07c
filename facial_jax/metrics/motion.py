"""How a person moves, in a few numbers: how often and how long they blink, how far the head turns.

The habits that personalization is to learn (FACIAL, Sec. 5.4): a subject's real and generated
motion are alike if these numbers are.
"""

from collections.abc import Sequence

import flax.struct
import numpy as np
import scipy.stats
from jaxtyping import Float, Int

from facial_jax.models.facial_gan.blinking import find_blinks


@flax.struct.dataclass
class BlinkStatistics:
    """How somebody blinked."""

    per_minute: float
    # blinks in a minute
    duration_s: float
    # their mean duration in seconds; NaN if there is no whole one


def blink_statistics(blinks: Sequence[Float[np.ndarray, "_"]], fps: float) -> BlinkStatistics:
    """Rate and mean duration over several recordings' AU45 intensities.

    Raises:
        ValueError: there is no frame.
    """
    frames = sum(len(blink) for blink in blinks)
    if not frames:
        raise ValueError("blinks: expected at least one frame, got none")
    times = np.concatenate([find_blinks(blink) for blink in blinks])
    lengths = times[:, 1] - times[:, 0]
    whole = lengths[np.isfinite(lengths)]
    return BlinkStatistics(
        per_minute=len(times) * 60.0 * fps / frames,
        duration_s=float(whole.mean() / fps) if len(whole) else float("nan"),
    )


@flax.struct.dataclass
class BlinkTimes:
    """Every blink that was seen."""

    durations_s: Float[np.ndarray, "n"]
    # of the whole ones
    intervals_s: Float[np.ndarray, "m"]
    # from the middle of one to that of the next in the same recording


def blink_times(blinks: Sequence[Float[np.ndarray, "_"]], fps: float) -> BlinkTimes:
    """How long each blink lasts and how long after the last one it comes: the distributions."""
    durations, intervals = [np.zeros(0)], [np.zeros(0)]
    for blink in blinks:
        times = find_blinks(blink)
        whole = times[np.isfinite(times).all(axis=1)]
        durations.append((whole[:, 1] - whole[:, 0]) / fps)
        middles = times.mean(axis=1)
        between = np.diff(middles[np.isfinite(middles)])
        intervals.append(between / fps)
    return BlinkTimes(np.concatenate(durations), np.concatenate(intervals))


def blinks_per_clip(
    blinks: Sequence[Float[np.ndarray, "_"]], fps: float, *, seconds: float = 4.0
) -> Int[np.ndarray, "n"]:
    """How many blinks begin in each clip of `seconds` (FACIAL, Fig. 9 counts 4-second clips).

    Recordings are cut into clips without overlap; what is left at an end is no clip.
    """
    size, counts = round(seconds * fps), []
    for blink in blinks:
        begins = np.maximum(find_blinks(blink)[:, 0], 0)
        edges = np.arange(len(blink) // size + 1) * size
        counts.append(np.histogram(begins[begins < edges[-1]], edges)[0])
    return np.concatenate(counts).astype(np.int64)


def distribution_distance(generated: Float[np.ndarray, "n"], real: Float[np.ndarray, "m"]) -> float:
    """Wasserstein's distance of two distributions: how far values must move on average.

    NaN if one is empty.
    """
    if not len(generated) or not len(real):
        return float("nan")
    return float(scipy.stats.wasserstein_distance(generated, real))


def pose_spread(poses: Sequence[Float[np.ndarray, "_ 6"]]) -> Float[np.ndarray, "6"]:
    """Standard deviation of each pose channel over all frames of several recordings.

    Pitch, yaw and roll in radians, x, y and z in decimetres, as in `Attributes`.
    """
    return np.concatenate(poses).std(axis=0, dtype=np.float64)
