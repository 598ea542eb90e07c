"""Eyeballs, irises and where they look, of any face model, found by its landmarks."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from facial_jax.attributes import MAX_BLINK
from facial_jax.face.eye_region import LEFT_EYE_LANDMARKS, RIGHT_EYE_LANDMARKS

EYEBALL_RADIUS_DM = 0.12
IRIS_RADIUS_DM = 0.0585
"""Of nearly all grown-up people: an iris is 11.7 mm wide."""
_LIDS = tuple((eye[1], eye[2], eye[4], eye[5]) for eye in (LEFT_EYE_LANDMARKS, RIGHT_EYE_LANDMARKS))
_LIDS_BEFORE_CENTRE_DM = 0.097
"""Lids' margins lie on the eyeball: their four landmarks so far before its centre."""


def eyeball_centres(shape: Float[Array, "n 3"], landmarks: Int[Array, "68"]) -> Float[Array, "2 3"]:
    """Of the picture's left eye and its right one, in the space of the vertices, decimetres.

    Args:
        shape: the person's face without expression.
        landmarks: vertex indices of the 68 iBUG landmarks.
    """
    centres = []
    for eye, lids in zip((LEFT_EYE_LANDMARKS, RIGHT_EYE_LANDMARKS), _LIDS, strict=True):
        middle = shape[landmarks[jnp.array(eye)]].mean(axis=0)
        depth = shape[landmarks[jnp.array(lids)]][:, 2].mean() - _LIDS_BEFORE_CENTRE_DM
        centres.append(middle.at[2].set(depth))
    return jnp.stack(centres)


def eyeball_vertices(shape: Float[Array, "n 3"], landmarks: Int[Array, "68"]) -> Bool[Array, "n"]:
    """What is seen between the lids: vertices within the hexagon of either eye's landmarks.

    Args:
        shape: the mean face.
        landmarks: vertex indices of the 68 iBUG landmarks.
    """
    found = jnp.zeros(shape.shape[0], bool)
    for eye in (LEFT_EYE_LANDMARKS, RIGHT_EYE_LANDMARKS):
        corners = shape[landmarks[jnp.array(eye)]]
        following = jnp.roll(corners, -1, axis=0)
        way = (following - corners)[None]
        offset = shape[:, None] - corners[None]
        # The landmarks go around the eye clockwise, as the picture shows it.
        within = way[..., 0] * offset[..., 1] - way[..., 1] * offset[..., 0] < 0
        depth = jnp.abs(shape[:, 2] - corners[:, 2].mean()) < 2 * EYEBALL_RADIUS_DM
        found = found | (within.all(axis=1) & depth)
    return found


def close_lids(
    shape: Float[Array, "*t n 3"],
    lids: Float[Array | np.ndarray, "n 3"],
    blink: Float[Array | np.ndarray, "*t"],
) -> Float[Array, "*t n 3"]:
    """The shapes with their eyes as far closed as the blink says.

    Args:
        shape: of the face, decimetres.
        lids: displacements that close the eyes, decimetres.
        blink: AU45 intensity, 0 to 5.
    """
    return shape + (blink / MAX_BLINK)[..., None, None] * jnp.asarray(lids)[(None,) * blink.ndim]


def gaze_direction(gaze: Float[Array | np.ndarray, "*b 2"]) -> Float[Array | np.ndarray, "*b 3"]:
    """The unit vector of a gaze (pitch, yaw) in radians.

    They turn as the head's pitch and yaw do: positive ones down and to the picture's right.
    """
    xp, pitch, yaw = gaze.__array_namespace__(), gaze[..., 0], gaze[..., 1]
    across = xp.cos(pitch)
    return xp.stack([xp.sin(yaw) * across, -xp.sin(pitch), xp.cos(yaw) * across], axis=-1)


def gaze_angles(
    direction: Float[Array | np.ndarray, "*b 3"],
) -> Float[Array | np.ndarray, "*b 2"]:
    """The inverse of `gaze_direction`, of vectors of any length."""
    xp = direction.__array_namespace__()
    x, y, z = direction[..., 0], direction[..., 1], direction[..., 2]
    return xp.stack([-xp.atan2(y, xp.hypot(x, z)), xp.atan2(x, z)], axis=-1)
