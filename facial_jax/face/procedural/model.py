"""The built-in face model: made by this project from measurements and formulas, free of any
licence."""

import functools

import numpy as np
from jaxtyping import Float, Int

from facial_jax.face.model import FaceModel, face_model_from_arrays
from facial_jax.face.procedural import control_points as measured
from facial_jax.face.procedural import geometry
from facial_jax.face.procedural.expressions import EXPRESSION_NAMES, expression_basis
from facial_jax.face.procedural.identity import identity_basis
from facial_jax.face.procedural.template import (
    LOWER_CAVITY,
    LOWER_LIP,
    LOWER_TEETH,
    TONGUE,
    UPPER_CAVITY,
    UPPER_TEETH,
    Template,
    load_template,
)
from facial_jax.face.procedural.texture import mean_texture, texture_basis

__all__ = ["EXPRESSION_NAMES", "procedural_face_model"]


@functools.cache
def procedural_face_model() -> FaceModel:
    """The built-in face model: 9,100 vertices, deterministic, computed once per process.

    Its named expression components are `EXPRESSION_NAMES`; template coordinates and region labels
    of its vertices are in `template.load_template()`.
    """
    template = load_template()
    shape = mean_face_shape(template)
    return face_model_from_arrays(
        mean_shape=shape,
        mean_texture=mean_texture(template),
        identity_basis=identity_basis(template, shape),
        expression_basis=expression_basis(template, shape),
        texture_basis=texture_basis(template),
        triangles=template.triangles,
        landmarks=landmark_vertices(template, shape),
    )


def is_built_in(model: FaceModel) -> bool:
    """Whether a face model is the built-in one, apart from its mean texture."""
    return model.expression_basis is procedural_face_model().expression_basis


def mean_face_shape(template: Template) -> Float[np.ndarray, "n 3"]:
    """Positions of all vertices of the average face, in dm around the middle of the face."""
    label = template.label
    points = np.zeros((len(label), 3))
    skin = label <= LOWER_LIP
    points[skin] = geometry.skin_shape(template.coordinates[skin])
    upper, lower = points[template.upper_seam], points[template.lower_seam]
    for part, place in (
        (UPPER_CAVITY, lambda st: geometry.mouth_cavity_shape(upper, st, 1.0)),
        (LOWER_CAVITY, lambda st: geometry.mouth_cavity_shape(lower, st, -1.0)),
        (UPPER_TEETH, lambda st: geometry.teeth_shape(st, upper, True)),
        (LOWER_TEETH, lambda st: geometry.teeth_shape(st, upper, False)),
        (TONGUE, lambda st: geometry.tongue_shape(st, upper)),
    ):
        own = label == part
        points[own] = place(template.coordinates[own])
    return points - np.array([0.0, geometry.FACE_CENTRE_Y, 0.0])


def landmark_targets() -> Float[np.ndarray, "68 3"]:
    """Measured places of the 68 iBUG landmarks, in dm around the middle of the face."""
    jaw = geometry.resample_chain(measured.JAW.astype(np.float64), 9)
    brow, bridge = measured.BROW_UPPER, measured.NOSE_BRIDGE[[0, 2, 4, 5]]
    base = np.array([measured.NOSE_BASE[0], NOSTRIL_BASE, measured.NOSE_BASE[1]])
    eye = np.concatenate([measured.EYE_UPPER[[0, 3, 5, 8]], measured.EYE_LOWER[[5, 3]]])
    top, bottom = measured.LIP_UPPER[[0, 3, 4, 5]], measured.LIP_LOWER[[5, 4, 3]]
    inner_top, inner_bottom = measured.SEAM_UPPER[[0, 3, 5]], measured.SEAM_LOWER[[5, 3]]

    def mirror(points):
        return points * np.array([-1.0, 1.0, 1.0])

    points = np.concatenate(
        [
            jaw,
            mirror(jaw[-2::-1]),
            brow,
            mirror(brow[::-1]),
            bridge,
            base,
            mirror(base[-2::-1]),
            eye,
            mirror(eye[[3, 2, 1, 0, 5, 4]]),
            top,
            mirror(top[-2::-1]),
            mirror(bottom[:0:-1]),
            bottom,
            inner_top,
            mirror(inner_top[-2::-1]),
            mirror(inner_bottom[:0:-1]),
            inner_bottom,
        ]
    )
    return points - np.array([0.0, geometry.FACE_CENTRE_Y, 0.0])


NOSTRIL_BASE = np.array([-0.075, -0.445, 0.266])  # between the septum's foot and the wing's


def landmark_vertices(template: Template, shape: np.ndarray) -> Int[np.ndarray, "68"]:
    """The vertex nearest to each measured landmark; inner lip landmarks lie on the lips' inner
    edges."""
    targets = landmark_targets()
    skin = np.nonzero(template.label <= LOWER_LIP)[0]
    allowed = [skin] * 60 + [template.upper_seam] * 5 + [template.lower_seam] * 3
    allowed[60] = template.upper_seam[1:-1]
    allowed[64] = template.upper_seam[1:-1]
    weights = np.array([1.0, 1.0, 0.3])  # what is seen from the front counts most
    return np.array(
        [
            own[(((shape[own] - target) * weights) ** 2).sum(axis=1).argmin()]
            for own, target in zip(allowed, targets, strict=True)
        ]
    )
