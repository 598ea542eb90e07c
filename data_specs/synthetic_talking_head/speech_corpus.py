"""Synthetic speech for the acoustic network: log mel energies, phones per frame and spelling."""

import numpy as np

from data_specs.synthetic_talking_head.text import SentenceMaker, spelling
from facial_jax.audio.mfcc import FRAME_LENGTH, HOP, MEL_BANDS, SAMPLE_RATE, log_mel
from facial_jax.audio.waveform import AudioSource
from facial_jax.models.acoustic.corpus import PHONES, UNKNOWN_PHONE, SpeechCorpus
from facial_jax.speech import espeak

HELD_OUT_VARIANTS = ("f2", "m4", "Andrea", "quincy", "klatt3", "steph", "Reed", "boris")
"""Voices that are heard in validation only."""
SENTENCES_PER_SPEAKER = 5
_ALIASES = {";": "j", "o@": "O@", "i@3": "i@", "aI3": "aI", "VR": "3", "IR": "3", "?": "t"}
_GAP_FRAMES = 8


def phone_class(name: str) -> int:
    """The class of an espeak-ng phoneme mnemonic."""
    if name.startswith("_"):
        return 0
    name = _ALIASES.get(name, name)
    if name not in PHONES:
        name = name.rstrip("#245-[")
    name = _ALIASES.get(name, name)
    return PHONES.index(name) if name in PHONES else UNKNOWN_PHONE


def phones_per_frame(
    phonemes: tuple[espeak.Phoneme, ...], count: int, time_scale: float = 1.0
) -> np.ndarray:
    """(count,) int8: the phone at each frame's centre; silence beyond the last one."""
    centres = (np.arange(count) * HOP + FRAME_LENGTH / 2) / SAMPLE_RATE
    ends = np.array([phoneme.end_s for phoneme in phonemes]) * time_scale
    classes = np.array([*(phone_class(phoneme.name) for phoneme in phonemes), 0])
    return classes[np.searchsorted(ends, centres, side="right")].astype(np.int8)


def _random_speaker(rng: np.random.Generator, variants) -> dict:
    return {
        "voice": espeak.ENGLISH_VOICES[int(rng.choice(8, p=(0.3, 0.1, *[0.1] * 6)))],
        "variant": variants[int(rng.integers(len(variants)))],
        "rate_wpm": float(rng.uniform(115, 260)),
        "pitch": float(rng.uniform(15, 90)),
        "pitch_range": float(rng.uniform(20, 95)),
    }


def make_corpus(speakers: int, *, seed: int, held_out: bool = False) -> SpeechCorpus:
    """Speech of random voices, each saying a few sentences in its own rate, pitch and tract length.

    Args:
        speakers: how many.
        seed: the same seed gives the same corpus, in a new process (see `espeak`).
        held_out: use the voices in `HELD_OUT_VARIANTS` instead of all the others.
    """
    variants = tuple(v for v in espeak.VARIANTS if (v in HELD_OUT_VARIANTS) == held_out)
    sentences = SentenceMaker(np.random.default_rng([seed, 1, int(held_out)]))
    mels, phones, bounds, texts, owners = [], [], [0], [], []
    for speaker in range(speakers):
        rng = np.random.default_rng([seed, 2, int(held_out), speaker])
        manner = _random_speaker(rng, variants)
        # Played faster or slower: a shorter or longer vocal tract, with its pitch and tempo.
        stretch = float(np.clip(np.exp(rng.normal(0.0, 0.08)), 0.82, 1.2))
        sound, labels, starts, ends = [], [], [], []
        position = 0
        for _ in range(SENTENCES_PER_SPEAKER):
            text = sentences.sentence()
            try:
                utterance = espeak.speak(text, **manner)
            except RuntimeError:
                continue
            rate = round(utterance.sample_rate / stretch)
            source = AudioSource((utterance.samples, rate))
            samples = np.concatenate([block[:, 0] for block in source.blocks(SAMPLE_RATE)])
            count = len(samples) // HOP + 1
            labels.append(phones_per_frame(utterance.phonemes, count, stretch))
            sound.append(np.pad(samples, (0, count * HOP - len(samples))))
            sound.append(np.zeros(_GAP_FRAMES * HOP, np.float32))
            starts.append(position)
            ends.append(position + count)
            position += count + _GAP_FRAMES
            texts.append(spelling(text))
            owners.append(speaker)
        energies = log_mel([np.concatenate(sound)])[:, :MEL_BANDS].astype(np.float16)
        for start, end, label in zip(starts, ends, labels, strict=True):
            mels.append(energies[start:end])
            phones.append(label)
            bounds.append(bounds[-1] + end - start)
    return SpeechCorpus(
        np.concatenate(mels),
        np.concatenate(phones),
        np.array(bounds, np.int64),
        tuple(texts),
        np.array(owners, np.int32),
    )
