"""The eye region of the face model (FACIAL, Sec. 3.3, Eq. 9)."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

# iBUG-68: the six landmarks around each eye, named from the viewer's side.
LEFT_EYE_LANDMARKS = tuple(range(36, 42))
RIGHT_EYE_LANDMARKS = tuple(range(42, 48))

# Decimetres², as are the model's units: half axes of 2.3 and 1.15 cm. Chosen by the published mask,
# which reaches three quarters of an eye's width to each side of its centre (counted along the edges
# of the published mesh) and whose two regions are apart: so does this one for an eye 3 cm wide.
DEFAULT_THRESHOLD = 0.013


def eye_region(
    vertices: Float[Array, "n 3"],
    landmarks: Int[Array, "68"],
    *,
    threshold: float = DEFAULT_THRESHOLD,
) -> Bool[Array, "n"]:
    """Vertices with (v_x − c_x)²/4 + (v_y − c_y)² < th for either eye's centre c (FACIAL, Eq. 9).

    The centre of an eye is the mean of its six landmarks. The ellipse goes through the head from
    front to back; on a closed head it would also mark the back, so vertices farther behind an eye
    than the ellipse is wide do not belong to it.

    Args:
        vertices: the mean face in decimetres, x to the right, y up.
        landmarks: vertex indices of the 68 iBUG landmarks.
        threshold: th, in squared units of the vertices: the ellipse's half axes are 2·√th and √th.
    """
    centers = jnp.stack(
        [
            vertices[landmarks[jnp.array(eye)]].mean(axis=0)
            for eye in (LEFT_EYE_LANDMARKS, RIGHT_EYE_LANDMARKS)
        ]
    )
    offset = vertices[:, None, :] - centers[None]
    inside = offset[..., 0] ** 2 / 4 + offset[..., 1] ** 2 < threshold
    depth = 4 * threshold**0.5
    return jnp.any(inside & (offset[..., 2] > -depth), axis=-1)
