"""Whether a head jumps where one generated window ends and the next begins."""

import flax.struct
import numpy as np
from jaxtyping import Array, Float

from facial_jax.models.pose_gan.generation import WINDOW_FRAMES


@flax.struct.dataclass
class Seams:
    """Changes from frame to frame, in the poses' deviations, a mean over the channels."""

    largest_at_seams: float
    largest_elsewhere: float
    usual_elsewhere: float
    # the median


def measure_seams(
    poses: Float[np.ndarray, "t 6"],
    std: Float[Array | np.ndarray, "6"],
    *,
    frames: int = WINDOW_FRAMES,
) -> Seams:
    """The changes at the windows' borders beside all others.

    Args:
        poses: of one long speech.
        std: the poses' deviations.
        frames: a window's length.

    Raises:
        ValueError: there is no border.
    """
    if len(poses) <= frames:
        raise ValueError(f"poses: expected more than {frames} frames, got {len(poses)}")
    steps = np.sqrt((np.diff(poses / np.asarray(std), axis=0) ** 2).mean(axis=1))
    at_seam = np.arange(1, len(poses)) % frames == 0
    return Seams(
        largest_at_seams=float(steps[at_seam].max()),
        largest_elsewhere=float(steps[~at_seam].max()),
        usual_elsewhere=float(np.median(steps[~at_seam])),
    )
