"""A person's own texture: the colours that a video shows of each vertex of their face.

The coefficients of a statistical texture give a skin's tone. Lids, lashes, lips, teeth and moles
are the video's, and a rendering-to-video network that sees them in their places need not make
them up. (The paper renders the statistical texture.)
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from facial_jax.attributes import Attributes, Identity
from facial_jax.compilation import jit
from facial_jax.face.model import FaceModel, face_shape, face_texture, vertex_normals
from facial_jax.precision import full_precision
from facial_jax.rendering.camera import (
    Camera,
    camera_vertices,
    clip_positions,
    pinhole_camera,
    pose_vertices,
    project_to_pixels,
)
from facial_jax.rendering.lighting import irradiance
from facial_jax.rendering.mapping import map_frames
from facial_jax.rendering.rasterizer import rasterize
from facial_jax.rendering.sampling import sample_bilinear

MAX_FRAMES = 128
OPEN_EYES = 1.0
"""AU45 intensity up to which eyes count as open; frames with closed ones show the lids."""
_BATCH = 8
_MIN_COSINE = 0.3
"""Of the angle under which a surface is seen; below it a pixel is a smear of many vertices."""
_MIN_LIGHT = 0.1
_DEPTH_TOLERANCE = 0.04  # decimetres
_MIN_SEEN = 3


def texture_frames(blink: Float[np.ndarray, "t"]) -> Int[np.ndarray, "n"]:
    """Numbers of the frames that tell the texture best: up to 128, evenly spread, eyes open.

    `blink`: AU45 of all frames. If no eyes are open, any frames are taken.
    """
    usable = np.flatnonzero(blink <= OPEN_EYES)
    if not len(usable):
        usable = np.arange(len(blink))
    return np.unique(usable[np.linspace(0, len(usable) - 1, MAX_FRAMES).round().astype(int)])


def video_texture(
    model: FaceModel,
    identity: Identity,
    attributes: Attributes,
    frames: UInt8[np.ndarray, "t h w 3"],
) -> Float[np.ndarray, "n 3"]:
    """The albedo of every vertex: the median of what the frames show where it is seen, unlit.

    Args:
        model: the face model.
        identity: the person's, as tracked; gives the light, and the texture of what is never seen.
        attributes: of the frames.
        frames: the video's, cropped as it was tracked; see `texture_frames`.

    Returns:
        RGB around [0, 1], see `person_face_model`.

    Raises:
        ValueError: the numbers of frames differ.
    """
    if len(frames) != len(attributes) or not len(frames):
        raise ValueError(
            f"frames: expected as many as there are attributes and at least one, got {len(frames)} "
            f"for {len(attributes)}"
        )
    count = len(frames)
    padded = np.minimum(np.arange(-(-count // _BATCH) * _BATCH), count - 1)
    camera = pinhole_camera(frames.shape[1:3])
    batches = [
        jax.device_get(_sample(model, identity, attributes[chosen], frames[chosen], camera))
        for chosen in padded.reshape(-1, _BATCH)
    ]
    samples = np.concatenate(batches)[:count]
    seen = np.isfinite(samples[..., 0]).sum(axis=0) >= _MIN_SEEN
    texture = np.array(face_texture(model, identity.texture))
    texture[seen] = np.nanmedian(samples[:, seen], axis=0)
    return texture


@jit
@full_precision
def _sample(
    model: FaceModel,
    identity: Identity,
    attributes: Attributes,
    frames: UInt8[Array | np.ndarray, "b h w 3"],
    camera: Camera,
) -> Float[Array, "b n 3"]:
    """The unlit colour of each vertex in each frame, NaN where it is not seen."""
    size = frames.shape[1:3]
    shape = face_shape(model, identity.identity, attributes.expression)
    vertices = pose_vertices(shape, attributes)
    normals = vertex_normals(vertices, model.triangles, model.vertex_triangles)

    def one(vertices, normals, frame):
        placed = camera_vertices(camera, vertices)
        pixels = project_to_pixels(camera, placed)
        rast = rasterize(clip_positions(camera, placed, size), model.triangles, size)
        column, row = (jnp.floor(pixels[:, i]).astype(jnp.int32) for i in range(2))
        inside = (column >= 0) & (column < size[1]) & (row >= 0) & (row < size[0])
        nearest = rast[row.clip(0, size[0] - 1), column.clip(0, size[1] - 1)]
        near, far = camera.near, camera.far
        depth = 2 * far * near / ((far + near) - (far - near) * nearest[:, 2])
        in_front = (nearest[:, 3] > 0) & (placed[:, 2] < depth + _DEPTH_TOLERANCE)
        x, y, z = placed[:, 0], placed[:, 1], -placed[:, 2]
        cosine = -(normals * jnp.stack([x, y, z], axis=-1)).sum(-1) / jnp.sqrt(x**2 + y**2 + z**2)
        light = jnp.maximum(irradiance(normals, identity.illumination), _MIN_LIGHT)
        # Pixels' centres lie at +0.5.
        color = sample_bilinear(frame, pixels - 0.5) / 255.0 / light
        return jnp.where((inside & in_front & (cosine > _MIN_COSINE))[:, None], color, jnp.nan)

    return map_frames(one, vertices, normals, frames)
