"""Turned, scaled and moved pictures: one short clip has few frames to learn from.

What the network sees and what it is to make are changed alike. Else it learns by heart which frame
a picture belongs to, strands of hair and looks included, and makes something between them of a pose
that lies between theirs.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from facial_jax.models.rendering_to_video.batch import VideoBatch, from_uint8
from facial_jax.rendering.sampling import sample_bilinear

MAX_TURN_RAD, MAX_SCALE, MAX_SHIFT = 0.07, 0.06, 0.06
"""At most so far; shifts in heights of the picture."""
_WARPED = 0.5
"""Share of the pictures. Warping them blurs them a little: not all of them are."""


def draw_warps(
    rng: np.random.Generator, count: int, height: int, strength: float
) -> Float[np.ndarray, "b 2 3"]:
    """Random changes of pictures of this height, as `VideoBatch.warp`.

    `strength`: 0 leaves them all as they are, 1 changes them as far as it goes.
    """
    turn, scale, *shift = rng.uniform(-1, 1, (4, count)) * strength
    warped = rng.random(count) < (_WARPED if strength else 0.0)
    angle = np.where(warped, MAX_TURN_RAD * turn, 0.0)
    factor = np.where(warped, np.exp(MAX_SCALE * scale), 1.0)
    across, down = np.where(warped, MAX_SHIFT * height * np.stack(shift), 0.0)
    cos, sin = factor * np.cos(angle), factor * np.sin(angle)
    rows = [[cos, -sin, across], [sin, cos, down]]
    return np.moveaxis(np.array(rows, np.float32), -1, 0)


def varied_batch(
    batch: VideoBatch,
) -> tuple[Float[Array, "b h w k"], Float[Array, "b h w 3"], Float[Array, "b h w 1"]]:
    """Condition, frame and weights after `batch.warp`; beyond the edge, the edge is repeated."""
    condition, frame = from_uint8(batch)
    weight = jnp.asarray(batch.weight)
    pictures = jnp.concatenate([condition, frame, weight], axis=-1)
    height, width = pictures.shape[1:3]
    middle = jnp.array([(width - 1) / 2, (height - 1) / 2], jnp.float32)
    rows, columns = (jnp.arange(n, dtype=jnp.float32) for n in (height, width))
    place = jnp.stack(jnp.broadcast_arrays(columns[None, :], rows[:, None]), axis=-1)
    place = place - middle[None, None]

    def one(picture, warp):
        source = place @ warp[:, :2].T + (warp[:, 2] + middle)[None, None]
        return sample_bilinear(picture, source)

    varied = jax.vmap(one)(pictures, jnp.asarray(batch.warp))
    k = condition.shape[-1]
    return varied[..., :k], varied[..., k : k + 3], varied[..., k + 3 :]
