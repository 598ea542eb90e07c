"""Pictures of faces whose shapes differ a little: as they are, and coloured by the difference."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from facial_jax.data.clips import Clip
from facial_jax.face.model import FaceModel
from facial_jax.metrics.pose_dependence import resting_pose, vertex_displacement
from facial_jax.models.pgface.generation import FaceShape
from facial_jax.rendering.portrait import average_parameters, draw

FULL_COLOUR_MM = 4.0
"""Displacement of a vertex that is drawn in the strongest colour."""
_PLAIN = np.array([0.85, 0.83, 0.8])
_FORWARD, _BACK = np.array([0.8, 0.1, 0.05]), np.array([0.05, 0.2, 0.75])


def draw_tilted(
    model: FaceModel,
    clip: Clip,
    faces: Sequence[FaceShape],
    pitches_rad: Sequence[float],
    *,
    size: int = 256,
) -> Float[np.ndarray, "h w 3"]:
    """One frame of the clip's speech with the head tilted: a row of heads, then a row of shapes.

    The upper row shows each head in its pose. The lower row shows the shapes from the front, red
    where they bulge and blue where they are drawn in, as against the middle face; its own is plain.

    Args:
        model: the face model.
        clip: whose texture and pose are used.
        faces: of the clip's frames, one for each pitch.
        pitches_rad: from where the head rests.
        size: of each picture, pixels.
    """
    frame = int(np.argmax(np.where(clip.valid, clip.expression[:, 0], -np.inf)))
    middle, still = faces[len(faces) // 2], average_parameters()
    heads, shapes = [], []
    for face, pitch in zip(faces, pitches_rad, strict=True):
        one = still | {"identity": face.identity[frame], "expression": face.expression[frame]}
        pose = still["pose"].copy()
        pose[:3] = resting_pose(clip)[:3]
        pose[0] += pitch
        heads.append(draw(model, one | {"pose": pose, "texture": clip.texture}, size))
        moved = vertex_displacement(model, _frame(face, frame), _frame(middle, frame))[..., 0]
        coloured = model.replace(mean_texture=jnp.asarray(_colours(model, moved), jnp.float32))
        shapes.append(draw(coloured, one, size))
    return np.concatenate([np.concatenate(row, axis=1) for row in (heads, shapes)])


def _frame(face: FaceShape, frame: int) -> FaceShape:
    return FaceShape(
        identity=face.identity[frame : frame + 1], expression=face.expression[frame : frame + 1]
    )


def _colours(model: FaceModel, moved_mm: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """Red outwards and blue inwards, as far as the vertices moved away from the head's middle."""
    outward = np.asarray(model.mean_shape) - np.asarray(model.mean_shape).mean(axis=0)
    amount = np.clip(np.linalg.norm(moved_mm, axis=1) / FULL_COLOUR_MM, 0.0, 1.0)[:, None]
    colour = np.where(((moved_mm * outward).sum(axis=1) > 0)[:, None], _FORWARD, _BACK)
    return (1 - amount) * _PLAIN + amount * colour
