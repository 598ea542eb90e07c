"""Does a personalized FACIAL-GAN move like its person? On people whom the general one never heard.

    python -m experiments.evaluate_personalization --data FOLDER --general FILE

Fine-tunes the general FACIAL-GAN on two minutes of each person, and prints what
`facial_jax.metrics.personalization` measures. What is trained stays in the work folder; a second
run only measures.
"""

import functools
import json
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from data_specs.clips import open_clips
from data_specs.synthetic_talking_head.builder import NEW_SPEAKERS
from facial_jax.data.splits import TEST, TRAIN, VALIDATION
from facial_jax.files import write_text
from facial_jax.metrics.personalization import People, evaluate_personalization
from facial_jax.models.facial_gan.config import PERSONALIZATION, FacialGanTrainingConfig


@dataclass(frozen=True)
class Arguments:
    """Who is learnt, from what, and where it goes."""

    data: Path
    """The folder of a data set."""
    general: Path
    """The FACIAL-GAN that general_train wrote, its discriminator beside it."""
    prefix: str = NEW_SPEAKERS
    """Prefix of the splits: `new_speakers_` for people that the general network does not know."""
    clips: int = 6
    """Number of training clips of each person; by default two minutes of speech."""
    work_dir: Path = Path("runs/personalization")
    """A folder for each person's training."""
    output: Path | None = None
    """A JSON file of the tables."""
    training: FacialGanTrainingConfig = field(default_factory=lambda: PERSONALIZATION)


def main(arguments: Arguments) -> None:
    """Fine-tunes, and prints the tables."""
    splits = (
        open_clips(arguments.data, arguments.prefix + name) for name in (TRAIN, VALIDATION, TEST)
    )
    tables = evaluate_personalization(
        People(*splits),
        arguments.general,
        arguments.work_dir,
        clips=arguments.clips,
        training=arguments.training,
        say=functools.partial(print, flush=True),
    )
    if arguments.output is not None:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        write_text(arguments.output, json.dumps(tables, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Arguments))
