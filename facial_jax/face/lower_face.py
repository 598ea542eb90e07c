"""The lower face of a face model: what speech moves most (personalized pose dynamics, Eq. 7)."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

# iBUG-68: where the nose ends above the upper lip, the tip of the chin, and the jaw's two angles.
NOSE_BASE, CHIN = 33, 8
JAW_ANGLES = (3, 13)

BELOW_CHIN = 0.2
"""How far below the chin the lower face reaches, in distances from the nose's base to the chin."""


def lower_face(vertices: Float[Array, "n 3"], landmarks: Int[Array, "68"]) -> Bool[Array, "n"]:
    """Vertices below the nose: lips and what is between them, cheeks, jaw, chin, and its underside.

    Not farther back than the angles of the jaw, and no throat. It is found by landmarks alone, on
    any mesh of a face.

    Args:
        vertices: the mean face in decimetres; x to the right, y up, z towards the viewer.
        landmarks: vertex indices of the 68 iBUG landmarks.
    """
    points = vertices[landmarks]
    top, chin = points[NOSE_BASE, 1], points[CHIN, 1]
    back = points[jnp.array(JAW_ANGLES), 2].min()
    height, depth = vertices[:, 1], vertices[:, 2]
    return (height < top) & (height > chin - BELOW_CHIN * (top - chin)) & (depth > back)
