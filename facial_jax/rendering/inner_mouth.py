"""What is seen between the lips: teeth, tongue and the dark behind, in the person's own pictures.

A face model's teeth are nobody's, and stand where its jaw is, which a tracker guesses from lips and
chin. How an open mouth looks goes with how the lips stand, and a video shows that: pictures of the
place between the lips' inner edges, each with the lips that it was seen between. Those of similar
lips are mixed, and drawn between the edges. (The papers render a face model without teeth.)
"""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, UInt8

from facial_jax.attributes import Attributes
from facial_jax.face.lips import LOWER_INNER, UPPER_INNER
from facial_jax.face.model import FaceModel
from facial_jax.precision import full_precision
from facial_jax.rendering.camera import (
    Camera,
    camera_vertices,
    pose_vertices,
    project_to_pixels,
)
from facial_jax.rendering.sampling import sample_bilinear

TEXELS = (16, 32)
"""From the upper lip to the lower one, and from corner to corner."""
MAX_PICTURES = 256
LIKE_DM = 0.007
"""Lips whose inner edges are as far apart, in the mean of their landmarks, look alike."""
_LIKE_GAP_DM = 0.01
"""The same for their gap and width."""
INNER_EDGES = slice(60, 68)
"""iBUG's landmarks on the lips' inner edges."""
_CORNERS_AND_MIDDLES = 60, 64, UPPER_INNER, LOWER_INNER
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
    lips: Float[Array | np.ndarray, "k 8 3"] | Float[Array | np.ndarray, "k 2"]
    # landmarks of the inner edges that each was seen between, head space, decimetres; in files of
    # before 0.4 their gap and width


@full_precision
def inner_lips(
    model: FaceModel, identity: Float[Array, "80"], expression: Float[Array, "t 64"]
) -> Float[Array, "t 8 3"]:
    """The landmarks of the lips' inner edges without the head's pose, in decimetres."""
    return _shape_at(model, model.landmarks[INNER_EDGES], identity, expression)


@full_precision
def lip_edge_pixels(
    model: FaceModel,
    lip_edges: Int[Array | np.ndarray, "2 k"],
    identity: Float[Array, "80"],
    attributes: Attributes,
    camera: Camera,
) -> Float[Array, "t 2 k 2"]:
    """Where the inner edges of the upper and the lower lip are seen in every frame, in pixels.

    `lip_edges`: their vertices, `facial_jax.face.lips.inner_lip_edges`.
    """
    rows = jnp.asarray(lip_edges).reshape(-1)
    shape = _shape_at(model, rows, identity, jnp.asarray(attributes.expression))
    placed = camera_vertices(camera, pose_vertices(shape, attributes))
    return project_to_pixels(camera, placed).reshape(-1, *lip_edges.shape, 2)


def _shape_at(model, rows, identity, expression):
    """Some of the face's vertices in every frame, (t, k, 3), decimetres."""
    still = model.mean_shape[rows] + model.identity_basis[rows] @ identity
    return still[None] + jnp.einsum("nij,tj->tni", model.expression_basis[rows], expression)


