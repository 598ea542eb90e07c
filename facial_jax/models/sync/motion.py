"""The motion of a mouth as MouthSync sees it: four distances of a face with its head held still."""

import numpy as np
from jaxtyping import Array, Float

from facial_jax.face.model import FaceModel
from facial_jax.metrics.lips import without_moving_mean

CHANNELS = ("inner gap", "outer height", "width", "chin")
"""Of the lips' inner edges and of their outer ones, of the mouth's corners, of chin and nose."""
MEAN_S = 2.0
"""What is slower is how somebody holds the mouth, or the tracking's, and no speech."""
_PAIRS = ((62, 66), (51, 57), (48, 54), (33, 8))  # landmarks in iBUG's order
_MIN_STD = 1e-3  # decimetres, before channels are divided by it
_STILL = 5e-3  # decimetres: lips that move less do not speak


def mouth_distances(
    model: FaceModel, expression: Float[Array | np.ndarray, "t 64"]
) -> Float[np.ndarray, "t 4"]:
    """The distances `CHANNELS` of the average person with these expressions, in decimetres."""
    landmarks = np.asarray(model.landmarks)
    neutral = np.asarray(model.mean_shape)[landmarks]
    basis = np.asarray(model.expression_basis)[landmarks]
    # Landmarks alone: (68, 3, 64) of them for each frame.
    points = neutral + np.tensordot(np.asarray(expression), basis, axes=(1, 2))
    first, second = (points[:, [pair[i] for pair in _PAIRS]] for i in (0, 1))
    return np.linalg.norm(first - second, axis=-1).astype(np.float32)


def is_still(distances: Float[np.ndarray, "t 4"]) -> bool:
    """Whether the lips hardly move, as of somebody who is silent."""
    return bool(distances[:, :2].std(axis=0).max() < _STILL)


def mouth_motion(distances: Float[np.ndarray, "t 4"], fps: float) -> Float[np.ndarray, "t 4"]:
    """Each distance less its moving mean over two seconds, over its deviation in the clip.

    Raises:
        ValueError: the lips do not move.
    """
    if is_still(distances):
        raise ValueError(
            "distances: expected lips that move, got ones that are still: nothing tells whether "
            "they go with the sound"
        )
    frames = max(3, round(MEAN_S * fps))
    moving = np.stack([without_moving_mean(x, frames) for x in distances.T.astype(np.float64)], -1)
    return (moving / np.maximum(moving.std(axis=0), _MIN_STD)).astype(np.float32)
