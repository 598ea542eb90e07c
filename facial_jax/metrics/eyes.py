"""Errors of the eyes: how far they are open, and where they look."""

import numpy as np
from jaxtyping import Float

from facial_jax.tracking.blink import LEFT_EYE, RIGHT_EYE, relative_opening


def opening_error(
    generated: Float[np.ndarray, "t 68 2"], real: Float[np.ndarray, "t 68 2"]
) -> float:
    """Mean absolute difference of the eyes' opening, each over the person's own when open.

    Args:
        generated: landmarks in any unit, NaN where the face was not seen.
        real: frame by frame the same moments.

    Raises:
        ValueError: no frame shows both faces.
    """
    return _mean_of_seen(np.abs(relative_opening(generated) - relative_opening(real)))


def gaze(
    points: Float[np.ndarray, "t 68 2"], irises: Float[np.ndarray, "t 2 2"]
) -> Float[np.ndarray, "t 2"]:
    """Where the eyes look: the irises' way from the eyes' middles, in widths of the eye.

    Mean of both eyes, to the picture's right and down, the head's roll taken out: along the line
    through an eye's corners and across it. (0, 0) is straight ahead for eyes whose corners are
    level; the measure compares videos of one person. NaN where there is no face.

    Args:
        points: landmarks.
        irises: the irises' centres in the same pixels, the picture's left one first.
    """
    gazes = []
    for eye, iris in zip((LEFT_EYE, RIGHT_EYE), (irises[:, 0], irises[:, 1]), strict=True):
        first, last = points[:, eye[0]], points[:, eye[3]]
        along = last - first
        width = np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-6)
        along = along / width
        across = np.stack([-along[:, 1], along[:, 0]], axis=-1)
        way = (iris - (first + last) / 2) / width
        gazes.append(np.stack([(way * along).sum(-1), (way * across).sum(-1)], axis=-1))
    return np.mean(gazes, axis=0)


def gaze_error(generated: Float[np.ndarray, "t 2"], real: Float[np.ndarray, "t 2"]) -> float:
    """Mean distance of two gazes from `gaze`, in percent of an eye's width.

    Raises:
        ValueError: no frame shows both faces.
    """
    return 100 * _mean_of_seen(np.linalg.norm(generated - real, axis=-1))


def _mean_of_seen(values) -> float:
    seen = np.isfinite(values)
    if not seen.any():
        raise ValueError("points: expected both faces in at least one frame, got none")
    return float(values[seen].mean())
