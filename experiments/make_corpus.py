"""Makes the synthetic corpus: python -m experiments.make_corpus --speakers 24 --clips 20.

Made-up people, each with a voice, a face and a manner of their own, say made-up sentences. The same
options give the same corpus, whatever the number of workers.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from data_specs.synthetic_talking_head.builder import SyntheticTalkingHeadConfig, build_corpus
from facial_jax.audio.acoustic import default_acoustic_model


@dataclass(frozen=True)
class Arguments:
    """Options."""

    output: Path = Path("runs/data")
    """Where data sets are; the corpus gets a folder in it, named after these options."""
    speakers: int = 24
    """Speakers to train, validate and test on."""
    new_speakers: int = 8
    """More speakers, in splits of their own, to test and to personalize on."""
    clips: int = 20
    """Clips of each speaker."""
    clip_s: float = 20.0
    """Seconds that each clip lasts."""
    fps: str = "25"
    """Frames per second, such as 25 or 30000/1001."""
    seed: int = 0
    """Seed of speakers, sentences and movement."""
    demo_style: bool = False
    """Everybody moves like the bundled subject, whose FACIAL-GAN is trained on such a corpus."""
    acoustic_model: str = field(default_factory=default_acoustic_model)
    """Where the speech features come from: phonemes, bundled, deepspeech, or a file."""
    natural_speech: Path | None = None
    """A folder of natural voices, as experiments.make_natural_speech makes it: every second speaker
    has one of them."""
    ratio: Literal["5-1-4", "7-1-2"] = "5-1-4"
    """Clips of every ten for training, validation and test: FACIAL's ratio, or that of the paper
    on head poses."""
    soft_tissue: bool = False
    """The face's shape goes with pose and jaw, as PGFace learns it: an identity for every frame."""
    workers: int = os.cpu_count() or 1
    """Processes that make clips."""


def main(arguments: Arguments) -> None:
    """Makes the corpus, unless it is there already, and prints its folder."""
    corpus = SyntheticTalkingHeadConfig(
        speakers=arguments.speakers,
        new_speakers=arguments.new_speakers,
        clips=arguments.clips,
        clip_s=arguments.clip_s,
        fps=arguments.fps,
        seed=arguments.seed,
        demo_style=arguments.demo_style,
        acoustic_model=arguments.acoustic_model,
        natural_speech=None if arguments.natural_speech is None else str(arguments.natural_speech),
        ratio=arguments.ratio,
        soft_tissue=arguments.soft_tissue,
    )
    print(build_corpus(corpus, arguments.output, workers=arguments.workers))


if __name__ == "__main__":
    main(tyro.cli(Arguments))
