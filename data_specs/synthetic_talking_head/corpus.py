"""Clips of made-up speakers: what they say, how it sounds, and what their faces do to it."""

import dataclasses
import functools
from fractions import Fraction

import numpy as np

from data_specs.synthetic_talking_head.animation import (
    animate,
    cut_utterance,
    join_utterances,
    silence,
)
from data_specs.synthetic_talking_head.known_speech import KnownSpeech, known_voices
from data_specs.synthetic_talking_head.recording import music, recorded
from data_specs.synthetic_talking_head.soft_tissue import frame_identities, softness
from data_specs.synthetic_talking_head.speaker import NaturalVoice, Speaker, Voice, make_speaker
from data_specs.synthetic_talking_head.text import SentenceMaker
from data_specs.synthetic_talking_head.voice_changes import change_voice
from facial_jax.audio.acoustic import AcousticModel
from facial_jax.audio.features import speech_features
from facial_jax.audio.waveform import AudioSource
from facial_jax.data.clips import SAMPLE_RATE, Clip
from facial_jax.data.splits import FACIAL_RATIO, split_of_index
from facial_jax.speech.espeak import Utterance, restart_engine, speak

SILENT_SHARE = 0.08
"""Of the clips in the bundled subject's style: nobody speaks, and the room or music is heard."""
MUSIC_SHARE = 0.6
"""Of those."""


def make_clip(
    seed: int,
    speaker_index: int,
    clip_index: int,
    *,
    seconds: float,
    fps: Fraction,
    acoustic_model: AcousticModel,
    demo_style: bool = False,
    natural_speech: str | None = None,
    ratio: str = FACIAL_RATIO,
    soft_tissue: bool = False,
) -> Clip:
    """Clip `clip_index` of a speaker in the corpus with this seed; depends on nothing else.

    The speaker says some sentences, with short pauses between and now and then a long one. The
    sound is what a microphone might have heard: see `recorded`. In the bundled subject's style some
    clips are silent throughout, so that the mouth learns to stay shut however loud a room's noise
    or music is without speech above it.

    With the folder `natural_speech` (see `known_speech`) every second speaker has a voice of it;
    then the clip depends on what is in it, too. No sentence of it is in clips of two splits, in the
    `ratio` of `facial_jax.data.splits`.

    With `soft_tissue` the clip has an identity for every frame (see the module of that name), and
    nothing else about it changes.
    """
    voices = {} if natural_speech is None else _voices(natural_speech)
    speaker = make_speaker(seed, speaker_index, demo_style=demo_style, natural_voices=tuple(voices))
    rng = np.random.default_rng([seed, 4, speaker_index, clip_index])
    if isinstance(speaker.voice, NaturalVoice):
        known = voices[speaker.voice.recordings]
        utterance = talk_naturally(speaker, _of_split(known, clip_index, ratio), rng, seconds)
    else:
        restart_engine()
        utterance = talk(speaker, rng, seconds)
    utterance = cut_utterance(utterance, seconds)
    kind = np.random.default_rng([seed, 5, speaker_index, clip_index])
    if demo_style and kind.random() < SILENT_SHARE:
        utterance = silence(seconds, utterance.sample_rate)
    motion_seed = int(rng.integers(2**62))
    attributes = animate(utterance, speaker.style, fps=float(fps), seed=motion_seed)
    sound = utterance.samples
    if not sound.any() and kind.random() < MUSIC_SHARE:
        sound = music(seconds, utterance.sample_rate, kind)[: len(sound)]
    recording = recorded(sound, utterance.sample_rate, rng)
    blocks = AudioSource((recording, utterance.sample_rate)).blocks(SAMPLE_RATE)
    samples = np.concatenate([block[:, 0] for block in blocks])
    waveform = np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)
    features = speech_features(AudioSource((waveform, SAMPLE_RATE)), acoustic_model, fps)
    count = min(len(features), len(attributes))
    identities = None
    if soft_tissue:
        identities = frame_identities(
            speaker.face.identity, attributes[:count], softness(seed, speaker_index)
        )
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
        frame_identity=identities,
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


def talk_naturally(
    speaker: Speaker, recordings: list[KnownSpeech], rng: np.random.Generator, seconds: float
) -> Utterance:
    """At least `seconds` of recordings in the speaker's voice, from a short silence on."""
    voice, parts, length = speaker.voice, [], 0.0
    order = rng.permutation(len(recordings))
    count = 0
    while length < seconds:
        # A voice is not the same every day; its sentences are used again when all have been used.
        known = recordings[order[count % len(order)]].utterance()
        said = change_voice(
            known,
            tract=voice.tract,
            pitch=voice.pitch * float(np.exp(rng.normal(0.0, 0.03))),
            rate=voice.rate * rng.uniform(0.93, 1.07),
        )
        pause = rng.uniform(0.1, 0.9) if not parts else _pause_s(speaker.style.pause_s, rng)
        parts += [silence(pause, said.sample_rate), said]
        length += parts[-1].duration_s + parts[-2].duration_s
        count += 1
    return join_utterances(parts)


@functools.cache
def _voices(folder: str) -> dict[str, list[KnownSpeech]]:
    return known_voices(folder)


def _of_split(recordings: list[KnownSpeech], clip_index: int, ratio: str) -> list[KnownSpeech]:
    """Those recordings that clips of this one's split are made of.

    Raises:
        ValueError: there is none.
    """
    split = split_of_index(clip_index, ratio)
    chosen = [x for number, x in enumerate(recordings) if split_of_index(number, ratio) == split]
    if not chosen:
        raise ValueError(
            f"natural_speech: expected at least ten recordings of each voice, so that every split "
            f"has its own, got {len(recordings)} in {recordings[0].path.parent}"
        )
    return chosen


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
