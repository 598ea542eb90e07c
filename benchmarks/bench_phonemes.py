"""How well the acoustic model `phonemes` hears lips close, and how fast.

    python -m benchmarks.bench_phonemes --speech ../shared/speech/natural

`--speech` is a folder that `data_specs.synthetic_talking_head.known_speech` reads. A p, b or m
counts as heard if one of the group is heard between its ends, 40 ms to either side; what is
heard elsewhere is a mistake.
"""

import resource
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from scipy.signal import butter, sosfilt

from benchmarks.measure import Row, measure, print_table
from data_specs.synthetic_talking_head.known_speech import load_known_speech
from data_specs.synthetic_talking_head.recording import with_noise
from facial_jax.audio.acoustic import PHONEMES, load_acoustic_model
from facial_jax.audio.features import speech_features
from facial_jax.audio.lip_groups import IS_VOWEL, LIP_GROUPS
from facial_jax.audio.phone_rows import BANDS
from facial_jax.audio.phonemes import PhonemeAcousticModel
from facial_jax.audio.recogniser import SAMPLE_RATE
from facial_jax.audio.waveform import AudioSource
from facial_jax.metrics.lips import GESTURES

CLOSED, OPEN = GESTURES["closed"].phones, GESTURES["opened"].phones
NEAR_S = 0.04
_CLOSED_GROUP = LIP_GROUPS.index("p")


def in_noise(decibels: float) -> Callable[[np.ndarray], np.ndarray]:
    """White noise, `decibels` below the recording's mean power."""

    def add(sound):
        return with_noise(sound, np.random.default_rng(0).normal(size=len(sound)), decibels)

    return add


def by_telephone(sound: np.ndarray) -> np.ndarray:
    """300 to 3400 Hz."""
    return sosfilt(butter(4, (300, 3400), "band", fs=SAMPLE_RATE, output="sos"), sound)


def in_a_room(sound: np.ndarray) -> np.ndarray:
    """With a tail of 0.7 s (60 dB), half as strong as the direct sound."""
    time = np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE
    tail = np.random.default_rng(0).normal(size=len(time)) * 10 ** (-3 * time / 0.7)
    tail *= 0.5 / np.sqrt(np.sum(tail**2))
    tail[0] += 1
    return np.convolve(sound, tail)[: len(sound)]


CONDITIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as recorded": lambda sound: sound,
    "20 dB quieter": lambda sound: 0.1 * sound,
    "by telephone": by_telephone,
    "in a room": in_a_room,
    "noise, 20 dB below": in_noise(20),
    "noise, 10 dB below": in_noise(10),
    "noise, 5 dB below": in_noise(5),
}
"""What is done to the recordings, by name."""


def measure_closures(
    model: PhonemeAcousticModel, folder: Path, change: Callable[[np.ndarray], np.ndarray]
) -> str:
    """Recall, precision and delay of p, b and m; loudness in open vowels and in closures."""
    delays, spoken, claimed, right = [], 0, 0, 0
    loudness: dict[bool, list[np.ndarray]] = {True: [], False: []}
    for recording in load_known_speech(folder):
        sound = np.concatenate(list(AudioSource(recording.path).blocks(SAMPLE_RATE)))[:, 0]
        sound = change(sound).astype(np.float32)
        time, may_be = model.phones([sound])
        rows = model([sound])
        closures_s = time[may_be.argmax(axis=1) == _CLOSED_GROUP]
        truth = [(p.start_s, p.end_s) for p in recording.phones if p.name in CLOSED]
        for a, b in truth:
            spoken += 1
            inside = (
                closures_s[(closures_s >= a - NEAR_S) & (closures_s <= b + NEAR_S)] - (a + b) / 2
            )
            delays += [min(inside, key=abs)] if len(inside) else []
        claimed += len(closures_s)
        right += sum(any(a - NEAR_S <= t <= b + NEAR_S for a, b in truth) for t in closures_s)
        for phone in recording.phones:
            if phone.name in CLOSED | OPEN:
                middle = min(round((phone.start_s + phone.end_s) / 2 * 50), len(rows) - 1)
                loudness[phone.name in OPEN].append(rows[middle, -BANDS:])
    opened, closed = (np.mean(loudness[key], axis=0) for key in (True, False))
    return (
        f"recall {len(delays) / spoken:.2f} of {spoken}, precision {right / max(claimed, 1):.2f}, "
        f"late by {1000 * np.mean(delays):+.0f} ms ± {1000 * np.std(delays):.0f}; loudness in open "
        f"vowels {opened.round(1)}, in closures {closed.round(1)}"
    )


def rows(model: PhonemeAcousticModel, repeats: int) -> Iterator[Row]:
    """From a second, a minute and ten minutes of sound to features."""
    sound = np.random.default_rng(0).normal(0.0, 0.1, 600 * SAMPLE_RATE).astype(np.float32)
    for seconds in (1, 60, 600):
        source = AudioSource((sound[: seconds * SAMPLE_RATE], SAMPLE_RATE))
        yield measure(
            f"{seconds} s of sound to features",
            speech_features,
            source,
            model,
            Fraction(25),
            repeats=repeats,
        )


def main(speech: Path | None = None, speed: bool = True) -> None:
    """Measure the acoustic model `phonemes`.

    Args:
        speech: a folder of recordings with known phones.
        speed: measure the time from speech to features, and the memory.
    """
    model = load_acoustic_model(PHONEMES)
    assert isinstance(model, PhonemeAcousticModel)
    if speech is not None:
        print(f"{len(LIP_GROUPS)} groups, {IS_VOWEL.sum()} of vowels")
        for name, change in CONDITIONS.items():
            print(f"{name + ':':<20} {measure_closures(model, speech, change)}")
    if speed:
        print_table(rows(model, repeats=5))
        for minutes in (10, 60):
            blocks = (np.zeros(SAMPLE_RATE, np.float32) for _ in range(60 * minutes))
            model(blocks)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"peak memory of the process after {minutes} minutes: {peak:.0f} MiB")


if __name__ == "__main__":
    import tyro

    tyro.cli(main)
