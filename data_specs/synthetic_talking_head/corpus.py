"""Clips of made-up speakers: what they say, how it sounds, and what their faces do to it."""

import dataclasses
from fractions import Fraction

import numpy as np

from data_specs.synthetic_talking_head.animation import (
    animate,
    cut_utterance,
    join_utterances,
    silence,
)
from data_specs.synthetic_talking_head.espeak import Utterance, restart_engine, speak
from data_specs.synthetic_talking_head.speaker import Speaker, Voice, make_speaker
from data_specs.synthetic_talking_head.text import SentenceMaker
from facial_jax.audio.acoustic import AcousticModel
from facial_jax.audio.features import speech_features
from facial_jax.audio.waveform import AudioSource
from facial_jax.data.clips import SAMPLE_RATE, Clip

SILENT_SHARE = 0.05
"""Of the clips in the bundled subject's style: nobody speaks, and the room alone is heard."""


def make_clip(
    seed: int,
    speaker_index: int,
    clip_index: int,
    *,
    seconds: float,
    fps: Fraction,
    acoustic_model: AcousticModel,
    demo_style: bool = False,
) -> Clip:
    """Clip `clip_index` of a speaker in the corpus with this seed; depends on nothing else.

    The speaker says some sentences, with short pauses between and now and then a long one. The
    sound is what a microphone might have heard: see `recorded`. In the bundled subject's style some
    clips are silent throughout, so that the mouth learns to stay shut however loud a room's noise
    comes out where there is no speech to be louder.
    """
    speaker = make_speaker(seed, speaker_index, demo_style=demo_style)
    rng = np.random.default_rng([seed, 4, speaker_index, clip_index])
    restart_engine()
    utterance = cut_utterance(talk(speaker, rng, seconds), seconds)
    silent = np.random.default_rng([seed, 5, speaker_index, clip_index]).random() < SILENT_SHARE
    if demo_style and silent:
        utterance = silence(seconds, utterance.sample_rate)
    motion_seed = int(rng.integers(2**62))
    attributes = animate(utterance, speaker.style, fps=float(fps), seed=motion_seed)
    heard = recorded(utterance.samples, utterance.sample_rate, rng)
    blocks = AudioSource((heard, utterance.sample_rate)).blocks(SAMPLE_RATE)
    samples = np.concatenate([block[:, 0] for block in blocks])
    waveform = np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)
    features = speech_features(AudioSource((waveform, SAMPLE_RATE)), acoustic_model, fps)
    count = min(len(features), len(attributes))
    return Clip(
        clip=f"{speaker.name}_{clip_index:04d}",
        subject=speaker.name,
        fps=str(fps),
        waveform=waveform,
        features=np.asarray(features, np.float32)[:count],
        expression=attributes.expression[:count],
        pose=attributes.pose[:count],
        blink=attributes.blink[:count],
        valid=np.ones(count, bool),
        identity=speaker.face.identity,
        texture=speaker.face.texture,
        illumination=speaker.face.illumination,
    )


def talk(speaker: Speaker, rng: np.random.Generator, seconds: float) -> Utterance:
    """At least `seconds` of the speaker's talk, from a short silence on."""
    voice = _mood(speaker.voice, rng)
    sentences = SentenceMaker(rng)
    parts = [silence(rng.uniform(0.1, 0.9))]
    length = parts[0].duration_s
    while length < seconds:
        parts.append(speak(sentences.sentence(), **dataclasses.asdict(voice)))
        parts.append(silence(_pause_s(speaker.style.pause_s, rng)))
        length += parts[-1].duration_s + parts[-2].duration_s
    return join_utterances(parts)


def _mood(voice: Voice, rng: np.random.Generator) -> Voice:
    """A voice is not the same every day."""
    return dataclasses.replace(
        voice,
        rate_wpm=voice.rate_wpm * rng.uniform(0.93, 1.07),
        pitch=float(np.clip(voice.pitch + rng.normal(0.0, 3.0), 0, 100)),
    )


def _pause_s(mean_s: float, rng: np.random.Generator) -> float:
    kind = rng.random()
    if kind < 0.03:
        return rng.uniform(4.0, 7.0)
    if kind < 0.18:
        return rng.uniform(0.8, 2.5)
    return 0.02 + rng.exponential(mean_s)


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
