"""Which poses a video of a person shows, and poses drawn back to them.

Where a head is goes with how it is turned: who leans over moves to the side. A network that is
asked for a pose of which each number was seen, but never all together, has nothing to show: a neck
is where none belongs. So the poses that were shown are an ellipsoid, not a box.
"""

import flax.struct
import numpy as np
from jaxtyping import Array, Float

from facial_jax.attributes import POSE_SIZE

SHOWN_PERCENTILE = 90.0
"""Of a video's poses lie within the ellipsoid."""
_FREE = 0.75
"""Share of the way from the mean pose to the ellipsoid on which poses stay as they are."""
_MIN_DEVIATION = 1e-3  # radians and decimetres


@flax.struct.dataclass
class PoseLimits:
    """Around which poses a person was seen."""

    mean: Float[Array | np.ndarray, "6"]
    # of the pose, radians and decimetres
    axes: Float[Array | np.ndarray, "6 6"]
    # (pose − mean) @ axes is a point in the unit ball, or drawn back to it


def shown_limits(pose: Float[np.ndarray, "t 6"]) -> PoseLimits:
    """The ellipsoid of a video's poses, radians and decimetres, after their covariance."""
    pose = np.asarray(pose, np.float64)
    mean = pose.mean(axis=0)
    covariance = (pose - mean).T @ (pose - mean) / len(pose) + _MIN_DEVIATION**2 * np.eye(POSE_SIZE)
    axes = np.linalg.cholesky(np.linalg.inv(covariance))
    far = np.percentile(np.linalg.norm((pose - mean) @ axes, axis=1), SHOWN_PERCENTILE)
    return PoseLimits(mean=mean.astype(np.float32), axes=(axes / max(far, 1.0)).astype(np.float32))


def limit_pose(pose: Float[np.ndarray, "t 6"], shown: PoseLimits) -> Float[np.ndarray, "t 6"]:
    """Poses drawn back into the ellipsoid, towards its middle.

    At r ellipsoids from the middle, r being more than f = 3/4, a pose comes to
    f + (1 − f) · tanh((r − f) / (1 − f)): what lies within stays as it is, and nothing jumps.

    Args:
        pose: radians and decimetres.
        shown: the ellipsoid.
    """
    off = np.asarray(pose, np.float64) - np.asarray(shown.mean, np.float64)
    radius = np.linalg.norm(off @ np.asarray(shown.axes, np.float64), axis=1)
    over = np.maximum(radius - _FREE, 0)
    share = np.where(over > 0, _FREE + (1 - _FREE) * np.tanh(over / (1 - _FREE)), radius)
    share = share / np.maximum(radius, 1e-12)
    limited = np.asarray(shown.mean) + off * share[:, None]
    return np.where(over[:, None] > 0, limited, pose).astype(np.float32)


def pose_limits_arrays(shown: PoseLimits) -> dict[str, np.ndarray]:
    """As files hold it; the inverse of `pose_limits_from_arrays`."""
    return {
        "pose_mean": np.asarray(shown.mean, np.float32),
        "pose_axes": np.asarray(shown.axes, np.float32),
    }


def pose_limits_from_arrays(arrays: dict[str, np.ndarray]) -> PoseLimits:
    """What `pose_limits_arrays` gave, or the ellipsoid in the limits (2, 6) of earlier versions.

    Raises:
        ValueError: an array is missing, of another shape, or not finite; limits that do not rise.
    """
    if "pose_limits" in arrays and np.shape(arrays["pose_limits"]) == (2, POSE_SIZE):
        low, high = arrays["pose_limits"].astype(np.float32)
        if (low > high).any():
            raise ValueError("pose limits: expected numbers that rise")
        half = np.maximum((high - low) / 2, _MIN_DEVIATION)
        mean, axes = (low + high) / 2, np.diag(1 / half)
    else:
        mean, axes = arrays.get("pose_mean"), arrays.get("pose_axes")
    if np.shape(mean) != (POSE_SIZE,) or np.shape(axes) != (POSE_SIZE, POSE_SIZE):
        raise ValueError("pose limits: expected a mean of 6 numbers, and 6 axes")
    if not np.isfinite(mean).all() or not np.isfinite(axes).all():
        raise ValueError("pose limits: expected finite numbers")
    return PoseLimits(mean=mean, axes=axes)
