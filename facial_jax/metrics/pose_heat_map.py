"""Where a person's landmarks are seen while they speak (CVM, Sec. 3, Fig. 2)."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from facial_jax.attributes import Attributes
from facial_jax.compilation import jit
from facial_jax.face.model import FaceModel
from facial_jax.rendering.camera import (
    camera_vertices,
    pinhole_camera,
    pose_vertices,
    project_to_pixels,
)

SIZE_PX = 224
_CHUNK = 512


def landmark_heat_map(
    poses: Float[np.ndarray, "t 6"], face: FaceModel, *, size: int = SIZE_PX
) -> Float[np.ndarray, "size size"]:
    """How often a landmark of the mean face is in each pixel, per frame; their sum is 68 at most.

    Args:
        poses: radians and decimetres.
        face: whose mean shape is moved.
        size: height and width of the picture.
    """
    points = jnp.asarray(face.mean_shape)[jnp.asarray(face.landmarks)]
    camera = pinhole_camera((size, size))

    @jit
    def project(pose):
        zeros = Attributes(
            expression=jnp.zeros((len(pose), 64)), pose=pose, blink=jnp.zeros(len(pose))
        )
        there = pose_vertices(jnp.broadcast_to(points[None], (len(pose), *points.shape)), zeros)
        return project_to_pixels(camera, camera_vertices(camera, there))

    counts = np.zeros((size, size))
    for start in range(0, len(poses), _CHUNK):
        part = np.asarray(poses[start : start + _CHUNK], np.float32)
        padded = np.pad(part, ((0, _CHUNK - len(part)), (0, 0)))
        pixels = np.asarray(project(jnp.asarray(padded)))[: len(part), :, :2].reshape(-1, 2)
        edges = np.arange(size + 1)
        counts += np.histogram2d(pixels[:, 1], pixels[:, 0], bins=(edges, edges))[0]
    return counts / max(len(poses), 1)


def draw_heat_map(heat: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Black where no landmark ever is, through red and yellow to white where one always is.

    The square root of the heat is drawn, so that rare places can be seen.
    """
    level = np.sqrt(heat / max(float(heat.max()), 1e-12))[..., None]
    rgb = np.clip(3 * level - np.array([0.0, 1.0, 2.0]), 0.0, 1.0)
    return np.round(rgb * 255).astype(np.uint8)
