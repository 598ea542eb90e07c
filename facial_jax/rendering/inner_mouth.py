"""What is seen between the lips: teeth, tongue and the dark behind, in the person's own pictures.

A face model's teeth are nobody's, and stand where its jaw is, which a tracker guesses from lips and
chin. How an open mouth looks goes with how the lips stand, and a video shows that: pictures of the
place between the lips' inner edges, each with the gap and the width at which it was seen. Those of
similar lips are mixed, and drawn between the edges. (The papers render a face model without teeth.)
"""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, UInt8

from facial_jax.face.model import FaceModel
from facial_jax.precision import full_precision
from facial_jax.rendering.sampling import sample_bilinear

TEXELS = (16, 32)
"""From the upper lip to the lower one, and from corner to corner."""
MAX_PICTURES = 64
LIKE_DM = 0.01
"""Lips whose gap and width differ by this much look alike."""
INNER_EDGES = slice(60, 68)
"""iBUG's landmarks of the lips' inner edges, from the picture's left corner and around."""
UPPER_EDGE, LOWER_EDGE = (0, 1, 2, 3, 4), (0, 7, 6, 5, 4)
"""Of these the upper and the lower ones, from the left corner to the right one."""
_WINDOW = 3
"""A mouth is looked for in a third of the picture's width and height."""
_SHUT_PIXELS = 1.5
"""Lips nearer than this show less of what is between them, and none at all when they meet."""
_OVER = 0.015
"""Of the mouth's width: so far over the edges, pictures cover what a mesh shows where lips meet."""


@flax.struct.dataclass
class InnerMouth:
    """What a person's open mouth shows."""

    pictures: UInt8[Array | np.ndarray, "k 16 32 3"]
    # between the lips' inner edges, as seen, light included
    lips: Float[Array | np.ndarray, "k 2"]
    # gap and width of the lips that each was seen between, decimetres


@full_precision
def inner_lips(
    model: FaceModel, identity: Float[Array, "80"], expression: Float[Array, "t 64"]
) -> Float[Array, "t 2"]:
    """Gap between the lips' inner edges and distance of their corners, in decimetres."""
    rows = model.landmarks[INNER_EDGES]
    still = model.mean_shape[rows] + model.identity_basis[rows] @ identity
    points = still[None] + jnp.einsum("nij,tj->tni", model.expression_basis[rows], expression)
    gap = points[:, UPPER_EDGE[2], 1] - points[:, LOWER_EDGE[2], 1]
    width = jnp.linalg.norm(points[:, UPPER_EDGE[-1]] - points[:, UPPER_EDGE[0]], axis=-1)
    return jnp.stack([gap, width], axis=-1)