def draw_inner_mouth(
    image: Float[Array, "h w 4"],
    inner_mouth: InnerMouth,
    edges: Float[Array, "2 k 2"],
    lips: Float[Array, "8 3"],
) -> Float[Array, "h w 4"]:
    """The picture of a face with what is between its lips, which nothing behind it shows through.

    Args:
        image: RGB and opacity in [0, 1].
        inner_mouth: the person's.
        edges: pixels of the lips' inner edges, see `lip_edge_pixels`.
        lips: see `inner_lips`.
    """
    height, width = image.shape[:2]
    rows, columns = max(height // _WINDOW, 4), max(width // _WINDOW, 4)
    middle = edges.mean(axis=(0, 1))
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
    color = jnp.concatenate([color, jnp.ones_like(color[..., :1])], axis=-1)
    start = (top, left, jnp.int32(0))
    under = lax.dynamic_slice(image, start, (rows, columns, 4))
    return lax.dynamic_update_slice(image, under + share[..., None] * (color - under), start)


def _mixed(inner_mouth: InnerMouth, lips: Float[Array, "8 3"]) -> Float[Array, "16 32 3"]:
    """The pictures seen between similar lips, the more of each the more similar."""
    seen = jnp.asarray(inner_mouth.lips)
    if seen.ndim == 2:
        apart, like = ((seen - gap_and_width(lips)[None]) ** 2).sum(axis=-1), _LIKE_GAP_DM
    else:
        apart, like = ((seen - lips[None]) ** 2).sum(axis=-1).mean(axis=-1), LIKE_DM
    weight = jax.nn.softmax(-apart / (2 * like**2))
    pictures = jnp.asarray(inner_mouth.pictures).astype(jnp.float32) / 255
    return jnp.tensordot(weight, pictures, axes=1)


def gap_and_width(lips: Float[Array, "*b 8 3"]) -> Float[Array, "*b 2"]:
    """Gap between the lips' inner edges and distance of their corners, in decimetres."""
    left, right, upper, lower = (
        lips[..., landmark - INNER_EDGES.start, :] for landmark in _CORNERS_AND_MIDDLES
    )
    gap, width = upper[..., 1] - lower[..., 1], jnp.linalg.norm(right - left, axis=-1)
    return jnp.stack([gap, width], axis=-1)


def between_lips(
    edges: Float[Array, "2 k 2"], pixels: Float[Array, "h w 2"]
) -> tuple[Float[Array, "h w 2"], Float[Array, "h w"]]:
    """Places of pixels between the lips, and how much of each pixel lies there.

    Places go from 0 to 1 from the left corner to the right one, and from the upper edge to the
    lower one; beyond, they go on.
    """
    axes, length = _axes(edges)
    offset = (pixels - edges[0, 0].reshape(1, 1, 2)) @ axes
    u, depth = offset[..., 0] / length, offset[..., 1]
    upper, lower = _depths(edges, u)
    gap = lower - upper
    v = (depth - upper) / jnp.maximum(gap, 1e-3)
    over = 0.5 + _OVER * length
    share = jnp.clip(jnp.minimum(depth - upper, lower - depth) + over, 0.0, 1.0)
    middle = edges.shape[1] // 2
    opening = (edges[1, middle] - edges[0, middle]) @ axes[:, 1]
    beyond = jnp.maximum(-u, u - 1) * length
    share = share * jnp.clip(opening / _SHUT_PIXELS, 0.0, 1.0)
    share = share * jnp.clip(over - beyond, 0.0, 1.0)
    return jnp.stack([u, v], axis=-1), share


def texel_pixels(edges: Float[Array, "2 k 2"]) -> Float[Array, "16 32 2"]:
    """Where the texels of a picture are seen: the inverse of `between_lips`."""
    axes, length = _axes(edges)
    v, u = ((jnp.arange(n, dtype=jnp.float32) + 0.5) / n for n in TEXELS)
    upper, lower = _depths(edges, u)
    depth = upper[None] + v[:, None] * (lower - upper)[None]
    offset = jnp.stack(jnp.broadcast_arrays(u[None] * length, depth), axis=-1)
    return edges[0, 0].reshape(1, 1, 2) + offset @ axes.T


def _axes(edges):
    """Columns from corner to corner and across it, and how far the corners are apart."""
    along = edges[0, -1] - edges[0, 0]
    length = jnp.maximum(jnp.linalg.norm(along), 1e-3)
    along = along / length
    return jnp.stack([along, jnp.stack([-along[1], along[0]])], axis=-1), length


def _depths(edges, u):
    """How far either edge is from the line between the corners, at places along it."""
    axes, length = _axes(edges)
    offset = (edges - edges[0, 0].reshape(1, 1, 2)) @ axes
    along = lax.cummax(offset[..., 0] / length, axis=1)
    return [jnp.interp(u, x, depth) for x, depth in zip(along, offset[..., 1], strict=True)]


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
    shapes = (count, 8, 3), (count, 2)
    if lips is None or lips.shape not in shapes or not np.isfinite(lips).all():
        raise ValueError(f"inner mouth: expected finite numbers lips of shape ({count}, 8, 3)")
    return InnerMouth(pictures, lips)
