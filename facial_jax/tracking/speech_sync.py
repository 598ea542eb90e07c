"""How far the sound is off the lips: the lag at which voice and mouth go together best."""

from fractions import Fraction

import numpy as np
from jaxtyping import Bool, Float

from facial_jax.audio.mfcc import FRAME_RATE, log_mel
from facial_jax.audio.waveform import AudioSource
from facial_jax.frame_rate import resample_frames

MAX_LAG_S = 0.5
VOICE_BANDS = slice(5, 14)  # of the 26 mel bands: about 400 to 1100 Hz, where vowels differ
WINDOW_S = 1.0
SYLLABLES_PER_S = 5.0


def mouth_opening(points: Float[np.ndarray, "t 68 2"]) -> Float[np.ndarray, "t"]:
    """Distance of the lips' inner edges over that of the eyes' outer corners."""
    lips = np.linalg.norm(points[:, 62] - points[:, 66], axis=-1)
    return (lips / np.linalg.norm(points[:, 45] - points[:, 36], axis=-1)).astype(np.float32)


def voice_energy(source: AudioSource, fps: Fraction, start: int, count: int) -> np.ndarray:
    """Mean log energy of the voice's bands at each of `count` frames from frame `start` on."""
    energy = log_mel(source.blocks())[:, VOICE_BANDS].mean(axis=1, keepdims=True)
    return resample_frames(energy, Fraction(FRAME_RATE), fps, start + count)[start:, 0]


def lip_lag(
    opening: Float[np.ndarray, "t"],
    voice: Float[np.ndarray, "t"],
    seen: Bool[np.ndarray, "t"],
    fps: Fraction,
) -> tuple[float, float]:
    """The mouth's lag behind the voice in seconds, and the correlation there.

    Both are taken without their moving mean over a second. A positive lag: the mouth comes later.
    The lag is meaningful if the correlation reaches `sure_correlation`.
    """
    window = max(3, round(WINDOW_S * fps))
    if seen.sum() < 2 * window:
        return 0.0, 0.0
    index = np.arange(len(opening))
    mouth = _without_mean(np.interp(index, index[seen], opening[seen]), window)
    voice = _without_mean(voice.astype(np.float64), window)
    reach = min(round(MAX_LAG_S * fps), len(opening) // 4)
    best, at = -np.inf, 0
    for lag in range(-reach, reach + 1):
        v = voice[max(-lag, 0) : len(voice) - max(lag, 0)]
        m = mouth[max(lag, 0) : len(mouth) + min(lag, 0)]
        norm = np.sqrt((v**2).sum() * (m**2).sum())
        correlation = float((v * m).sum() / norm) if norm > 0 else 0.0
        if correlation > best:
            best, at = correlation, lag
    return float(at / fps), best


def sure_correlation(seconds: float) -> float:
    """The correlation that chance does not reach: three times 1/√n, n syllables in the clip."""
    return 3 / max(1.0, SYLLABLES_PER_S * seconds) ** 0.5


def _without_mean(values: np.ndarray, window: int) -> np.ndarray:
    kernel = np.ones(window)
    total = np.convolve(values, kernel, "same")
    return values - total / np.convolve(np.ones(len(values)), kernel, "same")
