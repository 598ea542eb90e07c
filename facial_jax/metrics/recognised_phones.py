"""The phones that are heard in a recording, for the lips' measures."""

import numpy as np
from jaxtyping import Float

from facial_jax.audio.acoustic import PHONEMES, load_acoustic_model
from facial_jax.audio.lip_groups import LIP_GROUPS
from facial_jax.metrics.lips import Phone

HEARD_S = 0.02
"""How long a phone is that is heard: a row."""
# What the lips' measures tell apart, by the beginning of a name, the longest first. Only sounds
# that somebody sees are named; the others stay "".
_CMU_OF_IPA = (
    *(("aʊ", "AW"), ("aɪ", "AY"), ("ɔɪ", "OY"), ("oʊ", "OW"), ("əʊ", "OW"), ("wʌ", "W")),
    *(("ɑ", "AA"), ("æ", "AE"), ("a", "AE"), ("ɒ", "AO"), ("ɔ", "AO"), ("ʌ", "AH"), ("u", "UW")),
    *(("p", "P"), ("b", "B"), ("m", "M"), ("f", "F"), ("v", "V"), ("w", "W")),
)


def cmu_from_ipa(name: str) -> str:
    """CMU's symbol of a sound that the lips' measures look at, "" of another."""
    return next((cmu for beginning, cmu in _CMU_OF_IPA if name.startswith(beginning)), "")


def recognise_phones(samples: Float[np.ndarray, "n"]) -> list[Phone]:
    """The phones that the acoustic model `phonemes` hears in a waveform at 16 kHz, in [-1, 1].

    Phones that look the same on lips are one: p, b and m are P.
    """
    times_s, may_be = load_acoustic_model(PHONEMES).phones([samples])
    names = [cmu_from_ipa(LIP_GROUPS[group]) for group in may_be.argmax(axis=1)]
    return [
        Phone(name, time_s - HEARD_S / 2, time_s + HEARD_S / 2)
        for name, time_s in zip(names, times_s.tolist(), strict=True)
        if name
    ]
