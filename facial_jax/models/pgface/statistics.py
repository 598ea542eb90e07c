"""What PGFace's inputs and outputs are standardised by."""

import flax.struct
import numpy as np
from jaxtyping import Array, Float

from facial_jax.data.clips import IDENTITY_SIZE, Clip, ClipSource

_LEAST_DEVIATION = 1e-4
# Of an input that never changes: one can divide by it.


@flax.struct.dataclass
class Statistics:
    """Mean and standard deviation of `n` numbers."""

    mean: Float[Array | np.ndarray, "n"]
    std: Float[Array | np.ndarray, "n"]


@flax.struct.dataclass
class PgFaceStatistics:
    """Of PGFace's inputs and outputs."""

    features: Statistics
    # speech features, (n,)
    pose: Statistics
    # pitch, yaw, roll in radians; x, y, z in decimetres, (6,)
    face: Statistics
    # identity and expression coefficients, (144,); one that never changes has a deviation of 0


def face_coefficients(clip: Clip) -> Float[np.ndarray, "t 144"]:
    """Identity and expression of every frame, float32."""
    return np.concatenate([clip.identities, clip.expression], axis=1)


def pgface_statistics(clips: ClipSource, *, fixed_identity: bool = False) -> PgFaceStatistics:
    """Over the valid frames of all clips, float32 NumPy arrays.

    Args:
        clips: of one person.
        fixed_identity: the identity's deviation is 0, whatever the clips say: only an expression is
            learnt, the usual way that PGFace is compared with.
    """
    rows: dict[str, list[np.ndarray]] = {"features": [], "pose": [], "face": []}
    for clip in (clips[index] for index in range(len(clips))):
        rows["features"].append(clip.features[clip.valid])
        rows["pose"].append(clip.pose[clip.valid])
        rows["face"].append(face_coefficients(clip)[clip.valid])
    statistics = {name: _statistics(np.concatenate(parts)) for name, parts in rows.items()}
    for name in ("features", "pose"):
        one = statistics[name]
        statistics[name] = one.replace(std=np.maximum(one.std, np.float32(_LEAST_DEVIATION)))
    if fixed_identity:
        std = statistics["face"].std.copy()
        std[:IDENTITY_SIZE] = 0.0
        statistics["face"] = statistics["face"].replace(std=std)
    return PgFaceStatistics(**statistics)


def _statistics(rows: np.ndarray) -> Statistics:
    mean, std = rows.mean(axis=0, dtype=np.float64), rows.std(axis=0, dtype=np.float64)
    # A constant's deviation is what rounding leaves of it: it is to be none.
    std = np.where(std < 1e-6 * np.maximum(np.abs(mean), 1.0), 0.0, std)
    return Statistics(mean=mean.astype(np.float32), std=std.astype(np.float32))
