"""Speech of natural voices with known phones: python -m experiments.make_natural_speech.

Neural voices from packages (the extra `voices`) say made-up sentences at several speeds, and
PocketSphinx finds when each sound is said. The folder is what `experiments.make_corpus
--natural-speech` makes clips of; a voice that is in it already is left as it is. joe speaks six
times as fast as real time on one core, the others about twice.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from tqdm import tqdm

from data_specs.synthetic_talking_head.alignment import AlignmentError, align
from data_specs.synthetic_talking_head.known_speech import TABLE, save_known_speech
from data_specs.synthetic_talking_head.natural_voices import NATURAL_VOICES, speak_naturally
from data_specs.synthetic_talking_head.text import SentenceMaker

SLOWEST, FASTEST = 0.8, 1.2
_LOUDEST = 0.7


@dataclass(frozen=True)
class Arguments:
    """Who speaks, and for how long."""

    output: Path = Path("runs/natural_speech")
    """The folder for one folder per voice."""
    voices: tuple[str, ...] = NATURAL_VOICES
    """Who speaks."""
    minutes: float = 4.0
    """How long each voice speaks, without the pauses that a corpus puts between sentences."""
    seed: int = 0
    """Seed of the sentences and their speed."""


def sentences(voice: str, minutes: float, seed: int) -> Iterator[tuple[str, np.ndarray, int, list]]:
    """What `save_known_speech` writes, one sentence after the other until the time is over."""
    rng = np.random.default_rng([seed, NATURAL_VOICES.index(voice)])
    maker, seconds = SentenceMaker(rng), 0.0
    with tqdm(total=round(60 * minutes), desc=voice, unit="s") as bar:
        while seconds < 60 * minutes:
            text, rate = maker.sentence(), float(rng.uniform(SLOWEST, FASTEST))
            spoken = speak_naturally(text, voice=voice, rate=rate)
            try:
                phones = align(spoken.samples, spoken.sample_rate, spoken.words)
            except AlignmentError:
                continue  # it was not said as it should be: another sentence will be
            samples = spoken.samples * (_LOUDEST / max(float(np.abs(spoken.samples).max()), 0.05))
            yield text, samples, spoken.sample_rate, phones
            length_s = len(samples) / spoken.sample_rate
            seconds += length_s
            bar.update(round(length_s))


def main(arguments: Arguments) -> None:
    """Makes the voices that are missing, and prints their folders."""
    unknown = set(arguments.voices) - set(NATURAL_VOICES)
    if unknown:
        sys.exit(f"--voices: expected some of {NATURAL_VOICES}, got {sorted(unknown)}")
    for voice in arguments.voices:
        folder = arguments.output / voice
        if not (folder / TABLE).is_file():
            save_known_speech(folder, list(sentences(voice, arguments.minutes, arguments.seed)))
        print(folder)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
