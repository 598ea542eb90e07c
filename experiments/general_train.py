"""Trains the general FACIAL-GAN: python -m experiments.general_train --data FOLDER.

By default for two CPU cores, in less than half an hour; `--preset paper` is as published, for GPUs.

`--data` is the folder of a data set, such as `make_corpus` prints. The run's folder gets the
checkpoints, TensorBoard's files, curves beside the truth, and in the end the networks, from which
`personalize` goes on. A run that was stopped, or killed, goes on from its last checkpoint when it
is started again with the same options, and ends with the same numbers.

On many GPUs of many hosts, one process for each, or on all hosts of a Cloud TPU slice:

    srun --ntasks-per-node=8 --gpus-per-node=8 python -m experiments.general_train \\
        --preset paper --data FOLDER --distributed
    gcloud compute tpus tpu-vm ssh NAME --worker=all \\
        --command "python -m experiments.general_train --preset paper --data FOLDER --distributed"

Data and run's folder are folders that all of them see.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from data_specs.clips import open_clips
from experiments import GOES_ON, Preset, ends_in_one_line, parse_preset
from facial_jax.audio.phone_rows import FEATURES, PEAK_COLUMNS
from facial_jax.cache import enable_compilation_cache
from facial_jax.data.clips import joined_clips
from facial_jax.data.splits import TRAIN, VALIDATION
from facial_jax.data.windows import subject_statistics
from facial_jax.face.procedural import procedural_face_model
from facial_jax.models.facial_gan.config import DEMO, FacialGanTrainingConfig
from facial_jax.models.facial_gan.initialization import FacialGanNetworks
from facial_jax.models.facial_gan.network import (
    SMALL_DISCRIMINATOR,
    SMALL_GENERATOR,
    FacialDiscriminator,
    FacialGenerator,
)
from facial_jax.models.facial_gan.task import train_facial_gan
from facial_jax.training.processes import join_processes


@dataclass(frozen=True)
class Arguments:
    """What is trained, on what, and for how long."""

    data: Path
    """The folder of a data set, as make_corpus prints it."""
    output: Path = Path("runs/facial_gan")
    """The run's folder: checkpoints, log, curves and the trained networks."""
    preset: Preset = "demo"
    """What the other options are by default: for two CPU cores, or as published."""
    widths: Literal["published", "small"] = "published"
    """Widths of both networks."""
    with_temporal: bool = True
    """False: the paper's ablation without G^tem."""
    with_local: bool = True
    """False: the paper's ablation without G^loc."""
    splits: tuple[str, ...] = (TRAIN,)
    """Of the data set, those to train on."""
    start: Path | None = None
    """The generator of an earlier run, from whose weights this one begins."""
    training: FacialGanTrainingConfig = field(default_factory=FacialGanTrainingConfig)
    stop_after: int | None = None
    """Stop at this step, as if interrupted."""
    distributed: bool = False
    """This is one of many processes that train as one: `facial_jax.training.processes`."""

    def networks(self, feature_count: int) -> FacialGanNetworks:
        """Both networks at the configured widths, for rows of so many features."""
        small = self.widths == "small"
        networks = FacialGanNetworks(
            generator=FacialGenerator(
                **(SMALL_GENERATOR if small else {}),
                with_temporal=self.with_temporal,
                with_local=self.with_local,
                probabilities=PEAK_COLUMNS if feature_count == FEATURES else (),
            ),
            discriminator=FacialDiscriminator(**(SMALL_DISCRIMINATOR if small else {})),
        )
        return networks if self.start is None else networks.begun_from(self.start)


PRESETS = {
    "demo": Arguments(
        data=tyro.MISSING,
        preset="demo",
        widths="small",
        training=DEMO,
    ),
    "paper": Arguments(data=tyro.MISSING, preset="paper"),
}


def main(arguments: Arguments) -> None:
    """The whole run."""
    if arguments.distributed:
        join_processes()
    with ends_in_one_line(GOES_ON):
        clips = joined_clips([open_clips(arguments.data, split) for split in arguments.splits])
        train_facial_gan(
            arguments.training,
            arguments.networks(clips[0].features.shape[1]),
            clips,
            open_clips(arguments.data, VALIDATION),
            subject_statistics(clips),
            arguments.output,
            face_model=procedural_face_model(),
            stop_after=arguments.stop_after,
        )


if __name__ == "__main__":
    enable_compilation_cache()
    main(parse_preset(PRESETS, description=__doc__))
