"""How far generated face shapes are from the true ones, in millimetres of their vertices.

Without the head's pose: what is measured is the face in its own coordinates.
"""

from collections.abc import Callable

import flax.struct
import jax
import numpy as np
from jaxtyping import Array, Bool, Float

from facial_jax.data.clips import IDENTITY_SIZE, Clip, ClipSource
from facial_jax.face.lower_face import lower_face
from facial_jax.face.model import FaceModel
from facial_jax.models.pgface.generation import FaceShape, PgFace, generate_face
from facial_jax.models.pgface.losses import PgFaceWeights, vertex_loss_factor

Method = Callable[[Clip], FaceShape]
"""From a clip, of which it looks at speech and pose alone, to a face shape for each frame."""


@flax.struct.dataclass
class FaceShapeErrors:
    """Root mean square distances of vertices, mm."""

    weighed: Float[np.ndarray, ""]
    # lower face weighed 10 times, as in PGFace's Eq. 7
    whole: Float[np.ndarray, ""]
    # all vertices alike
    lower: Float[np.ndarray, ""]
    # of the lower face
    upper: Float[np.ndarray, ""]
    # of the rest
    motion: Float[np.ndarray, ""]
    # of the differences from one frame to the next, weighed
    identity: Float[np.ndarray, ""]
    # weighed, of the shapes that the identity coefficients alone make


class FaceShapeMeasure:
    """Measures faces of one face model, whose Gram matrices are computed once.

    With them errors are exact without a vertex: see `facial_jax.models.pgface.losses`.
    """

    def __init__(self, model: FaceModel):
        lower = np.asarray(lower_face(model.mean_shape, model.landmarks)).astype(np.float64)
        bases = np.asarray(model.identity_basis), np.asarray(model.expression_basis)
        weights = {
            "weighed": np.where(lower > 0, PgFaceWeights().lower_face, 1.0),
            "whole": np.ones_like(lower),
            "lower": lower,
            "upper": 1.0 - lower,
        }
        self._factors = {n: vertex_loss_factor(*bases, w) for n, w in weights.items()}

    def errors(
        self, pairs: list[tuple[FaceShape, FaceShape, Bool[np.ndarray, "t"]]]
    ) -> FaceShapeErrors:
        """Over all frames of all pairs (real, fake, frames that count).

        Motion counts where neighbouring frames both do.
        """
        still, moved = [], []
        for real, fake, counted in pairs:
            difference = _packed(real) - _packed(fake)
            still.append(difference[counted])
            moved.append(np.diff(difference, axis=0)[counted[1:] & counted[:-1]])
        still, moved = np.concatenate(still), np.concatenate(moved)
        rms = {name: _rms(still @ factor) for name, factor in self._factors.items()}
        weighed = self._factors["weighed"]
        size = pairs[0][0].identity.shape[1]
        return FaceShapeErrors(
            **rms,
            motion=_rms(moved @ weighed),
            identity=_rms(still[:, :size] @ weighed[:size]),
        )


def measure_methods(
    methods: dict[str, Method], clips: ClipSource, model: FaceModel
) -> dict[str, FaceShapeErrors]:
    """Errors of each method over all valid frames of the clips."""
    measure = FaceShapeMeasure(model)
    read = [clips[index] for index in range(len(clips))]
    return {
        name: measure.errors([(true_face(clip), method(clip), clip.valid) for clip in read])
        for name, method in methods.items()
    }


def generated_errors(pgface: PgFace, clips: ClipSource, model: FaceModel) -> FaceShapeErrors:
    """What a PGFace's faces for these clips' speech and poses are wrong by."""
    return measure_methods({"pgface": pgface_method(pgface)}, clips, model)["pgface"]


def true_face(clip: Clip) -> FaceShape:
    """The clip's own."""
    return FaceShape(identity=clip.identities, expression=clip.expression)


def pgface_method(model: PgFace) -> Method:
    """What PGFace generates."""

    def method(clip: Clip) -> FaceShape:
        return generate_face(model, clip.features, np.where(clip.valid[:, None], clip.pose, 0.0))

    return method


def with_fixed_identity(method: Method, identity: Float[Array | np.ndarray, "80"]) -> Method:
    """The method's expression on one shape throughout: what PGFace is compared with."""

    def fixed(clip: Clip) -> FaceShape:
        face = method(clip)
        return face.replace(identity=np.broadcast_to(identity, face.identity.shape))

    return fixed


def constant_face(face: FaceShape) -> Method:
    """The same single frame (1, …) throughout, such as the person's mean face."""

    def method(clip: Clip) -> FaceShape:
        return jax.tree.map(lambda x: np.broadcast_to(x, (len(clip), x.shape[1])), face)

    return method


def methods_beside(model: PgFace) -> dict[str, Method]:
    """PGFace, and what it must be better than: its person's mean face, and a fixed identity."""
    mean = np.asarray(model.statistics.face.mean)[None]
    face = FaceShape(identity=mean[:, :IDENTITY_SIZE], expression=mean[:, IDENTITY_SIZE:])
    generated = pgface_method(model)
    return {
        "mean face": constant_face(face),
        "fixed identity, PGFace's expression": with_fixed_identity(generated, face.identity[0]),
        "PGFace": generated,
    }


def _packed(face: FaceShape) -> np.ndarray:
    return np.concatenate([face.identity, face.expression], axis=1).astype(np.float64)


def _rms(rows: Float[np.ndarray, "t c"]) -> Float[np.ndarray, ""]:
    return np.array(np.sqrt((rows**2).sum(axis=1).mean()))
