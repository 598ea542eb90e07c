"""AV offset, LSE-D and LSE-C by SyncNet, with the published weights, which the user brings.

The measure of the field: `syncnet_v2.model` from its authors' page, never fetched here. LSE-D and
LSE-C are what Prajwal et al. ("A lip sync expert is all you need", 2020) call the smallest mean
distance and the confidence. Nothing of it is put together with MouthSync's numbers
(`facial_jax.models.sync`), which have other scales.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from facial_jax.compilation import in_batches, jit
from facial_jax.interop.pytorch import load_state_dict, syncnet
from facial_jax.metrics.shifts import nearest_shift, shift_distances
from facial_jax.models.syncnet.network import FRAMES, MFCC_STEPS, SIZE_PX, SyncNet
from facial_jax.models.syncnet.speech import syncnet_mfcc
from facial_jax.pictures import opencv

FPS = 25
SAMPLE_RATE = 16000
_STEPS_A_FRAME = 4
_BATCH = 8
_CROP_SCALE = 0.4  # of the published pipeline
_GREY = 110  # what it fills the picture up with
_FOREHEAD = 0.25  # of the landmarks' height: a detector's box begins that far above the brows


@dataclass(frozen=True)
class SyncNetScore:
    """What SyncNet says of a video."""

    av_offset_frames: int
    # as published: negative if the sound comes later than the pictures
    lse_d: float
    # smallest mean distance
    lse_c: float
    # median over offsets less the smallest


def load_syncnet(path: str | Path) -> tuple[SyncNet, Any]:
    """The network and its variables from the published file, without PyTorch.

    Raises:
        FileNotFoundError, ValueError: there is no such file, or it holds something else.
    """
    return syncnet(load_state_dict(path))


def syncnet_score(
    model: tuple[SyncNet, Any],
    faces: UInt8[np.ndarray, "t 224 224 3"],
    samples: Float[np.ndarray, "n"],
) -> SyncNetScore:
    """Measures a face that speaks, as the published script does.

    Args:
        model: from `load_syncnet`.
        faces: from `face_crops`, RGB, at 25 frames per second.
        samples: the sound in [-1, 1] at 16 kHz, starting with the first frame.

    Raises:
        ValueError: there are fewer than 21 frames with their sound.
    """
    mfcc = syncnet_mfcc(samples)
    count = min(len(faces), len(samples) * FPS // SAMPLE_RATE) - FRAMES
    if count < 16:
        raise ValueError(f"faces: expected at least 21 frames with their sound, got {count + 5}")

    def vectors(index):
        pictures = faces[index[:, None] + np.arange(FRAMES)][..., ::-1].astype(np.float32)
        steps = mfcc[_STEPS_A_FRAME * index[:, None] + np.arange(MFCC_STEPS)]
        speech = steps.transpose(0, 2, 1)[..., None]
        return _vectors(*model, speech, pictures)

    speech, pictures = in_batches(vectors, count, _BATCH)
    offset = nearest_shift(shift_distances(pictures, speech, padded=True))
    return SyncNetScore(-offset.sound_delay_frames, offset.distance, offset.confidence)


@functools.partial(jit, static_argnums=0)
def _vectors(network, variables, mfcc, frames):
    return network.apply(variables, mfcc, frames)


def face_crops(
    frames: Iterator[UInt8[np.ndarray, "h w 3"]], points: Float[np.ndarray, "t 68 2"]
) -> UInt8[np.ndarray, "t 224 224 3"]:
    """The square of each frame that SyncNet is shown.

    As the published pipeline cuts it around a detector's box, its middle and size smoothed by a
    moving median over 13 frames; the box is the landmarks' own, with a quarter of its height more
    for the forehead. If a frame has no face, the nearest frame's box is taken.

    Args:
        frames: t of them, RGB.
        points: landmarks in their pixels, NaN where there is no face.

    Raises:
        ValueError: there is no face in any of them.
    """
    half, middle = _boxes(points)
    crops = []
    for image, size, (x, y) in zip(frames, half, middle, strict=False):
        margin = int(size * (1 + 2 * _CROP_SCALE))
        padded = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), constant_values=_GREY)
        x, y = x + margin, y + margin
        rows = slice(max(0, int(y - size)), int(y + size * (1 + 2 * _CROP_SCALE)))
        columns = slice(
            max(0, int(x - size * (1 + _CROP_SCALE))), int(x + size * (1 + _CROP_SCALE))
        )
        square = np.ascontiguousarray(padded[rows, columns])
        crops.append(opencv().resize(square, (SIZE_PX, SIZE_PX)))
    return np.stack(crops)


def _boxes(points):
    """Half the larger side of each frame's box, and its middle."""
    seen = np.isfinite(points).all(axis=(1, 2))
    if not seen.any():
        raise ValueError("points: expected a face in at least one frame, got none")
    frames, known = np.arange(len(points)), np.flatnonzero(seen)
    low, high = points[known].min(axis=1), points[known].max(axis=1)
    low[:, 1] -= _FOREHEAD * (high - low)[:, 1]
    values = np.column_stack([(high - low).max(axis=1) / 2, (low + high) / 2])
    nearest = np.abs(frames[:, None] - known).argmin(axis=1)
    padded = np.pad(values[nearest], ((6, 6), (0, 0)), mode="edge")
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(padded, 13, axis=0), axis=-1)
    return smooth[:, 0], smooth[:, 1:]