def draw_inner_mouth(
    image: Float[Array, "h w 3"],
    inner_mouth: InnerMouth,
    edges: Float[Array, "8 2"],
    lips: Float[Array, "2"],
) -> Float[Array, "h w 3"]:
    """The picture of a face with what is between its lips.

    Args:
        image: RGB in [0, 1].
        inner_mouth: the person's.
        edges: pixels of the lips' inner edges.
        lips: their gap and width, decimetres.
    """
    height, width = image.shape[:2]
    rows, columns = max(height // _WINDOW, 4), max(width // _WINDOW, 4)
    middle = edges.mean(axis=0)
    left, top = (
        jnp.clip(jnp.round(m - side / 2).astype(jnp.int32), 0, n - side)
        for m, side, n in ((middle[0], columns, width), (middle[1], rows, height))
    )
    x, y = (
        jnp.arange(n, dtype=jnp.float32) + 0.5 + first.astype(jnp.float32)
        for n, first in ((columns, left), (rows, top))
    )
    place, share = between_lips(edges, jnp.stack(jnp.broadcast_arrays(x[None], y[:, None]), -1))
    texels = jnp.array([TEXELS[1], TEXELS[0]], jnp.float32).reshape(1, 1, 2)
    color = sample_bilinear(_mixed(inner_mouth, lips), place * texels - 0.5)
    start = (top, left, jnp.int32(0))
    under = lax.dynamic_slice(image, start, (rows, columns, 3))
    return lax.dynamic_update_slice(image, under + share[..., None] * (color - under), start)


def _mixed(inner_mouth: InnerMouth, lips: Float[Array, "2"]) -> Float[Array, "16 32 3"]:
    """The pictures seen between similar lips, the more of each the more similar."""
    apart = ((jnp.asarray(inner_mouth.lips) - lips[None]) ** 2).sum(axis=-1)
    weight = jax.nn.softmax(-apart / (2 * LIKE_DM**2))
    pictures = jnp.asarray(inner_mouth.pictures).astype(jnp.float32) / 255
    return jnp.tensordot(weight, pictures, axes=1)


def between_lips(
    edges: Float[Array, "8 2"], pixels: Float[Array, "h w 2"]
) -> tuple[Float[Array, "h w 2"], Float[Array, "h w"]]:
    """Places of pixels between the lips, and how much of each pixel lies there.

    Places go from 0 to 1 from the left corner to the right one, and from the upper edge to the
    lower one; beyond, they go on.
    """
    axes, length = _axes(edges)
    offset = (pixels - edges[0].reshape(1, 1, 2)) @ axes
    u, depth = offset[..., 0] / length, offset[..., 1]
    upper, lower = (_depth_of(edges, edge, u) for edge in (UPPER_EDGE, LOWER_EDGE))
    gap = lower - upper
    v = (depth - upper) / jnp.maximum(gap, 1e-3)
    over = 0.5 + _OVER * length
    share = jnp.clip(jnp.minimum(depth - upper, lower - depth) + over, 0.0, 1.0)
    opening = (edges[LOWER_EDGE[2]] - edges[UPPER_EDGE[2]]) @ axes[:, 1]
    beyond = jnp.maximum(-u, u - 1) * length
    share = share * jnp.clip(opening / _SHUT_PIXELS, 0.0, 1.0)
    share = share * jnp.clip(over - beyond, 0.0, 1.0)
    return jnp.stack([u, v], axis=-1), share


def texel_pixels(edges: Float[Array, "8 2"]) -> Float[Array, "16 32 2"]:
    """Where the texels of a picture are seen: the inverse of `between_lips`."""
    axes, length = _axes(edges)
    v, u = ((jnp.arange(n, dtype=jnp.float32) + 0.5) / n for n in TEXELS)
    upper, lower = (_depth_of(edges, edge, u) for edge in (UPPER_EDGE, LOWER_EDGE))
    depth = upper[None] + v[:, None] * (lower - upper)[None]
    offset = jnp.stack(jnp.broadcast_arrays(u[None] * length, depth), axis=-1)
    return edges[0].reshape(1, 1, 2) + offset @ axes.T


def _axes(edges):
    """Columns from corner to corner and across it, and how far the corners are apart."""
    along = edges[UPPER_EDGE[-1]] - edges[0]
    length = jnp.maximum(jnp.linalg.norm(along), 1e-3)
    along = along / length
    return jnp.stack([along, jnp.stack([-along[1], along[0]])], axis=-1), length


def _depth_of(edges, edge, u):
    """How far an edge is from the line between the corners, at places along it."""
    axes, length = _axes(edges)
    offset = (edges[jnp.array(edge)] - edges[0].reshape(1, 2)) @ axes
    return jnp.interp(u, offset[:, 0] / length, offset[:, 1])


def inner_mouth_arrays(inner_mouth: InnerMouth) -> dict[str, np.ndarray]:
    """As files hold it; the inverse of `inner_mouth_from_arrays`."""
    return {
        "pictures": np.asarray(inner_mouth.pictures),
        "lips": np.asarray(inner_mouth.lips, np.float32),
    }


def inner_mouth_from_arrays(arrays: dict[str, np.ndarray]) -> InnerMouth:
    """What `inner_mouth_arrays` gave.

    Raises:
        ValueError: one is missing, or of another shape or type.
    """
    pictures, lips = arrays.get("pictures"), arrays.get("lips")
    count = len(pictures) if np.ndim(pictures) == 4 else 0
    if not count or pictures.dtype != np.uint8 or pictures.shape[1:] != (*TEXELS, 3):
        raise ValueError("inner mouth: expected uint8 pictures of shape (k, 16, 32, 3)")
    if lips is None or lips.shape != (count, 2) or not np.isfinite(lips).all():
        raise ValueError(f"inner mouth: expected finite numbers lips of shape ({count}, 2)")
    return InnerMouth(pictures, lips)
