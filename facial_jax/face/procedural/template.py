"""The mesh of the built-in face model on its flat template, as `experiments/make_face_model.py`
made it."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from safetensors.numpy import load_file

# What a vertex belongs to.
SKIN, EYE, UPPER_LIP, LOWER_LIP, UPPER_CAVITY, LOWER_CAVITY, UPPER_TEETH, LOWER_TEETH, TONGUE = (
    range(9)
)
CAVITY_ROWS = 7
TEETH_ROWS, TEETH_COLUMNS = 7, 61
TONGUE_ROWS, TONGUE_COLUMNS = 9, 13

ASSET = Path(__file__).resolve().parents[2] / "assets" / "face_model.safetensors"


@dataclass(frozen=True)
class Template:
    """Vertices of the built-in model on the flat template."""

    coordinates: Float[np.ndarray, "n 2"]
    # (u, v) of skin vertices in dm (see `geometry`); (s, t) in [-1, 1] × [0, 1] inside
    # the mouth
    triangles: Int[np.ndarray, "f 3"]
    # vertex indices, the outer side counter-clockwise for the viewer
    label: Int[np.ndarray, "n"]
    # region of every vertex: SKIN, EYE, UPPER_LIP, …
    upper_seam: Int[np.ndarray, "k"]
    # the upper lip's inner edge, from the left of the picture to the right
    lower_seam: Int[np.ndarray, "k"]
    # the lower lip's; the two share their ends, the corners of the mouth
    identity_mixing: Float[np.ndarray, "m_shape 80"] | None = None
    # what the identity components are made of (see `statistics`)
    texture_mixing: Float[np.ndarray, "m_texture 80"] | None = None
    # what the texture components are made of


@cache
def load_template() -> Template:
    """The stored template mesh."""
    if not ASSET.exists():
        raise FileNotFoundError(
            f"the face model's mesh is missing: {ASSET}; make it with "
            "`python -m experiments.make_face_model`"
        )
    stored = load_file(ASSET)
    return Template(
        coordinates=stored["template"].astype(np.float64),
        triangles=stored["triangles"].astype(np.int32),
        label=stored["label"].astype(np.int32),
        upper_seam=stored["upper_seam"].astype(np.int32),
        lower_seam=stored["lower_seam"].astype(np.int32),
        identity_mixing=stored["identity_mixing"],
        texture_mixing=stored["texture_mixing"],
    )
