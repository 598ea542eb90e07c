"""Trains PoseGAN, from speech to head poses: python -m experiments.train_pose_gan --data FOLDER.

By default for two CPU cores; `--preset paper` is as published, for a GPU. `--subject` trains on one
person's clips, as the paper does; `--each-subject` trains one network after the other, in folders
of their names. The baseline CNN is `--training.weights.gan 0`; the ablations are
`--training.weights.motion 0` and `--no-with-initial-pose`.

`--data` is the folder of a data set, such as `make_corpus --ratio 7-1-2` prints. A run that was
stopped, or killed, goes on from its last checkpoint when it is started again with the same options,
and ends with the same numbers.
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from data_specs.clips import open_clips
from experiments import GOES_ON, Preset, ends_in_one_line, parse_preset
from facial_jax.cache import enable_compilation_cache
from facial_jax.data.splits import TRAIN, VALIDATION
from facial_jax.models.pose_gan.config import PoseGanTrainingConfig
from facial_jax.models.pose_gan.losses import PoseWeights
from facial_jax.models.pose_gan.network import (
    SMALL_DISCRIMINATOR,
    SMALL_GENERATOR,
    PoseDiscriminator,
    PoseGenerator,
)
from facial_jax.models.pose_gan.task import train_pose_gan


@dataclass(frozen=True)
class Arguments:
    """What is trained, on what, and for how long."""

    data: Path
    """The folder of a data set, as make_corpus prints it."""
    output: Path = Path("runs/pose_gan")
    """The run's folder: checkpoints, log, curves and the trained network."""
    preset: Preset = "demo"
    """What the other options are by default: for two CPU cores, or as published."""
    subject: str | None = None
    """Whose clips; everybody's, for one network of all, if not given."""
    each_subject: bool = False
    """One network for each person instead."""
    widths: Literal["paper", "small"] = "paper"
    """Widths of both networks."""
    with_initial_pose: bool = True
    """False: the ablation without the initial pose."""
    training: PoseGanTrainingConfig = field(default_factory=PoseGanTrainingConfig)
    stop_after: int | None = None
    """Stop at this step, as if interrupted."""


PRESETS = {
    "demo": Arguments(
        data=tyro.MISSING,
        preset="demo",
        widths="small",
        training=PoseGanTrainingConfig(
            batch=16,
            max_steps=800,
            learning_rate=2e-3,
            # At the generator's rate it is never deceived, and heads move less than without it.
            discriminator_learning_rate=2e-4,
            # Ten times the paper's λ: few steps must make heads that move.
            weights=PoseWeights(gan=0.1),
            final_learning_rates=0.005,
            validations=5,
        ),
    ),
    "paper": Arguments(data=tyro.MISSING, preset="paper"),
}


def main(arguments: Arguments) -> None:
    """The whole run, or one for each person."""
    with ends_in_one_line(GOES_ON):
        if not arguments.each_subject:
            train(arguments)
            return
        for subject in open_clips(arguments.data, TRAIN).subjects:
            output = arguments.output / subject
            train(dataclasses.replace(arguments, subject=subject, output=output))


def train(arguments: Arguments) -> None:
    """One network's run."""
    clips, validation = (open_clips(arguments.data, split) for split in (TRAIN, VALIDATION))
    if arguments.subject is not None:
        clips, validation = (x.of_subject(arguments.subject) for x in (clips, validation))
    small = arguments.widths == "small"
    generator = PoseGenerator(
        **(SMALL_GENERATOR if small else {}), with_initial_pose=arguments.with_initial_pose
    )
    discriminator = PoseDiscriminator(**(SMALL_DISCRIMINATOR if small else {}))
    train_pose_gan(
        arguments.training,
        generator,
        discriminator,
        clips,
        validation,
        arguments.output,
        stop_after=arguments.stop_after,
    )


if __name__ == "__main__":
    enable_compilation_cache()
    main(parse_preset(PRESETS, description=__doc__))
