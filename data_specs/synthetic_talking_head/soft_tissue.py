"""A face shape that goes with the head's pose and with the jaw: skin and fat over a skull.

Faces of single frames, as reconstructions see them, are not one shape in several poses: a lowered
head pushes the tissue below the chin forward and makes the jowls full, a raised one draws both
tight; an opening jaw draws the cheeks in. The directions are fields on the built-in face, projected
on its 80 identity components; their sizes, some millimetres at 18 degrees or with an open jaw, were
set by eye. The cheek that folds on the side to which a head turns is left out: the components are
those of faces whose halves are alike.
"""

import functools

import numpy as np
from jaxtyping import Float

from facial_jax.attributes import Attributes
from facial_jax.face.procedural import EXPRESSION_NAMES, geometry, procedural_face_model
from facial_jax.face.procedural.identity import mouth_parts_on_template
from facial_jax.face.procedural.template import load_template

USUAL_PITCH_RAD = np.radians(18.0)
"""The first field is what a pitch of this size does."""
_JAW_OPEN = EXPRESSION_NAMES.index("jaw_open")
_PRIOR = 1e-3
# How much the projection shuns large coefficients; the bases' columns are some tenths of a
# millimetre long at each vertex.


def softness(seed: int, speaker_index: int) -> float:
    """How much a speaker's face follows, from 0.6 to 1.4: people differ."""
    return float(np.random.default_rng([seed, 7, speaker_index]).uniform(0.6, 1.4))


def frame_identities(
    identity: Float[np.ndarray, "80"], attributes: Attributes, softness: float
) -> Float[np.ndarray, "t 80"]:
    """Shape coefficients of every frame, float32: the person's, and what pose and jaw do to them.

    Linear in the pitch and in the jaw's opening, so that one can tell what a network that was
    trained on small turns makes of large ones.
    """
    pitch, opened = attributes.pose[:, 0], attributes.expression[:, _JAW_OPEN]
    amounts = np.stack([pitch / USUAL_PITCH_RAD, opened], axis=1)
    return (identity + softness * amounts @ tissue_directions()).astype(np.float32)


@functools.cache
def tissue_directions() -> Float[np.ndarray, "2 80"]:
    """Identity coefficients of a head lowered by 18 degrees, and of `jaw_open` = 1."""
    basis = np.asarray(procedural_face_model().identity_basis, np.float64).reshape(-1, 80)
    fields = tissue_fields().reshape(2, -1)
    gram = basis.T @ basis
    prior = _PRIOR * np.trace(gram) / len(gram) * np.eye(len(gram))
    return np.linalg.solve(gram + prior, basis.T @ fields.T).T


def tissue_fields() -> Float[np.ndarray, "2 n 3"]:
    """What the two do to each vertex, decimetres, before they are made of identity components."""
    template, mean = load_template(), np.asarray(procedural_face_model().mean_shape)
    points = mean + np.array([0.0, geometry.FACE_CENTRE_Y, 0.0])
    uv = mouth_parts_on_template(template, points)
    left = geometry.mirrored_left(uv)
    side = np.sign(points[:, 0])

    def bump(u, v, width, height):
        return np.exp(-(((left[:, 0] - u) / width) ** 2) - ((left[:, 1] - v) / height) ** 2)

    def move(weight, dx=0.0, dy=0.0, dz=0.0):
        return np.stack([weight * dx, weight * dy, weight * dz], axis=1)

    below_chin, jowl = bump(0.0, -1.2, 0.4, 0.15), bump(-0.6, -0.75, 0.3, 0.25)
    cheek = bump(-0.55, -0.5, 0.3, 0.25)
    lowered = (
        move(below_chin, 0.0, -0.05, 0.035)
        + move(jowl, 0.03 * side, -0.01, 0.015)
        + move(cheek, 0.01 * side, -0.015, 0.005)
    )
    opened = (
        move(cheek, -0.025 * side, -0.01, -0.015)
        + move(jowl, -0.015 * side, -0.01)
        + move(below_chin, 0.0, -0.03, 0.0)
    )
    return np.stack([lowered, opened])
