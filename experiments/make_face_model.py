"""Makes the mesh of the built-in face model: python -m experiments.make_face_model.

`facial_jax.face.procedural.mesh` says how.
"""

from dataclasses import dataclass
from pathlib import Path

import tyro
from safetensors.numpy import save

from facial_jax.face.procedural.mesh import face_mesh
from facial_jax.files import write_bytes


@dataclass
class Arguments:
    """Options."""

    output: Path = Path("facial_jax/assets/face_model.safetensors")
    """The file to write."""

    relaxations: int = 60
    """Rounds of spring relaxation."""


def main(arguments: Arguments) -> None:
    """Builds the mesh and writes it."""
    mesh = face_mesh(arguments.relaxations)
    write_bytes(arguments.output, save(mesh))
    vertices, triangles = len(mesh["template"]), len(mesh["triangles"])
    print(f"{vertices} vertices, {triangles} triangles: {arguments.output}")


if __name__ == "__main__":
    main(tyro.cli(Arguments))
