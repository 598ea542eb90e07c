"""What a person's video shows between their lips."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, UInt8

from facial_jax.attributes import Attributes, Identity
from facial_jax.compilation import jit
from facial_jax.face.lips import inner_lip_edges
from facial_jax.face.model import FaceModel
from facial_jax.precision import full_precision
from facial_jax.rendering.camera import pinhole_camera
from facial_jax.rendering.inner_mouth import (
    MAX_PICTURES,
    InnerMouth,
    gap_and_width,
    inner_lips,
    lip_edge_pixels,
    texel_pixels,
)
from facial_jax.rendering.sampling import sample_bilinear

_OPEN_DM = 0.02
"""A smaller gap shows lips and shadow only."""
_DARK = 0.2
"""How light a mouth's inside is that was never seen, in shares of what is between the lips."""


def video_inner_mouth(
    model: FaceModel,
    identity: Identity,
    attributes: Attributes,
    frames: UInt8[np.ndarray, "t h w 3"],
) -> InnerMouth:
    """Pictures of what is between the lips, of frames whose lips differ as much as possible.

    If no frame shows an open mouth, its inside is dark.

    Args:
        model: the face model.
        identity: the person's.
        attributes: of the frames.
        frames: the video's, cropped as it was tracked.

    Raises:
        ValueError: the numbers of frames differ, or there is none.
    """
    if len(frames) != len(attributes) or not len(frames):
        raise ValueError(
            f"frames: expected as many as there are attributes and at least one, got {len(frames)} "
            f"for {len(attributes)}"
        )
    expression = jnp.asarray(attributes.expression)
    lips = inner_lips(model, jnp.asarray(identity.identity), expression)
    lips, gap = np.asarray(lips), np.asarray(gap_and_width(lips))[:, 0]
    wide = np.flatnonzero(gap > _OPEN_DM)
    if len(wide):
        chosen = wide[apart(lips[wide].reshape(len(wide), -1), MAX_PICTURES)]
    else:
        chosen = np.array([gap.argmax()])
    edges = inner_lip_edges(model)
    pictures = np.asarray(_between(model, edges, identity, attributes[chosen], frames[chosen]))
    if not len(wide):
        pictures = pictures * _DARK
    return InnerMouth(np.round(pictures).astype(np.uint8), lips[chosen])


def apart(points: Float[np.ndarray, "n d"], count: int) -> Int[np.ndarray, "k"]:
    """Numbers of up to `count` points, from the first on each as far from those before as any."""
    chosen = [0]
    nearest = np.linalg.norm(points - points[0], axis=1)
    while len(chosen) < min(count, len(points)) and nearest.max() > 0:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen, np.int64)


@jit
@full_precision
def _between(model, lip_edges, identity, attributes, frames):
    """What is between the lips, 0 to 255, in the shape of pictures, (t, 16, 32, 3)."""
    camera = pinhole_camera(frames.shape[1:3])
    pixels = lip_edge_pixels(model, lip_edges, identity.identity, attributes, camera)

    def one(frame, edges):
        # Pixels' centres lie at +0.5.
        return sample_bilinear(frame, texel_pixels(edges) - 0.5)

    return jax.vmap(one)(jnp.asarray(frames), pixels)
