"""Draws pictures of the built-in face model.

Random faces, its named expression components, a turn of the head, the eye attention map.

python -m experiments.face_gallery
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from facial_jax.face.procedural import EXPRESSION_NAMES
from facial_jax.pictures import picture_grid, save_png
from facial_jax.rendering.gallery import draw_attention, draw_faces, draw_turn


@dataclass
class Arguments:
    """Options."""

    output: Path = Path("docs")
    """Folder to write."""

    deviations: float = 2.0
    """Standard deviation of the random coefficients."""

    cell: int = 160
    """Pixels per face."""

    seed: int = 0
    """Which faces."""


def main(arguments: Arguments) -> None:
    """Draws all pictures."""
    arguments.output.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(arguments.seed)
    identity = arguments.deviations * rng.standard_normal((36, 80))
    texture = arguments.deviations * rng.standard_normal((36, 80))
    faces = draw_faces(identity, texture, np.zeros((36, 64)), arguments.cell)

    expression = np.eye(64)[: len(EXPRESSION_NAMES)]
    expression[EXPRESSION_NAMES.index("mouth_close"), 0] = 1.0
    zeros = np.zeros((len(expression), 80))
    shapes = draw_faces(zeros, zeros, expression, arguments.cell)

    person = identity[0] / 2, texture[0] / 2
    grids = {
        "face_gallery": (faces, 6),
        "face_expressions": (shapes, 8),
        "turn_of_head": (draw_turn(*person, arguments.cell), 7),
        "eye_attention": (draw_attention(*person, arguments.cell), 6),
    }
    for name, (pictures, columns) in grids.items():
        save_png(arguments.output / f"{name}.png", picture_grid(pictures, columns))


if __name__ == "__main__":
    main(tyro.cli(Arguments))
