"""Clips of made-up speakers: speech with pauses, silence, and what the face does to it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_specs.synthetic_talking_head.animation import animate, join_utterances, silence
from data_specs.synthetic_talking_head.espeak import (
    ENGLISH_VOICES,
    FEMALE_VARIANTS,
    MALE_VARIANTS,
    Utterance,
    speak,
)
from data_specs.synthetic_talking_head.style import Style
from data_specs.synthetic_talking_head.text import make_sentences
from facial_jax.attributes import Attributes

TAIL_S = 6.0
"""The face is animated this much longer than the speech lasts: nothing is heard, life goes on."""


@dataclass(frozen=True)
class SyntheticClip:
    """One made-up clip."""

    samples: np.ndarray
    # (n,) float32, what is heard
    sample_rate: int
    attributes: tuple[Attributes, ...]
    # what the face does, to `TAIL_S` seconds after the last sample; one for each phase asked for


def make_clip(
    seed: int,
    style: Style,
    *,
    seconds: float,
    fps: float,
    phases: Sequence[float | None] = (None,),
) -> SyntheticClip:
    """A speaker with a voice of their own says some sentences, with pauses between.

    The head moves once for each of `phases`: what its slow cycle is at when the clip begins. One
    clip in ten is silent from beginning to end. The sound is what a microphone might have heard:
    see `recorded`.
    """
    rng = np.random.default_rng(seed)
    utterance = silence(seconds) if rng.random() < 0.1 else _talk(rng, seed, seconds)
    whole = join_utterances([utterance, silence(TAIL_S)])
    attributes = tuple(animate(whole, style, fps=fps, seed=seed, phase=p) for p in phases)
    samples = recorded(utterance.samples, utterance.sample_rate, rng)
    return SyntheticClip(samples, utterance.sample_rate, attributes)


def _talk(rng: np.random.Generator, seed: int, seconds: float) -> Utterance:
    voice = dict(
        voice=str(rng.choice(ENGLISH_VOICES)),
        variant=rng.choice([None, *FEMALE_VARIANTS, *MALE_VARIANTS]),
        rate_wpm=float(rng.uniform(120, 210)),
        pitch=float(rng.uniform(30, 70)),
        pitch_range=float(rng.uniform(30, 75)),
    )
    parts = [silence(rng.choice([0.02, rng.uniform(0.1, 1.5)]))]
    length = parts[0].duration_s
    for sentence in make_sentences(200, seed=seed):
        if length >= seconds:
            break
        parts.append(speak(sentence, **voice))
        # Mostly short pauses, now and then a long one.
        pause = rng.uniform(1.0, 4.0) if rng.random() < 0.12 else rng.exponential(0.3)
        parts.append(silence(pause + 0.02))
        length += parts[-1].duration_s + parts[-2].duration_s
    return join_utterances(parts)


def recorded(samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Speech as a microphone in a room hears it: a room's echo, a colour, noise, a level.

    One recording in eight is left clean: then pauses are digital silence.
    """
    if rng.random() < 0.125:
        return samples
    n = len(samples)
    size = 1 << (n + sample_rate).bit_length()
    spectrum = np.fft.rfft(samples, size)
    frequencies = np.fft.rfftfreq(size, 1 / sample_rate)
    # Colour: a smooth random curve over the octaves, and the end of the microphone's range.
    octaves = np.log2(np.maximum(frequencies, 30.0) / 30.0)
    knots = np.linspace(0.0, 9.0, 7)
    decibels = np.interp(octaves, knots, rng.normal(0.0, 4.0, len(knots)))
    cutoff = rng.uniform(3400.0, 11000.0)
    colour = 10 ** (decibels / 20) / np.sqrt(1 + (frequencies / cutoff) ** 8)
    # Room: direct sound and an exponentially fading tail.
    decay_s = rng.uniform(0.05, 0.4)
    lag_s = np.arange(sample_rate) / sample_rate
    room = rng.standard_normal(sample_rate) * np.exp(-6.9 * lag_s / decay_s)
    room *= rng.uniform(0.0, 0.5) / np.sqrt((room**2).sum())
    room[0] = 1.0
    spectrum *= colour * np.fft.rfft(room, size)
    heard = np.fft.irfft(spectrum, size)[:n]
    # Noise between white and brown, 15 to 55 dB below the speech.
    noise_spectrum = np.fft.rfft(rng.standard_normal(size))
    noise_spectrum *= np.maximum(frequencies, 20.0) ** -rng.uniform(0.0, 1.0)
    noise = np.fft.irfft(noise_spectrum, size)[:n]
    level = max(float(np.sqrt((heard**2).mean())), 0.03) * 10 ** (-rng.uniform(15, 55) / 20)
    noise *= level / np.sqrt((noise**2).mean())
    mixed = heard + noise
    peak = np.abs(mixed).max()
    return (mixed * min(1.0, 10 ** rng.uniform(-1.0, 0.0) / peak)).astype(np.float32)
