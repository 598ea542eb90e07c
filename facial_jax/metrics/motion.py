"""How a person moves, in a few numbers: how often and how long they blink, how far the head turns.

The habits that personalization is to learn (FACIAL, Sec. 5.4): a subject's real and generated
motion are alike where these numbers are.
"""

from collections.abc import Sequence

import flax.struct
import numpy as np
from jaxtyping import Float

from facial_jax.models.facial_gan.blinking import find_blinks


@flax.struct.dataclass
class BlinkStatistics:
    """How somebody blinked."""

    per_minute: float
    # blinks in a minute
    duration_s: float
    # their mean duration in seconds; NaN where there is no whole one


def blink_statistics(blinks: Sequence[Float[np.ndarray, "_"]], fps: float) -> BlinkStatistics:
    """Rate and mean duration over several recordings' AU45 intensities.

    Raises:
        ValueError: there is no frame.
    """
    frames = sum(len(blink) for blink in blinks)
    if not frames:
        raise ValueError("blinks: expected at least one frame, got none")
    found = np.concatenate([find_blinks(blink) for blink in blinks])
    lengths = found[:, 1] - found[:, 0]
    whole = lengths[np.isfinite(lengths)]
    return BlinkStatistics(
        per_minute=len(found) * 60.0 * fps / frames,
        duration_s=float(whole.mean() / fps) if len(whole) else float("nan"),
    )


def pose_spread(poses: Sequence[Float[np.ndarray, "_ 6"]]) -> Float[np.ndarray, "6"]:
    """Standard deviation of each pose channel over all frames of several recordings.

    Pitch, yaw and roll in radians, x, y and z in decimetres, as in `Attributes`.
    """
    return np.concatenate(poses).std(axis=0, dtype=np.float64)
