"""Speech as log mel energies, phones per frame and spelling: what acoustics train on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facial_jax.audio.mfcc import FRAME_RATE
from facial_jax.files import whole_or_nothing

PHONES = (
    *("_", "p", "b", "t", "d", "k", "g", "tS", "dZ", "f", "v", "T", "D", "s", "z", "S", "Z", "h"),
    *("m", "n", "N", "l", "r", "w", "j", "a", "aa", "A:", "A@", "E", "I", "i", "i:", "O:", "O@"),
    *("oU", "0", "V", "U", "u:", "3:", "3", "@", "@L", "eI", "aI", "aU", "OI", "e@", "i@", "U@"),
    "aI@",
)
"""Phone classes; the first is silence."""
UNKNOWN_PHONE = -1


@dataclass(frozen=True)
class SpeechCorpus:
    """Utterances one after the other; utterance u owns the frames bounds[u] : bounds[u + 1]."""

    log_mel: np.ndarray
    # (frames, 26) float16, natural logarithms at 50 frames per second
    phones: np.ndarray
    # (frames,) int8 index into PHONES, or UNKNOWN_PHONE
    bounds: np.ndarray
    # (utterances + 1,) int64
    texts: tuple[str, ...]
    # spelling of each utterance
    speakers: np.ndarray
    # (utterances,) int32: utterances of one speaker lie together

    def __len__(self) -> int:
        return len(self.texts)


def save_corpus(path: Path, corpus: SpeechCorpus) -> None:
    """Write the corpus as one npz, replacing the file only when it is whole."""
    with whole_or_nothing(path) as partial:
        np.savez(
            partial,
            log_mel=corpus.log_mel,
            phones=corpus.phones,
            bounds=corpus.bounds,
            texts=np.array(corpus.texts),
            speakers=corpus.speakers,
        )


def load_corpus(path: Path) -> SpeechCorpus:
    """Read what `save_corpus` wrote."""
    with np.load(path) as file:
        return SpeechCorpus(
            file["log_mel"],
            file["phones"],
            file["bounds"],
            tuple(str(text) for text in file["texts"]),
            file["speakers"],
        )


def hours(corpus: SpeechCorpus) -> float:
    """Length of all the speech."""
    return len(corpus.log_mel) / FRAME_RATE / 3600
