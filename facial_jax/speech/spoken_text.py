"""A text as speech, with the phones that are said and when."""

import functools
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from facial_jax.audio.acoustic import PHONEMES, load_acoustic_model
from facial_jax.audio.ipa import groups_of_ipa
from facial_jax.audio.known_phones import KnownPhone
from facial_jax.audio.waveform import AudioSource
from facial_jax.speech.espeak import Phoneme, pronounce, speak
from facial_jax.speech.piper import PiperVoice, load_piper_voice

VOICE = "en-us"
_SENTENCE_END = re.compile(r"(?<=[.!?…:;])\s+|\n\s*\n")
_CLAUSE_END = re.compile(r"(?<=[,;:.!?])\s+")
_PAUSE_S = 0.25
"""Between a Piper voice's sentences, which it says one at a time."""
_HALF_PHONE_S = 0.04
"""Of a phone of which only the middle is known."""


@dataclass(frozen=True)
class SpokenText:
    """What was said: sound, and phones in time. `facial_jax.synthesize` takes it for `audio`."""

    text: str
    # what was to be said
    samples: Float[np.ndarray, "n"] = field(repr=False)
    # the sound, in [-1, 1]
    sample_rate: int
    # in Hz
    phones: tuple[KnownPhone, ...] = field(repr=False)
    # in order of time

    @property
    def audio(self) -> AudioSource:
        """The sound."""
        return AudioSource((self.samples, self.sample_rate))


def source_and_phones(audio: Any) -> tuple[AudioSource, tuple[KnownPhone, ...] | None]:
    """The sound of what `facial_jax.synthesize` takes for `audio`; its phones, if known."""
    if isinstance(audio, SpokenText):
        return audio.audio, audio.phones
    return AudioSource(audio), None


def speak_text(text: str, *, voice: str | os.PathLike = VOICE) -> SpokenText:
    """Speaks a text.

    Args:
        text: what to say.
        voice: a language of espeak-ng, such as "en-us" or "de", with a variant or without
            ("en-us+f2"); or a Piper voice's file, NAME.onnx, with NAME.onnx.json beside it. The
            extras are `text` and `piper`.

    Raises:
        ValueError: nothing to say, an unknown voice or a damaged one.
        FileNotFoundError: there is no such file.
        ImportError: espeakng-loader or onnxruntime is not installed.
    """
    if not any(character.isalnum() for character in text):
        raise ValueError(f"text: expected something to say, got {text!r}")
    if str(voice).endswith(".onnx"):
        spoken = _speak_with_piper(text, _piper_voice(Path(voice)))
    else:
        spoken = _speak_with_espeak(text, str(voice))
    if not spoken.phones:
        raise ValueError(f"text: expected something that {voice} can say, got {text!r}")
    return spoken


def _speak_with_espeak(text: str, voice: str) -> SpokenText:
    name, _, variant = voice.partition("+")
    said = speak(text, voice=name, variant=variant or None, ipa=True)
    phones = tuple(phone for phoneme in said.phonemes for phone in known_phones(phoneme))
    return SpokenText(text, said.samples, said.sample_rate, phones)


def known_phones(phoneme: Phoneme) -> list[KnownPhone]:
    """A phoneme named in the IPA as phones, each of which lasts as long as the others."""
    groups = groups_of_ipa(phoneme.name)
    times = np.linspace(phoneme.start_s, phoneme.end_s, len(groups) + 1)
    return [
        KnownPhone(group, float(start), float(end))
        for group, start, end in zip(groups, times, times[1:], strict=False)
    ]


@functools.lru_cache(maxsize=2)
def _piper_voice(path: Path) -> PiperVoice:
    return load_piper_voice(path)


def _speak_with_piper(text: str, voice: PiperVoice) -> SpokenText:
    pause = np.zeros(round(_PAUSE_S * voice.sample_rate), np.float32)
    parts, phones, count = [], [], 0
    for sentence in _SENTENCE_END.split(text):
        ipa, groups = _written(sentence, voice.language)
        if not groups:
            continue
        samples = voice.say(ipa)
        phones += _found(groups, samples, voice.sample_rate, count / voice.sample_rate)
        parts += [samples, pause]
        count += len(samples) + len(pause)
    samples = np.concatenate(parts) if parts else pause
    return SpokenText(text, samples, voice.sample_rate, tuple(phones))


def _written(sentence: str, language: str) -> tuple[str, list[int]]:
    """A sentence in the IPA, with its own punctuation, and the groups of its phones."""
    clauses, groups = [], []
    for clause in _CLAUSE_END.split(sentence.strip()):
        words = ["".join(s.ipa for s in word) for word in pronounce(clause, voice=language)]
        groups += [group for word in words for group in groups_of_ipa(word)]
        if words:
            mark = clause[-1] if clause[-1] in ",;:.!?" else ""
            clauses.append(" ".join(words) + mark)
    return " ".join(clauses), groups


def _found(
    groups: list[int], samples: np.ndarray, sample_rate: int, start_s: float
) -> list[KnownPhone]:
    """The phones of a sentence, where the recogniser hears them in its sound."""
    sound = AudioSource((samples, sample_rate))
    try:
        middles = load_acoustic_model(PHONEMES).find_known(groups, sound.blocks(16000))
    except ValueError:  # a voice that says less than it is told
        middles = np.linspace(0, float(sound.duration), len(groups) + 2)[1:-1]
    middles = start_s + middles
    return [
        KnownPhone(group, float(middle) - _HALF_PHONE_S, float(middle) + _HALF_PHONE_S)
        for group, middle in zip(groups, middles, strict=True)
    ]
