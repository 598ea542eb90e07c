"""How a generated face's shape goes with the head's pose (personalized pose dynamics, Fig. 7).

The same speech is given with a lowered and with a raised head; the faces are compared in their own
coordinates, vertex by vertex.
"""

from collections.abc import Sequence

import flax.struct
import numpy as np
from jaxtyping import Float

from facial_jax.data.clips import Clip
from facial_jax.face.lower_face import lower_face
from facial_jax.face.model import FaceModel
from facial_jax.models.pgface.generation import FaceShape, PgFace, generate_face
from facial_jax.models.pgface.losses import MM_PER_DM

PITCHES_RAD = tuple(np.radians((-18.0, 0.0, 18.0)))
"""Of Fig. 7, from where the person's head rests. A positive pitch lowers the face."""


@flax.struct.dataclass
class Displacement:
    """Of a face from another, root mean squares over frames, mm."""

    whole: Float[np.ndarray, ""]
    # over all vertices
    lower: Float[np.ndarray, ""]
    # over the lower face's
    upper: Float[np.ndarray, ""]
    # over the others
    largest: Float[np.ndarray, ""]
    # of the vertex that moves most


def tilted_faces(
    model: PgFace, clip: Clip, pitches_rad: Sequence[float] = PITCHES_RAD
) -> list[FaceShape]:
    """PGFace's faces for the clip's speech with a still head, tilted by these angles from rest."""
    rest = resting_pose(clip)
    faces = []
    for pitch in pitches_rad:
        pose = np.tile(rest, (len(clip), 1))
        pose[:, 0] += np.float32(pitch)
        faces.append(generate_face(model, clip.features, pose))
    return faces


def resting_pose(clip: Clip) -> Float[np.ndarray, "6"]:
    """The median pose of the clip."""
    return np.median(clip.pose[clip.valid], axis=0).astype(np.float32)


def vertex_displacement(
    model: FaceModel, face: FaceShape, other: FaceShape
) -> Float[np.ndarray, "n 3 t"]:
    """Of every vertex from where the other face has it, mm."""
    bases = np.asarray(model.identity_basis), np.asarray(model.expression_basis)
    differences = face.identity - other.identity, face.expression - other.expression
    parts = (b @ np.asarray(d, np.float32).T for b, d in zip(bases, differences, strict=True))
    return MM_PER_DM * sum(parts)


def displacement(model: FaceModel, face: FaceShape, other: FaceShape) -> Displacement:
    """How far the face is from the other."""
    squares = (vertex_displacement(model, face, other) ** 2).sum(axis=1).mean(axis=1)
    lower = np.asarray(lower_face(model.mean_shape, model.landmarks))
    return Displacement(
        whole=np.array(np.sqrt(squares.mean())),
        lower=np.array(np.sqrt(squares[lower].mean())),
        upper=np.array(np.sqrt(squares[~lower].mean())),
        largest=np.array(np.sqrt(squares.max())),
    )


def likeness(model: FaceModel, moved: FaceShape, still: FaceShape, truth: np.ndarray) -> float:
    """The cosine between how a face moved and how it truly does, over all vertices and frames.

    Args:
        model: the face model.
        moved: the face with its head tilted.
        still: and at rest.
        truth: the identity coefficients' true change, (80,) or (t, 80).
    """
    count = len(moved.identity)
    none = np.zeros_like(moved.expression)
    true = FaceShape(identity=np.broadcast_to(truth, (count, len(truth.T))), expression=none)
    zero = FaceShape(identity=np.zeros_like(true.identity), expression=none)
    a, b = vertex_displacement(model, moved, still), vertex_displacement(model, true, zero)
    return float((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()))
