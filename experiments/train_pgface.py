"""Trains a PGFace for each person of a data set: python -m experiments.train_pgface --data FOLDER.

By default for two CPU cores, in minutes; `--preset paper` is as published. Each person's run has a
folder of its own, OUTPUT/NAME, in which pgface.safetensors is in the end. A run that was stopped,
or killed, goes on from its last checkpoint when it is started again with the same options, and ends
with the same numbers.

PGFace learns how the face's shape goes with pose and speech if the clips have a shape for every
frame: make_corpus with `--soft-tissue`, or prepare with `--per-frame-identity`. Of others it learns
expressions only.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from data_specs.clips import open_people
from experiments import GOES_ON, Preset, ends_in_one_line, parse_preset
from facial_jax.cache import enable_compilation_cache
from facial_jax.models.pgface.config import PgFaceTrainingConfig
from facial_jax.models.pgface.network import PgFaceGenerator
from facial_jax.models.pgface.statistics import pgface_statistics
from facial_jax.models.pgface.task import train_pgface
from facial_jax.subject import FACE_MODELS


@dataclass(frozen=True)
class Arguments:
    """What is trained, on whom, and for how long."""

    data: Path
    """The folder of a data set, as make_corpus prints it, or of tracked videos, as prepare fills
    it: each of these is divided in time, 7-1-2."""
    subject: str | None = None
    """Only this person."""
    output: Path = Path("runs/pgface")
    """Each person's run has a folder in it: checkpoints, log and the trained network."""
    preset: Preset = "demo"
    """What the other options are by default: for two CPU cores, or as published."""
    face_model: Literal["procedural", "bfm"] = "procedural"
    """Face model of the clips' coefficients."""
    fixed_identity: bool = False
    """Learn the expression alone: what PGFace is compared with."""
    training: PgFaceTrainingConfig = field(default_factory=PgFaceTrainingConfig)


PRESETS = {
    "demo": Arguments(
        data=tyro.MISSING,
        preset="demo",
        training=PgFaceTrainingConfig(
            batch=256, max_steps=600, learning_rate=3e-3, final_learning_rate=1e-5
        ),
    ),
    "paper": Arguments(data=tyro.MISSING, preset="paper"),
}


def main(arguments: Arguments) -> None:
    """All runs, one after the other."""
    with ends_in_one_line(GOES_ON):
        face_model = FACE_MODELS[arguments.face_model]()
        for name, clips in open_people(arguments.data, arguments.subject):
            train_pgface(
                arguments.training,
                PgFaceGenerator(),
                face_model,
                clips.train,
                clips.validation,
                pgface_statistics(clips.train, fixed_identity=arguments.fixed_identity),
                arguments.output / name,
            )


if __name__ == "__main__":
    enable_compilation_cache()
    main(parse_preset(PRESETS, description=__doc__))
