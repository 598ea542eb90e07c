"""Made-up speakers: a voice, a face and a style each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from data_specs.synthetic_talking_head.style import DEMO_STYLE, Style, random_style
from facial_jax.attributes import Identity
from facial_jax.speech.espeak import (
    ENGLISH_VOICES,
    FEMALE_VARIANTS,
    MALE_VARIANTS,
)

FRONT_LIGHT = np.zeros((3, 9))
FRONT_LIGHT[:, :4] = [-0.22, -0.1, 0.24, 0.09]
"""Soft light from above and one side."""
USUAL_WPM = 160.0
"""How fast the natural voices speak as they were recorded."""


@dataclass(frozen=True)
class Voice:
    """What `espeak.speak` is called with."""

    voice: str
    variant: str
    rate_wpm: float
    pitch: float
    pitch_range: float


@dataclass(frozen=True)
class NaturalVoice:
    """Whose recordings are used, and what `change_voice` makes of them."""

    recordings: str
    # a name in `known_voices`
    tract: float
    pitch: float
    rate: float


@dataclass(frozen=True)
class Speaker:
    """Somebody who does not exist."""

    name: str
    voice: Voice | NaturalVoice
    style: Style
    face: Identity
    # float32 NumPy arrays


def make_speaker(
    seed: int, index: int, *, demo_style: bool = False, natural_voices: Sequence[str] = ()
) -> Speaker:
    """Speaker number `index` of the corpus with this seed; the first 64 have a variant each.

    With `demo_style` all move like the bundled subject; voices, tempo and faces are their own.
    If there are natural voices, every second speaker has one of them, in turn, with a vocal
    tract and a pitch of its own.
    """
    variants = (*FEMALE_VARIANTS, *MALE_VARIANTS)
    order = np.random.default_rng([seed, 1]).permutation(len(variants))
    rng = np.random.default_rng([seed, 2, index])
    style = random_style((seed, 3, index))
    if demo_style:
        tempo = dict(voice_rate_wpm=style.voice_rate_wpm, pause_s=style.pause_s)
        style = replace(DEMO_STYLE, **tempo)
    voice = Voice(
        voice=str(rng.choice(ENGLISH_VOICES)),
        variant=variants[order[index % len(variants)]],
        rate_wpm=style.voice_rate_wpm,
        pitch=float(rng.uniform(30, 70)),
        pitch_range=float(rng.uniform(30, 75)),
    )
    if natural_voices and index % 2:
        name = natural_voices[index // 2 % len(natural_voices)]
        voice = _natural_voice(name, style, np.random.default_rng([seed, 6, index]))
    light = FRONT_LIGHT * rng.choice([1.0, -1.0], (1, 9)) ** (np.arange(9) == 3)
    light = light + rng.normal(0.0, 0.05, (1, 9)) + rng.normal(0.0, 0.015, (3, 9))
    face = Identity(
        identity=rng.standard_normal(80).astype(np.float32),
        texture=rng.standard_normal(80).astype(np.float32),
        illumination=light.astype(np.float32),
    )
    return Speaker(f"speaker{index:04d}", voice, style, face)


def _natural_voice(recordings: str, style: Style, rng: np.random.Generator) -> NaturalVoice:
    """Smaller people have shorter vocal tracts and, mostly, higher voices."""
    tract = float(np.exp(rng.uniform(-0.13, 0.17)))
    return NaturalVoice(
        recordings=recordings,
        tract=tract,
        pitch=float(np.clip(tract**1.5 * np.exp(rng.normal(0.0, 0.1)), 0.75, 1.4)),
        rate=float(np.clip(style.voice_rate_wpm / USUAL_WPM, 0.8, 1.25)),
    )
