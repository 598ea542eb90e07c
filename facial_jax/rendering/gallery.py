"""Draws pictures of the built-in face model.

Random faces, its named expression components, a turn of the head, the eye attention map.

python -m experiments.face_gallery
"""

from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import tyro

from facial_jax.attributes import Attributes, Identity
from facial_jax.face.procedural import EXPRESSION_NAMES, procedural_face_model
from facial_jax.pictures import save_png
from facial_jax.rendering.camera import pinhole_camera
from facial_jax.rendering.render import RenderedFace, render, scale_attention


@dataclass
class Config:
    """Options."""

    output: Path = Path("docs")
    """Folder to write."""

    deviations: float = 2.0
    """Standard deviation of the random coefficients."""

    cell: int = 160
    """Pixels per face."""

    seed: int = 0
    """Which faces."""


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


def save_grid(pictures: np.ndarray, columns: int, path: Path) -> None:
    """Saves pictures as one, row by row."""
    rows = len(pictures) // columns
    height, width = pictures.shape[1:3]
    grid = pictures[: rows * columns].reshape(rows, columns, height, width, 3).swapaxes(1, 2)
    grid = grid.reshape(rows * height, columns * width, 3)
    save_png(path, grid)


def main(config: Config) -> None:
    """Draws all pictures."""
    config.output.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(config.seed)
    identity = config.deviations * rng.standard_normal((36, 80))
    texture = config.deviations * rng.standard_normal((36, 80))
    faces = draw_faces(identity, texture, np.zeros((36, 64)), config.cell)
    save_grid(faces, 6, config.output / "face_gallery.png")

    expression = np.eye(64)[: len(EXPRESSION_NAMES)]
    expression[EXPRESSION_NAMES.index("mouth_close"), 0] = 1.0
    zeros = np.zeros((len(expression), 80))
    shapes = draw_faces(zeros, zeros, expression, config.cell)
    save_grid(shapes, 8, config.output / "face_expressions.png")

    person = identity[0] / 2, texture[0] / 2
    save_grid(draw_turn(*person, config.cell), 7, config.output / "turn_of_head.png")
    save_grid(draw_attention(*person, config.cell), 6, config.output / "eye_attention.png")


if __name__ == "__main__":
    main(tyro.cli(Config))
