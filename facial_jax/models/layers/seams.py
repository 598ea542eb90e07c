"""Where two windows of generated motion meet."""

import jax.numpy as jnp
from jaxtyping import Array, Float

SEAM_FADE_FRAMES = 8.0
"""Time constant, in frames, with which the correction at a window's start fades."""


def continue_motion(window: Float[Array, "t n"], before: Float[Array, "n"]) -> Float[Array, "t n"]:
    """The window going on from where the motion was in the frame before.

    The first step is made as large as the second one; the difference fades over the frames.
    """
    jump = (window[0] - before) - (window[1] - window[0])
    fade = jnp.exp(-jnp.arange(len(window), dtype=jnp.float32) / SEAM_FADE_FRAMES)
    return window - fade[:, None] * jump[None]
