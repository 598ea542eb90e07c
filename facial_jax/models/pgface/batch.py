"""What a training step of PGFace sees: runs of neighbouring frames, cut out of clips."""

from collections.abc import Sequence

import flax.struct
import grain
import numpy as np
from jaxtyping import Array, Float, Int

from facial_jax.audio.features import ROWS_BEFORE, WINDOW_ROWS
from facial_jax.data.clips import ClipEntry, ClipSource
from facial_jax.models.pgface.statistics import face_coefficients
from facial_jax.training.checks import check_columns


@flax.struct.dataclass
class PgFaceBatch:
    """Runs of t neighbouring frames, as they are: nothing is standardised."""

    rows: Float[Array | np.ndarray, "b n f"]
    # speech features: 8 rows before the run's first frame to 7 rows after its last, n = t + 15
    pose: Float[Array | np.ndarray, "b t 6"]
    # pitch, yaw, roll in radians; x, y, z in decimetres
    face: Float[Array | np.ndarray, "b t 144"]
    # the truth: identity and expression coefficients


@flax.struct.dataclass
class PgFaceFrames:
    """All frames of all clips, one clip after the other, with room around each: n rows."""

    features: Float[Array | np.ndarray, "n f"]
    # speech features; 8 rows of zeros before each clip and 7 after it, as when faces are generated
    pose: Float[Array | np.ndarray, "n 6"]
    # zeros there
    face: Float[Array | np.ndarray, "n 144"]
    # zeros there


def clip_frames(clips: ClipSource) -> PgFaceFrames:
    """All frames of the clips, NumPy arrays.

    Raises:
        ValueError: the clips' speech features are of different acoustic models.
    """
    margin = (ROWS_BEFORE, WINDOW_ROWS - 1 - ROWS_BEFORE)

    def joined(arrays) -> np.ndarray:
        return np.concatenate([np.pad(array, (margin, (0, 0))) for array in arrays])

    read = [clips[index] for index in range(len(clips))]
    check_columns("features of clips", [clip.features for clip in read])
    return PgFaceFrames(
        features=joined(clip.features for clip in read),
        pose=joined(clip.pose for clip in read),
        face=joined(face_coefficients(clip) for clip in read),
    )


def frame_bytes(frames: PgFaceFrames) -> int:
    """How much memory they take."""
    return frames.features.nbytes + frames.pose.nbytes + frames.face.nbytes


def run_places(
    entries: Sequence[ClipEntry], lengths: Sequence[int], frames: int
) -> Int[np.ndarray, "runs 3"]:
    """Every run of valid frames: clip, first frame in it, and that frame's row in `clip_frames`.

    Args:
        entries: the clips' lines.
        lengths: how many frames each clip has.
        frames: of a run.

    Raises:
        ValueError: no clip has `frames` valid frames one after the other.
    """
    places, row = [], ROWS_BEFORE
    for clip, (entry, length) in enumerate(zip(entries, lengths, strict=True)):
        for begin, end in entry.segments:
            firsts = np.arange(begin, end - frames + 1)
            places.append(np.stack([np.full_like(firsts, clip), firsts, row + firsts], axis=-1))
        row += length + WINDOW_ROWS - 1
    runs = np.concatenate(places) if places else np.empty((0, 3), np.int64)
    if not len(runs):
        raise ValueError(
            f"clips: expected {frames} valid frames one after the other in at least one of "
            f"{len(entries)} clips, found none"
        )
    return runs.astype(np.int32)


def training_places(
    places: Int[np.ndarray, "runs 3"], *, batch: int, seed: int
) -> grain.MapDataset:
    """By the number of the step, the places of its batch (b, 3), in another order each epoch."""
    shuffled = grain.MapDataset.source(places).seed(seed).shuffle().repeat(None)
    return shuffled.batch(batch, drop_remainder=True)


def cut_runs(data: PgFaceFrames, first: Int[Array | np.ndarray, "b"], frames: int) -> PgFaceBatch:
    """The runs whose first frames have these rows."""
    around = np.arange(-ROWS_BEFORE, frames + WINDOW_ROWS - 1 - ROWS_BEFORE, dtype=np.int32)
    row = first[:, None] + around[None]
    own = row[:, ROWS_BEFORE : ROWS_BEFORE + frames]
    return PgFaceBatch(rows=data.features[row], pose=data.pose[own], face=data.face[own])
