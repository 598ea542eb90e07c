"""Trains the bundled MouthSync: python -m experiments.train_mouth_sync --data FOLDER.

`--data` is the folder of a data set, such as `make_corpus` prints, at 25 frames per second. The
run's folder gets checkpoints, TensorBoard's files, and in the end `mouth_sync.safetensors`. A
training that was stopped, or killed, goes on from its last checkpoint when it is started again with
the same options, and ends with the same numbers.
"""

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from data_specs.clips import open_clips
from experiments import GOES_ON, ends_in_one_line
from facial_jax.cache import enable_compilation_cache
from facial_jax.data.splits import TRAIN, VALIDATION
from facial_jax.models.sync.task import MouthSyncTrainingConfig, train_mouth_sync


@dataclass(frozen=True)
class Arguments:
    """What is trained, on what, and where it goes."""

    data: Path
    """The folder of a data set."""
    output: Path = Path("runs/mouth_sync")
    """The run's folder."""
    network: Path | None = None
    """The trained network is written here too, such as into the package's assets."""
    training: MouthSyncTrainingConfig = field(default_factory=MouthSyncTrainingConfig)


def main(arguments: Arguments) -> None:
    """Trains, and writes the network."""
    with ends_in_one_line(GOES_ON):
        clips, validation = (open_clips(arguments.data, split) for split in (TRAIN, VALIDATION))
        train_mouth_sync(
            arguments.training, clips, validation, arguments.output, network=arguments.network
        )


if __name__ == "__main__":
    enable_compilation_cache()
    main(tyro.cli(Arguments, description=__doc__))
