"""MFCCs at 100 per second, as SyncNet hears: those of DeepSpeech, twice as often."""

import numpy as np
from jaxtyping import Float

from facial_jax.audio.mfcc import (
    EPSILON,
    FFT_LENGTH,
    FRAME_LENGTH,
    HOP,
    INT16_SCALE,
    PRE_EMPHASIS,
    cepstra,
    mel_filters,
)
from facial_jax.models.syncnet.network import COEFFICIENTS

STEP = HOP // 2
_BLOCK_STEPS = 4096


def syncnet_mfcc(samples: Float[np.ndarray, "n"]) -> Float[np.ndarray, "t 13"]:
    """MFCCs of sound at 16 kHz in [-1, 1], with the log energy as coefficient 0.

    The settings of python_speech_features: frames of 25 ms every 10 ms, the last one filled up with
    zeros, no window function, pre-emphasis 0.97, 26 mel bands, a lifter of 22.

    Raises:
        ValueError: there is not one sample.
    """
    if not len(samples):
        raise ValueError("samples: expected at least one, got none")
    scaled = samples.astype(np.float64) * INT16_SCALE
    emphasised = np.append(scaled[0], scaled[1:] - PRE_EMPHASIS * scaled[:-1])
    count = 1 + max(0, -(-(len(samples) - FRAME_LENGTH) // STEP))
    padded = np.pad(emphasised, (0, (count - 1) * STEP + FRAME_LENGTH - len(emphasised)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME_LENGTH)[::STEP]
    filters, rows = mel_filters().T.astype(np.float64), []
    for start in range(0, count, _BLOCK_STEPS):
        spectrum = np.fft.rfft(frames[start : start + _BLOCK_STEPS], FFT_LENGTH)
        power = np.abs(spectrum) ** 2 / FFT_LENGTH
        energies = np.concatenate([power @ filters, power.sum(axis=1, keepdims=True)], axis=1)
        logs = np.log(np.where(energies > 0, energies, EPSILON))
        rows.append(cepstra(logs)[:, :COEFFICIENTS])
    return np.concatenate(rows).astype(np.float32)
