"""Draws a face and saves it for 3D programs: python -m experiments.render_face --seed 3.

Writes face.png, the picture, and face.glb, the head with its expressions as named morph targets
("shape keys"), for Blender (File > Import > glTF 2.0) and others.

A parameter file is .npz or .json with any of `identity` (80), `texture` (80), `expression` (64),
`pose` (6: pitch, yaw, roll in radians; x, y, z in decimetres) and `illumination` (3, 9); what it
lacks is zero. A subject's subject.json is such a file.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from facial_jax.face.bfm import load_bfm
from facial_jax.face.procedural import EXPRESSION_NAMES, procedural_face_model
from facial_jax.files import write_bytes
from facial_jax.pictures import save_png
from facial_jax.rendering.portrait import (
    average_parameters,
    draw,
    make_glb,
    random_parameters,
    read_parameters,
)

ENDINGS = (".png", ".glb")


@dataclass(frozen=True)
class Arguments:
    """Options."""

    seed: int | None = None
    """Draw a random face; without it, and without parameters, the average face."""

    parameters: Path | None = None
    """A .npz or .json file with coefficients."""

    face_model: Path | None = None
    """BFM_model_front.mat or a folder with the Basel Face Model; by default the built-in model."""

    output: Path = Path("face")
    """Where to write: this name with .png and with .glb."""

    size: int = 512
    """Height and width of the picture in pixels."""


def main(arguments: Arguments) -> None:
    """Draws and writes, or ends with one line that says what is wrong."""
    if arguments.parameters is not None and arguments.seed is not None:
        sys.exit("error: seed, parameters: expected one of them, got both")
    try:
        picture, mesh = write_face(arguments)
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"error: {error}")
    print(f"{picture}, {mesh}")


def write_face(arguments: Arguments) -> tuple[Path, Path]:
    """Draws the face; the two files' paths."""
    if arguments.face_model is None:
        model, names = procedural_face_model(), EXPRESSION_NAMES
    else:
        model, names = load_bfm(arguments.face_model), ()
    if arguments.parameters is not None:
        parameters = read_parameters(arguments.parameters)
    elif arguments.seed is not None:
        parameters = random_parameters(arguments.seed)
    else:
        parameters = average_parameters()
    # An ending of another kind is a part of the name.
    name = arguments.output.stem if arguments.output.suffix in ENDINGS else arguments.output.name
    picture, mesh = (arguments.output.with_name(name + ending) for ending in ENDINGS)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    save_png(picture, draw(model, parameters, arguments.size))
    write_bytes(mesh, make_glb(model, parameters, tuple(names)))
    return picture, mesh


if __name__ == "__main__":
    main(tyro.cli(Arguments))
