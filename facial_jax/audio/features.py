"""Speech features at a video's rate, and the 16-row windows that the face is generated from."""

from collections.abc import Callable, Iterable
from fractions import Fraction

import numpy as np
from jaxtyping import Float

from facial_jax.audio.acoustic import AcousticModel
from facial_jax.audio.mfcc import FRAME_RATE, SAMPLE_RATE, log_mel
from facial_jax.audio.waveform import AudioSource
from facial_jax.frame_rate import count_frames, resample_frames

ROWS_BEFORE = 8
WINDOW_ROWS = 16
"""The window of a frame: 8 rows of speech features before it, itself and 7 after it."""


def speech_features(
    source: AudioSource,
    acoustic_model: AcousticModel,
    fps: Fraction | float,
    *,
    progress: Callable[[Iterable], Iterable] = iter,
) -> Float[np.ndarray, "t features"]:
    """A row of features for each video frame: round(duration · fps), at least one.

    Interpolated linearly from 50 per second, as in DeepSpeech-driven animation (VOCA).

    The sound is read once, in blocks; what stays in memory are 27 numbers and one row of features
    for every 20 ms. `progress` wraps the iterations over the sound's blocks and over the acoustic
    model's chunks, such as a progress bar.
    """
    fps = Fraction(fps)
    if fps <= 0:
        raise ValueError(f"fps: expected a positive frame rate, got {fps}")
    features = acoustic_model(
        log_mel(iter(progress(source.blocks(SAMPLE_RATE)))), progress=progress
    )
    count = count_frames(source.duration, fps)
    return resample_frames(features, Fraction(FRAME_RATE), fps, count)


def feature_windows(
    features: Float[np.ndarray, "t features"],
) -> Float[np.ndarray, "t 16 features"]:
    """Window t holds the rows t − 8 … t + 7, zeros beyond the ends."""
    padded = np.pad(features, ((ROWS_BEFORE, WINDOW_ROWS - 1 - ROWS_BEFORE), (0, 0)))
    index = np.arange(len(features))[:, None] + np.arange(WINDOW_ROWS)[None, :]
    return padded[index]
