"""An animated head as pictures: the face model alone, lit, on a neutral ground, framed for all that
it does.
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from facial_jax.attributes import Attributes, Identity
from facial_jax.compilation import jit
from facial_jax.face.eyes import close_lids
from facial_jax.face.model import FaceModel, face_shape, face_texture
from facial_jax.rendering.camera import (
    REFERENCE_DISTANCE,
    REFERENCE_FOCAL_PX,
    REFERENCE_SIZE_PX,
    Camera,
    pinhole_camera,
    pose_vertices,
    rotation_from_euler,
)
from facial_jax.rendering.gallery import GROUND
from facial_jax.rendering.render import render_vertices

BATCH_FRAMES = 8
"""Frames rendered together: always as many, so that pixels do not depend on the chunk's size."""
FINER = 2
"""Samples per pixel in height and in width, which are averaged: the mesh is as fine as the pixels,
and edges that the rasterizer's antialiasing does not see would be jagged."""
FILLED = 0.88
"""Share of the picture's height that the head reaches at most."""


def frame_head(model: FaceModel, person: Identity, attributes: Attributes) -> Attributes:
    """The same motion in the middle of a square picture, as close as it can be without leaving it.

    All poses are moved by one translation, so that every vertex is seen by `pinhole_camera` in all
    frames, whatever camera the poses were tracked with.
    """
    identity = mean_identity(person, attributes)
    outline = outline_vertices(np.asarray(face_shape(model, identity, jnp.zeros(64))))
    pose = np.asarray(attributes.pose, np.float32)
    rotation = np.asarray(rotation_from_euler(jnp.asarray(pose[:, :3])))
    points = np.einsum("tij,kj->tki", rotation, outline) + pose[:, None, 3:]
    low, high = points.min(axis=(0, 1)), points.max(axis=(0, 1))
    middle = (low + high) / 2
    slope = FILLED * REFERENCE_SIZE_PX / 2 / REFERENCE_FOCAL_PX
    reach = np.abs(points[..., :2] - middle[:2]).max(axis=-1) / slope + points[..., 2]
    shift = np.array([-middle[0], -middle[1], REFERENCE_DISTANCE - reach.max()], np.float32)
    pose = pose + np.concatenate([np.zeros(3, np.float32), shift])
    return attributes.replace(pose=pose)


def mean_identity(person: Identity, attributes: Attributes) -> Float[Array, "80"]:
    """The person's shape coefficients; of frames with their own, the mean."""
    if attributes.identity is None:
        return jnp.asarray(person.identity)
    return jnp.asarray(np.asarray(attributes.identity).mean(axis=0))


def outline_vertices(vertices: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "k 3"]:
    """The outermost vertices in 26 directions, between which the others lie."""
    steps = np.stack(np.meshgrid(*3 * [[-1.0, 0.0, 1.0]]), axis=-1).reshape(-1, 3)
    directions = steps[np.abs(steps).sum(axis=1) > 0]
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return vertices[np.unique((vertices @ directions.T).argmax(axis=0))]


def head_chunks(
    model: FaceModel,
    person: Identity,
    attributes: Attributes,
    *,
    size: int,
    lids: Float[np.ndarray, "v 3"] | None,
    chunk_frames: int,
) -> Iterator[UInt8[np.ndarray, "n h w 3"]]:
    """The frames of these attributes, a chunk at a time, uint8 RGB.

    Args:
        model: the face model.
        person: shape, texture and light.
        attributes: (t) frames, such as from `frame_head`.
        size: height and width in pixels.
        lids: displacements that close the eyes, in dm; None: they stay open.
        chunk_frames: how many are made at a time, rounded up to a multiple of 8.
    """
    count, camera = len(attributes), pinhole_camera((FINER * size, FINER * size))
    chunk = -(-max(chunk_frames, 1) // BATCH_FRAMES) * BATCH_FRAMES
    lids = jnp.zeros_like(model.mean_shape) if lids is None else jnp.asarray(lids)
    attributes = jax.tree.map(np.asarray, attributes)
    pending = None
    for start in range(0, count, chunk):
        index = np.minimum(np.arange(start, start + chunk), count - 1)
        frames = _draw_heads(model, person, lids, camera, attributes[index], size=size)
        frames.copy_to_host_async()
        if pending is not None:
            yield np.asarray(pending)
        pending = frames
    yield np.asarray(pending)[: count - start]


@jit(static_argnames=("size",))
def _draw_heads(
    model: FaceModel,
    person: Identity,
    lids: Float[Array, "v 3"],
    camera: Camera,
    attributes: Attributes,
    *,
    size: int,
) -> UInt8[Array, "n h w 3"]:
    albedo, fine = face_texture(model, person.texture), FINER * size

    def draw_batch(part: Attributes) -> UInt8[Array, "b h w 3"]:
        identity = person.identity if part.identity is None else part.identity
        shape = face_shape(model, identity, part.expression)
        shape = close_lids(shape, lids, part.blink)
        face = render_vertices(
            model,
            pose_vertices(shape, part),
            albedo,
            person.illumination,
            camera,
            (fine, fine),
        )
        image = face.image + (1.0 - face.mask) * jnp.asarray(GROUND)[None, None, None]
        image = image.reshape(-1, size, FINER, size, FINER, 3).mean(axis=(2, 4))
        return jnp.round(image.clip(0.0, 1.0) * 255.0).astype(jnp.uint8)

    batched = jax.tree.map(lambda x: x.reshape(-1, BATCH_FRAMES, *x.shape[1:]), attributes)
    return jax.lax.map(draw_batch, batched).reshape(-1, size, size, 3)
