"""What MouthSync hears: the recogniser's phones, and mel bands for voices that it does not know."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float

from facial_jax.audio.mfcc import FRAME_RATE, MEL_BANDS, log_mel

FPS = 25
"""Frames per second of all that MouthSync sees and hears."""
_ROWS_A_FRAME = FRAME_RATE // FPS
_QUIET_NEPERS = 8.0  # below a recording's loudest: nobody speaks


def speech_rows(
    features: Float[np.ndarray, "t n"], blocks: Iterable[np.ndarray]
) -> Float[np.ndarray, "t m"]:
    """Speech features, and 26 log mel bands less their means over the recording.

    Args:
        features: of the acoustic model `phonemes`, at 25 per second.
        blocks: the same sound, mono float32 at 16 kHz, (n,) or (n, 1) at a time.
    """
    mel = log_mel(blocks)[:, :MEL_BANDS]
    mel = np.maximum(mel, mel.max(axis=0) - _QUIET_NEPERS)
    missing = max(0, len(features) * _ROWS_A_FRAME - len(mel))
    mel = np.pad(mel, ((0, missing), (0, 0)), mode="edge")[: len(features) * _ROWS_A_FRAME]
    mel = mel.reshape(len(features), _ROWS_A_FRAME, MEL_BANDS).mean(axis=1)
    return np.concatenate([features, mel - mel.mean(axis=0)], axis=1).astype(np.float32)
