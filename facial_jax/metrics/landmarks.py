"""LMD: how far the landmarks of a face are from those of another."""

import numpy as np
from jaxtyping import Float

MOUTH = slice(48, 68)
"""Lips, in iBUG's order."""
_EYE_CORNERS = (36, 45)


def landmark_distance(
    generated: Float[np.ndarray, "t 68 2"], real: Float[np.ndarray, "t 68 2"]
) -> float:
    """LMD of the whole face, in percent of the distance between the eyes' outer corners.

    Mean Euclidean distance over landmarks and frames, the landmarks' mean brought to the same place
    in every frame (Chen et al., "Lip movements generation at a glance", 2018, who give it in
    pixels). Each face is divided by its own eyes' distance, its median over the video, so that
    videos of other sizes can be compared; nothing is turned.

    Args:
        generated: in any unit, NaN where the face was not seen.
        real: frame by frame the same moments.

    Raises:
        ValueError: no frame shows both faces.
    """
    return _distance(_in_eye_widths(generated), _in_eye_widths(real))


def mouth_landmark_distance(
    generated: Float[np.ndarray, "t 68 2"], real: Float[np.ndarray, "t 68 2"]
) -> float:
    """LMD of the lips alone, their own mean brought to the same place: see `landmark_distance`."""
    generated, real = (_in_eye_widths(points)[:, MOUTH] for points in (generated, real))
    return _distance(generated, real)


def _in_eye_widths(points):
    left, right = (points[:, corner] for corner in _EYE_CORNERS)
    if not np.isfinite(points).all(axis=(1, 2)).any():
        raise ValueError("points: expected a face in at least one frame, got none")
    return points / np.nanmedian(np.linalg.norm(left - right, axis=-1))


def _distance(generated, real) -> float:
    generated, real = (x - x.mean(axis=1, keepdims=True) for x in (generated, real))
    distance = np.linalg.norm(generated - real, axis=-1).mean(axis=-1)
    seen = np.isfinite(distance)
    if not seen.any():
        raise ValueError("points: expected both faces in at least one frame, got none")
    return 100 * float(distance[seen].mean())
