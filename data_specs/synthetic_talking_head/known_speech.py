"""Recordings whose sounds and times are known: folders of wav files with phones.json.

    phones.json   {"NAME.wav": {"text": …, "phones": [[symbol, start, end], …]}, …}

Symbols are CMU's, a stressed vowel's with or without its digit; times are in seconds; between
phones nothing is said. A corpus of natural voices is a folder of such folders, one per voice.
"""

import dataclasses
import hashlib
import json
import os
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_specs.synthetic_talking_head.phone_names import PAUSE, phoneme_from_cmu
from facial_jax.audio.waveform import AudioSource
from facial_jax.files import write_text
from facial_jax.metrics.lips import Phone
from facial_jax.speech.espeak import Phoneme, Utterance

TABLE = "phones.json"


@dataclasses.dataclass(frozen=True)
class KnownSpeech:
    """A recording and what is said in it."""

    path: Path
    # the sound
    text: str
    # in words
    phones: tuple[Phone, ...]
    # in CMU's symbols, in order of time

    def utterance(self) -> Utterance:
        """What the animator reads, pauses where no phone is."""
        source = AudioSource(self.path)
        samples = np.concatenate(list(source.blocks(None)))[:, 0]
        phonemes = [phoneme_from_cmu(phone) for phone in self.phones]
        duration_s = len(samples) / source.sample_rate
        return Utterance(samples, source.sample_rate, with_pauses(phonemes, duration_s))


def with_pauses(phonemes: Sequence[Phoneme], duration_s: float) -> tuple[Phoneme, ...]:
    """Back to back until the end, with pauses between phonemes."""
    filled, end_s = [], 0.0
    for phoneme in (*phonemes, Phoneme(PAUSE, duration_s, duration_s)):
        if phoneme.start_s > end_s:
            filled.append(Phoneme(PAUSE, end_s, phoneme.start_s))
        filled.append(dataclasses.replace(phoneme, end_s=min(phoneme.end_s, duration_s)))
        end_s = phoneme.end_s
    return tuple(phoneme for phoneme in filled if phoneme.end_s > phoneme.start_s)


def save_known_speech(
    folder: str | os.PathLike,
    recordings: Sequence[tuple[str, np.ndarray, int, Sequence[Phone]]],
) -> Path:
    """Writes recordings, each a text, samples in [-1, 1], their rate and the phones, as a folder.

    The table comes last: if it is there, the folder is whole.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    table = {}
    for number, (text, samples, sample_rate, phones) in enumerate(recordings):
        name = f"{folder.name}_{number:04d}.wav"
        with wave.open(str(folder / name), "wb") as file:
            file.setparams((1, 2, sample_rate, 0, "NONE", ""))
            file.writeframes(np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
        rows = [[phone.name, round(phone.start_s, 4), round(phone.end_s, 4)] for phone in phones]
        table[name] = {"text": text, "phones": rows}
    write_text(folder / TABLE, json.dumps(table, indent=1) + "\n")
    return folder / TABLE


def load_known_speech(folder: str | os.PathLike) -> list[KnownSpeech]:
    """The recordings of a folder, by their names.

    Raises:
        FileNotFoundError: there is no phones.json in it, or a recording that it names is missing.
        ValueError: phones.json is not what this module says.
    """
    folder = Path(folder)
    table = folder / TABLE
    if not table.is_file():
        raise FileNotFoundError(f"folder: there is no {TABLE} in {folder}")
    recordings = []
    try:
        entries = sorted(json.loads(table.read_text(encoding="utf-8")).items())
        for name, entry in entries:
            phones = tuple(Phone(str(n), float(a), float(b)) for n, a, b in entry["phones"])
            recordings.append(KnownSpeech(folder / name, entry["text"], phones))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'folder: {table} is not a table of {{"text": …, "phones": [[symbol, start, end]]}} '
            f"({type(error).__name__}: {error})"
        ) from error
    for recording in recordings:
        if not recording.path.is_file():
            raise FileNotFoundError(f"folder: {TABLE} names {recording.path}, which is missing")
    return recordings


def known_voices(folder: str | os.PathLike) -> dict[str, list[KnownSpeech]]:
    """The voices of a folder of folders, by their names.

    Raises:
        FileNotFoundError: there is none in it.
        ValueError: a table is damaged.
    """
    tables = sorted(Path(folder).glob(f"*/{TABLE}"))
    if not tables:
        raise FileNotFoundError(f"folder: there is no VOICE/{TABLE} in {folder}")
    return {table.parent.name: load_known_speech(table.parent) for table in tables}


def known_voices_hash(folder: str | os.PathLike) -> str:
    """SHA-256 of all voices of a folder: their names, tables and sounds."""
    digest = hashlib.sha256()
    for voice, recordings in known_voices(folder).items():
        files = [Path(folder) / voice / TABLE, *(recording.path for recording in recordings)]
        for path in files:
            digest.update(f"{voice}/{path.name}\n".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
