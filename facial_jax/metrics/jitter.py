"""How much a face trembles: how fast its landmarks change their speed from frame to frame."""

import numpy as np
from jaxtyping import Float

_EYE_CORNERS = (36, 45)  # the outer ones, in iBUG's order


def landmark_jitter(points: Float[np.ndarray, "t 68 2"]) -> float:
    """Mean second difference over time of the landmarks, in widths between the eyes' outer corners.

    |p(t+1) − 2 p(t) + p(t−1)|, averaged over landmarks and over the frames that were seen with both
    their neighbours; a face that moves evenly has 0.

    Args:
        points: in any unit; NaN where the face was not seen.

    Raises:
        ValueError: nowhere were three frames seen in a row.
    """
    first, second = (points[:, corner] for corner in _EYE_CORNERS)
    width = np.nanmedian(np.linalg.norm(first - second, axis=-1))
    change = np.linalg.norm(np.diff(points, n=2, axis=0), axis=-1).mean(axis=-1)
    seen = np.isfinite(change)
    if not seen.any():
        raise ValueError("points: expected three frames with a face in a row, got none")
    return float(change[seen].mean() / width)
