"""What the head answers to: loudness, phrases, pauses and accents of an utterance."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from facial_jax.speech.espeak import Utterance

GRID_HZ = 200
"""The animator's own time grid, finer than any video's."""
VOWEL_BAND_HZ = (400.0, 1100.0)
"""Where open vowels have their energy: the first formant and the low second one."""
LOUDNESS_RANGE_DB = 35.0
MIN_PAUSE_S = 0.14
MIN_ACCENT_GAP_S = 0.3


@dataclass(frozen=True)
class Phrase:
    """A stretch of speech between two pauses."""

    start_s: float
    end_s: float
    pause_s: float
    # until the next phrase begins, or the utterance ends


@dataclass(frozen=True)
class Accent:
    """A stressed syllable."""

    time_s: float
    strength: float
    # 0 to 1


def band_log_energy(
    samples: np.ndarray, sample_rate: int, times_s: np.ndarray, *, window_s: float = 0.04
) -> np.ndarray:
    """log₁₀ of the energy between 400 and 1100 Hz in a Hann window around each time, (t,) float64.

    1e-8 is added before the logarithm, about the energy of 16-bit rounding noise.
    """
    n = round(window_s * sample_rate)
    padded = np.pad(np.asarray(samples, np.float64), (n, n))
    window = np.hanning(n + 2)[1:-1]
    frequencies = np.fft.rfftfreq(n, 1 / sample_rate)
    band = (frequencies >= VOWEL_BAND_HZ[0]) & (frequencies <= VOWEL_BAND_HZ[1])
    starts = np.round(np.asarray(times_s) * sample_rate).astype(np.int64) + n - n // 2
    starts = np.clip(starts, 0, len(padded) - n)
    energies = np.empty(len(starts))
    for first in range(0, len(starts), 4096):  # blocks: an hour of speech fits in memory
        frames = padded[starts[first : first + 4096, None] + np.arange(n)] * window
        energies[first : first + 4096] = (np.abs(np.fft.rfft(frames))[:, band] ** 2).mean(-1)
    return np.log10(energies / n + 1e-8)


def loudness(utterance: Utterance, times_s: np.ndarray) -> np.ndarray:
    """0 (35 dB below the loudest twentieth, or silence) to 1, of the vowel band."""
    if not len(times_s):
        return np.zeros(0)
    decibels = 10 * band_log_energy(utterance.samples, utterance.sample_rate, times_s)
    loud = np.percentile(decibels, 95)
    if loud < -60:  # nothing is spoken
        return np.zeros(len(times_s))
    return np.clip((decibels - loud) / LOUDNESS_RANGE_DB + 1, 0, 1.1)


def phrases(utterance: Utterance) -> list[Phrase]:
    """Stretches of speech; pauses shorter than `MIN_PAUSE_S` do not part them."""
    spans: list[list[float]] = []
    for phoneme in utterance.phonemes:
        if phoneme.is_pause:
            continue
        if spans and phoneme.start_s - spans[-1][1] < MIN_PAUSE_S:
            spans[-1][1] = phoneme.end_s
        else:
            spans.append([phoneme.start_s, phoneme.end_s])
    next_starts = [start for start, _ in spans[1:]] + [utterance.duration_s]
    return [
        Phrase(start, end, max(after - end, 0.0))
        for (start, end), after in zip(spans, next_starts, strict=False)
    ]


def speaking(utterance: Utterance, times_s: np.ndarray, sigma_s: float) -> np.ndarray:
    """(t,) 1 within phrases, 0 in pauses, smoothed, on the animator's grid."""
    active = np.zeros(len(times_s))
    for phrase in phrases(utterance):
        active[(times_s >= phrase.start_s) & (times_s <= phrase.end_s)] = 1.0
    return gaussian_smooth(active, sigma_s)


def accents(utterance: Utterance) -> list[Accent]:
    """Vowels with primary stress, the stronger first if two are close; in order of time."""
    stressed = [p for p in utterance.phonemes if p.stress == 2]
    if not stressed:
        return []
    centres = np.array([p.start_s + 0.4 * (p.end_s - p.start_s) for p in stressed])
    lengths = np.array([p.end_s - p.start_s for p in stressed])
    strengths = np.clip(loudness(utterance, centres), 0, 1) * np.clip(lengths / 0.16, 0.4, 1.0)
    kept: list[int] = []
    for i in np.argsort(-strengths, kind="stable"):
        if all(abs(centres[i] - centres[j]) >= MIN_ACCENT_GAP_S for j in kept):
            kept.append(int(i))
    return [Accent(float(centres[i]), float(strengths[i])) for i in sorted(kept)]


def gaussian_smooth(x: np.ndarray, sigma_s: float) -> np.ndarray:
    """Gaussian filter along the first axis on the animator's grid; the ends are held."""
    sigma = sigma_s * GRID_HZ
    radius = int(np.ceil(3 * sigma))
    if radius == 0 or not len(x):
        return x
    return gaussian_filter1d(x, sigma, axis=0, output=np.float64, mode="nearest", radius=radius)
