"""Other people from one voice: another vocal tract, another pitch, another speed.

A few voices are to stand for many. What changes the time changes the phonemes' times by the same
factor, so they stay as exact as they were.
"""

import dataclasses
from fractions import Fraction

import numpy as np
from scipy.signal import resample_poly

from facial_jax.speech.espeak import Utterance

_WINDOW_S = 0.03
# Shorter than a period of any voice here, longer than the formants need.
_ENVELOPE_QUEFRENCY_S = 0.0024
_ENVELOPE_ITERATIONS = 6
_MAX_GAIN = 16.0
_FLOOR = 1e-5
_STRETCH_WINDOW_S, _STRETCH_SEARCH_S = 0.04, 0.008


def change_voice(
    utterance: Utterance, *, tract: float = 1.0, pitch: float = 1.0, rate: float = 1.0
) -> Utterance:
    """The same words by somebody else, or in another mood.

    Played faster by `pitch`, then made as long as `rate` wants it, then given the spectral envelope
    of a vocal tract of the wanted size.

    Args:
        utterance: with its phonemes' times.
        tract: factor of the formants' frequencies: 1.2 makes a woman's vocal tract of a man's.
        pitch: factor of the fundamental frequency.
        rate: factor of the speed; the phonemes' times become shorter by it.
    """
    faster = play_faster(utterance, pitch)
    stretched = stretch(faster, pitch / rate)
    samples = move_formants(stretched.samples, stretched.sample_rate, tract / pitch)
    return dataclasses.replace(stretched, samples=samples)


def play_faster(utterance: Utterance, factor: float) -> Utterance:
    """Speed, pitch and formants by one factor, as a tape recorder does it."""
    step = Fraction(factor).limit_denominator(100)
    if step == 1:
        return utterance
    samples = resample_poly(utterance.samples, step.denominator, step.numerator)
    return _with_times(utterance, samples.astype(np.float32))


def stretch(utterance: Utterance, factor: float) -> Utterance:
    """As long by the factor, pitch and formants as they were (WSOLA; Verhelst and Roelands, 1993).

    Windows of the sound are laid over each other at other distances than they were taken from, each
    moved by up to 8 ms to where it continues the one before; times are exact to that.
    """
    if factor == 1.0:
        return utterance
    rate = utterance.sample_rate
    half = round(_STRETCH_WINDOW_S * rate / 2)
    search = round(_STRETCH_SEARCH_S * rate)
    window = np.hanning(2 * half + 1)[:-1]
    count = round(len(utterance.samples) * factor)
    margin = 2 * half + search
    x = np.pad(utterance.samples.astype(np.float64), (margin, margin + 2 * half))
    out = np.zeros(count + 4 * half)
    begin = margin - half
    for k in range(-(-count // half) + 1):
        wanted = margin - half + round(k * half / factor)
        wanted = min(wanted, len(x) - 2 * half - search - 1)
        if k:
            # The piece that follows the last one in the recording is what would sound best here.
            natural = x[begin + half : begin + 3 * half]
            around = x[wanted - search : wanted + search + 2 * half]
            if len(natural) == 2 * half:
                begin = wanted - search + int(np.argmax(np.correlate(around, natural, "valid")))
            else:
                begin = wanted
        out[k * half : k * half + 2 * half] += window * x[begin : begin + 2 * half]
    return _with_times(utterance, out[half : half + count].astype(np.float32))


def move_formants(samples: np.ndarray, sample_rate: int, factor: float) -> np.ndarray:
    """The spectral envelope moved along the frequencies by a factor; pitch and times stay.

    The envelope is what the vocal tract does to the voice, without the voice's harmonics: a smooth
    curve over their peaks, in windows of 30 ms.

    Args:
        samples: (n,) float.
        sample_rate: in Hz.
        factor: of the formants' frequencies.

    Returns:
        (n,) float32.
    """
    if factor == 1.0 or not len(samples):
        return np.asarray(samples, np.float32)
    hop = round(_WINDOW_S * sample_rate / 4)
    length = 4 * hop
    size = 1 << (length - 1).bit_length()
    window = np.sqrt(np.hanning(length + 1)[:-1])
    padded = np.pad(np.asarray(samples, np.float64), (length, 2 * length))
    starts = np.arange(0, len(padded) - length, hop)
    spectra = np.fft.rfft(padded[starts[:, None] + np.arange(length)] * window, size)
    loudest = np.abs(spectra).max()
    if loudest == 0:
        return np.asarray(samples, np.float32)
    envelope = _envelope(
        np.log(np.abs(spectra) + _FLOOR * loudest), round(_ENVELOPE_QUEFRENCY_S * sample_rate)
    )
    bins = np.arange(envelope.shape[1], dtype=np.float64)
    # Beyond the highest frequency there is nothing to take: the last value is held.
    source = np.minimum(bins / factor, bins[-1])
    low = np.minimum(source.astype(np.int64), len(bins) - 2)
    part = source - low
    moved = envelope[:, low] * (1 - part) + envelope[:, low + 1] * part
    gain = np.exp(np.clip(moved - envelope, -np.log(_MAX_GAIN), np.log(_MAX_GAIN)))
    pieces = np.fft.irfft(spectra * gain, size)[:, :length] * window
    out = np.zeros(len(padded))
    for start, piece in zip(starts, pieces, strict=True):
        out[start : start + length] += piece
    # Squared windows, four over each other, add up to two.
    return (out[length : length + len(samples)] / 2).astype(np.float32)


def _envelope(log_spectra: np.ndarray, kept: int) -> np.ndarray:
    """Smooth curves over the spectra's peaks ("true envelope"; Röbel and Rodet, 2005)."""
    envelope = raised = log_spectra
    for _ in range(_ENVELOPE_ITERATIONS):
        cepstra = np.fft.irfft(raised, axis=1)
        cepstra[:, kept : cepstra.shape[1] - kept + 1] = 0.0
        envelope = np.fft.rfft(cepstra, axis=1).real
        raised = np.maximum(log_spectra, envelope)
    return envelope


def _with_times(utterance: Utterance, samples: np.ndarray) -> Utterance:
    """Other samples, and the phonemes at the same places in them."""
    scale = len(samples) / len(utterance.samples)
    phonemes = tuple(
        dataclasses.replace(p, start_s=p.start_s * scale, end_s=p.end_s * scale)
        for p in utterance.phonemes
    )
    return dataclasses.replace(utterance, samples=samples, phonemes=phonemes)
