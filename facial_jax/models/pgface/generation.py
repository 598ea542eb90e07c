"""Generates face shapes with a trained PGFace, 256 frames at a time.

Each frame follows from the speech around it and from its pose alone: where the chunks lie cannot
be seen in the result.
"""

import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from facial_jax.attributes import POSE_SIZE
from facial_jax.audio.features import ROWS_BEFORE, WINDOW_ROWS, context_windows
from facial_jax.compilation import jit
from facial_jax.data.clips import IDENTITY_SIZE
from facial_jax.models.layers.parameters import (
    check_variables,
    load_variables,
    module_config,
    module_from_config,
    save_variables,
)
from facial_jax.models.pgface.network import FACE_SIZE, PgFaceGenerator, speech_feature_count
from facial_jax.models.pgface.statistics import PgFaceStatistics, Statistics

CHUNK_FRAMES = 256
"""How many frames are generated at once."""


@flax.struct.dataclass
class PgFace:
    """A trained PGFace of one person, and what it needs to speak in real units."""

    variables: Any
    # params of `generator`
    statistics: PgFaceStatistics
    # of what it was trained on
    generator: PgFaceGenerator = flax.struct.field(pytree_node=False)
    # the network

    @property
    def speech_features(self) -> int:
        """How many speech features a row has for this network."""
        return speech_feature_count(self.variables)


@flax.struct.dataclass
class FaceShape:
    """The shape of a face in every frame; t frames."""

    identity: Float[Array | np.ndarray, "t 80"]
    # shape coefficients in standard deviations: they too change with pose and speech
    expression: Float[Array | np.ndarray, "t 64"]
    # coefficients of the face model's expression basis


def save_pgface(path: str | Path, model: PgFace, *, half_precision: bool = True) -> None:
    """Writes the network and, as `statistics/…`, what it is standardised by.

    Half precision halves the file and changes a face by some thousandths of a millimetre.
    """
    arrays = jax.tree.map(np.asarray, dict(model.variables))
    statistics = {
        name: {"mean": np.asarray(one.mean), "std": np.asarray(one.std)}
        for name, one in vars(model.statistics).items()
    }
    # Stored as they are: in half precision a coefficient that hardly changes would not at all.
    statistics = jax.tree.map(lambda x: x.astype(np.float64), statistics)
    save_variables(
        path,
        {**arrays, "statistics": statistics},
        module_config(model.generator),
        half_precision=half_precision,
    )


def load_pgface(path: str | Path) -> PgFace:
    """Reads what `save_pgface` wrote.

    Raises FileNotFoundError if there is no such file, ValueError if it is damaged or holds
    another network.
    """
    arrays, config = load_variables(path)
    try:
        stored = arrays.pop("statistics")
        statistics = PgFaceStatistics(
            **{
                name: Statistics(**{k: jnp.asarray(v, jnp.float32) for k, v in one.items()})
                for name, one in stored.items()
            }
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"The weights file {path} holds no statistics of PGFace.") from error
    generator = module_from_config(PgFaceGenerator, config)
    try:
        features = speech_feature_count(arrays)
    except KeyError as error:
        raise ValueError(f"The weights file {path} lacks the layer {error}.") from error
    for name, n in (("features", features), ("pose", POSE_SIZE), ("face", FACE_SIZE)):
        one = getattr(statistics, name)
        if one.mean.shape != (n,) or one.std.shape != (n,):
            raise ValueError(
                f"The weights file {path} does not fit: statistics of {name}: expected {n} "
                f"numbers, got shapes {one.mean.shape} and {one.std.shape}."
            )
    expected = jax.eval_shape(
        generator.init,
        jax.random.key(0),
        jax.ShapeDtypeStruct((1, WINDOW_ROWS, features), jnp.float32),
        jax.ShapeDtypeStruct((1, POSE_SIZE), jnp.float32),
    )
    check_variables(arrays, expected, path)
    return PgFace(
        variables=jax.tree.map(jnp.asarray, arrays), statistics=statistics, generator=generator
    )


def face_of(
    model: PgFace, rows: Float[Array, "b n f"], pose: Float[Array, "b t 6"]
) -> Float[Array, "b t 144"]:
    """Identity and expression coefficients of runs of frames; n = t + 15, as in `PgFaceBatch`."""
    s = model.statistics
    standardised = (rows - s.features.mean[None, None]) / s.features.std[None, None]
    condition = (pose - s.pose.mean[None, None]) / s.pose.std[None, None]
    face = model.generator.apply(model.variables, context_windows(standardised), condition)
    return face * s.face.std[None, None] + s.face.mean[None, None]


def generate_face(
    model: PgFace,
    features: Float[Array | np.ndarray, "t features"],
    pose: Float[Array | np.ndarray, "poses 6"],
    *,
    progress: Callable[[Iterable], Iterable] = iter,
) -> FaceShape:
    """The face's shape while this speech sounds and the head is held like this.

    Args:
        model: the trained PGFace.
        features: (t, n) float32 speech features, one row per video frame, t ≥ 1, of the acoustic
            model that PGFace was trained with. Before and after them there is nothing: rows of
            zeros, as in training.
        pose: (t, 6) pitch, yaw, roll in radians and x, y, z in decimetres, before the camera of the
            clips that PGFace was trained on.
        progress: wraps the iteration over the chunks, such as a progress bar.

    Returns:
        t frames of identity and expression coefficients, float32 NumPy arrays.

    Raises:
        ValueError: there is no frame, there are not as many poses as rows, or n is not the
            network's.
    """
    count = len(features)
    if not count:
        raise ValueError("features: expected at least one frame, got none")
    if features.shape[1] != model.speech_features:
        raise ValueError(
            f"features: this PGFace was trained with {model.speech_features} speech features a "
            f"frame, got {features.shape[1]}; use the acoustic model that it was trained with"
        )
    if pose.shape != (count, POSE_SIZE):
        raise ValueError(
            f"pose: expected {POSE_SIZE} numbers for each of {count} frames, got shape {pose.shape}"
        )
    chunks = -(-count // CHUNK_FRAMES)
    rows = np.zeros((chunks * CHUNK_FRAMES + WINDOW_ROWS - 1, features.shape[1]), np.float32)
    rows[ROWS_BEFORE : ROWS_BEFORE + count] = np.asarray(features)
    poses = np.zeros((chunks * CHUNK_FRAMES, POSE_SIZE), np.float32)
    poses[:count] = np.asarray(pose)
    generate = _generate_chunk(model.generator)
    faces = []
    for start in progress(range(0, chunks * CHUNK_FRAMES, CHUNK_FRAMES)):
        stop = start + CHUNK_FRAMES
        chunk = rows[start : stop + WINDOW_ROWS - 1]
        faces.append(np.asarray(generate(model, chunk, poses[start:stop])))
    face = np.concatenate(faces)[:count]
    return FaceShape(identity=face[:, :IDENTITY_SIZE], expression=face[:, IDENTITY_SIZE:])


@functools.lru_cache(maxsize=4)
def _generate_chunk(generator: PgFaceGenerator):
    """One chunk, compiled once for its one shape."""

    def generate(model: PgFace, rows, pose):
        return face_of(model.replace(generator=generator), rows[None], pose[None])[0]

    return jit(generate)
