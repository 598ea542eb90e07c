"""Pictures of the built-in face model: faces, a turn of the head, the eye attention map."""

import jax.numpy as jnp
import numpy as np

from facial_jax.attributes import Attributes, Identity
from facial_jax.face.procedural import procedural_face_model
from facial_jax.rendering.camera import pinhole_camera
from facial_jax.rendering.render import RenderedFace, render, scale_attention

# Soft light from above and the left.
LIGHT = np.zeros((3, 9), np.float32)
LIGHT[:, :4] = [-0.22, -0.1, 0.24, 0.09]


GROUND = np.array([0.93, 0.93, 0.94], np.float32)
POSE = np.array([0.0, 0.0, 0.0, 0.0, -0.05, -0.9], np.float32)


def render_large(
    identity: np.ndarray, texture: np.ndarray, expression: np.ndarray, pose: np.ndarray, cell: int
) -> RenderedFace:
    """One face in twice the size."""
    size = (2 * cell, 2 * cell)
    identity, texture, expression, pose = (
        jnp.asarray(x, jnp.float32) for x in (identity, texture, expression, pose)
    )
    person = Identity(identity=identity, texture=texture, illumination=jnp.asarray(LIGHT))
    attributes = Attributes(expression=expression, pose=pose, blink=jnp.zeros(()))
    return render(procedural_face_model(), person, attributes, pinhole_camera(size), size)


def halve(image: np.ndarray) -> np.ndarray:
    """Averages of 2 × 2 pixels."""
    height, width, channels = image.shape
    return image.reshape(height // 2, 2, width // 2, 2, channels).mean(axis=(1, 3))


def draw_face(
    identity: np.ndarray,
    texture: np.ndarray,
    expression: np.ndarray,
    cell: int,
    *,
    pose: np.ndarray = POSE,
) -> np.ndarray:
    """(cell, cell, 3) picture of a face on a light ground."""
    face = render_large(identity, texture, expression, pose, cell)
    return halve(np.asarray(face.image) + (1.0 - np.asarray(face.mask)) * GROUND)


def draw_faces(
    identity: np.ndarray, texture: np.ndarray, expression: np.ndarray, cell: int
) -> np.ndarray:
    """(k, cell, cell, 3) pictures of k faces on a light ground."""
    rows = zip(identity, texture, expression, strict=True)
    return np.stack([draw_face(*row, cell) for row in rows])


def draw_turn(identity: np.ndarray, texture: np.ndarray, cell: int) -> np.ndarray:
    """14 pictures: yaw from -60 to 60 degrees, then pitch from -30 to 30."""
    turns = [(0.0, yaw) for yaw in np.linspace(-60, 60, 7)]
    turns += [(pitch, 0.0) for pitch in np.linspace(-30, 30, 7)]
    pictures = []
    for pitch, yaw in turns:
        pose = POSE.copy()
        pose[:2] = np.deg2rad([pitch, yaw])
        pictures.append(draw_face(identity, texture, np.zeros(64), cell, pose=pose))
    return np.stack(pictures)


def draw_attention(identity: np.ndarray, texture: np.ndarray, cell: int) -> np.ndarray:
    """The rendered face and its attention map at blinks of 0, 1.25, 2.5, 3.75 and 5."""
    face = render_large(identity, texture, np.zeros(64), POSE, cell)
    picture = halve(np.asarray(face.image))
    blinks = np.linspace(0.0, 5.0, 5, dtype=np.float32)
    maps = [halve(np.asarray(scale_attention(face.attention, jnp.asarray(b)))) for b in blinks]
    return np.stack([picture, *(np.broadcast_to(m, picture.shape) for m in maps)])
