"""Draws pictures of the built-in face model: random faces, and its named expression components.

python -m experiments.face_gallery
"""

from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from PIL import Image

from facial_jax.attributes import Attributes, Identity
from facial_jax.face.procedural import EXPRESSION_NAMES, procedural_face_model
from facial_jax.rendering.camera import pinhole_camera
from facial_jax.rendering.render import render


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


def draw_faces(
    identity: np.ndarray, texture: np.ndarray, expression: np.ndarray, cell: int
) -> np.ndarray:
    """(k, cell, cell, 3) pictures of k faces on a light ground."""
    model, size = procedural_face_model(), (2 * cell, 2 * cell)
    camera = pinhole_camera(size)

    @jax.jit
    def draw(model, identity, texture, expression):
        person = Identity(identity=identity, texture=texture, illumination=jnp.asarray(LIGHT))
        pose = jnp.array([0.0, 0.0, 0.0, 0.0, -0.03, -0.2])
        attributes = Attributes(expression=expression, pose=pose, blink=jnp.zeros(()))
        attributes = jax.tree.map(lambda x: x[None], attributes)
        face = render(model, person, attributes, camera, size)
        image = face.image + (1.0 - face.mask) * jnp.array([0.93, 0.93, 0.94])
        return image.reshape(cell, 2, cell, 2, 3).mean(axis=(1, 3))

    rows = zip(identity, texture, expression, strict=True)
    return np.stack(
        [np.asarray(draw(model, *(jnp.asarray(x, jnp.float32) for x in row))) for row in rows]
    )


def save_grid(pictures: np.ndarray, columns: int, path: Path) -> None:
    """Saves pictures as one, row by row."""
    rows = len(pictures) // columns
    height, width = pictures.shape[1:3]
    grid = pictures[: rows * columns].reshape(rows, columns, height, width, 3).swapaxes(1, 2)
    grid = grid.reshape(rows * height, columns * width, 3)
    Image.fromarray(np.round(np.clip(grid, 0, 1) * 255).astype(np.uint8)).save(path, optimize=True)


def main(config: Config) -> None:
    """Draws both pictures."""
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


if __name__ == "__main__":
    main(tyro.cli(Config))
