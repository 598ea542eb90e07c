"""Speech features at a video's rate, and the 16-row windows that the face is generated from."""

from collections.abc import Callable, Iterable
from fractions import Fraction

import numpy as np
from jaxtyping import Array, Float

from facial_jax.audio.acoustic import AcousticModel
from facial_jax.audio.mfcc import FRAME_RATE, SAMPLE_RATE
from facial_jax.audio.waveform import AudioSource
from facial_jax.frame_rate import count_frames, resample_frames

ROWS_BEFORE = 8
WINDOW_ROWS = 16
"""The window of a frame: 8 rows of speech features before it, itself and 7 after it."""
MAX_LENGTH_DIFFERENCE_S = Fraction(1, 10)
"""How much longer or shorter than the sound a user's features may be."""


def speech_features(
    source: AudioSource,
    acoustic_model: AcousticModel,
    fps: Fraction | float,
    *,
    progress: Callable[[Iterable], Iterable] = iter,
) -> Float[np.ndarray, "t features"]:
    """A row of features for each video frame: round(duration · fps), at least one.

    Interpolated linearly from 50 per second, as in DeepSpeech-driven animation (VOCA).

    The sound is read once, in blocks; what stays in memory are tens of numbers for every 20 ms.
    `progress` wraps the iterations over the sound's blocks and over the acoustic model's chunks,
    such as a progress bar.
    """
    fps = Fraction(fps)
    if fps <= 0:
        raise ValueError(f"fps: expected a positive frame rate, got {fps}")
    features = acoustic_model(source.blocks(SAMPLE_RATE), progress=progress)
    count = count_frames(source.duration, fps)
    return resample_frames(features, Fraction(FRAME_RATE), fps, count)


def given_features(
    rows: np.ndarray,
    rows_fps: Fraction,
    source: AudioSource,
    fps: Fraction,
) -> Float[np.ndarray, "t features"]:
    """The user's own features of the sound, at the video's rate: round(duration · fps) rows.

    Args:
        rows: (n, features), row i for the time i / rows_fps.
        rows_fps: rows per second.
        source: the sound that they are of.
        fps: video frames per second.

    Raises:
        ValueError: not a finite matrix, or not as long as the sound.
    """
    rows = np.asarray(rows, np.float32)
    if rows.ndim != 2 or not rows.size or not np.isfinite(rows).all():
        raise ValueError(
            f"speech_features: expected finite numbers (rows, features), got shape {rows.shape}"
        )
    length, duration = len(rows) / rows_fps, source.duration
    if abs(length - duration) > max(MAX_LENGTH_DIFFERENCE_S, 2 / rows_fps):
        raise ValueError(
            f"speech_features: {len(rows)} rows at {float(rows_fps):g} per second last "
            f"{float(length):.2f} s, the sound {float(duration):.2f} s; are the rate and the sound "
            "theirs?"
        )
    return resample_frames(rows, rows_fps, fps, count_frames(duration, fps))


def feature_windows(
    features: Float[np.ndarray, "t features"],
) -> Float[np.ndarray, "t 16 features"]:
    """Window t holds the rows t − 8 … t + 7, zeros beyond the ends."""
    padded = np.pad(features, ((ROWS_BEFORE, WINDOW_ROWS - 1 - ROWS_BEFORE), (0, 0)))
    return context_windows(padded[None])[0]


def context_windows(
    rows: Float[Array | np.ndarray, "b n f"],
) -> Float[Array | np.ndarray, "b t 16 f"]:
    """The window of every frame; `rows` hold 8 rows before the first frame and 7 after the last."""
    frames = rows.shape[1] - (WINDOW_ROWS - 1)
    index = np.arange(frames)[:, None] + np.arange(WINDOW_ROWS)
    return rows[:, index]
