"""Trains the general FACIAL-GAN: python -m experiments.general_train demo --data FOLDER.

`--data` is the folder of a data set, such as `make_corpus` prints. The run's folder gets the
checkpoints, TensorBoard's files, curves beside the truth, and in the end the networks, from which
`personalize` goes on. A run that was stopped, or killed, goes on from its last checkpoint when it
is started again with the same options, and ends with the same numbers.

On many GPUs of many hosts, one process for each, or on all hosts of a Cloud TPU slice:

    srun --ntasks-per-node=8 --gpus-per-node=8 python -m experiments.general_train paper \\
        --data FOLDER --distributed
    gcloud compute tpus tpu-vm ssh NAME --worker=all \\
        --command "python -m experiments.general_train paper --data FOLDER --distributed"

Data and run's folder are folders that all of them see.
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from data_specs.clips import open_clips
from facial_jax.cache import enable_compilation_cache
from facial_jax.data.splits import TRAIN, VALIDATION
from facial_jax.data.windows import Perturbation, subject_statistics
from facial_jax.models.facial_gan.losses import FacialWeights
from facial_jax.models.facial_gan.network import (
    SMALL_DISCRIMINATOR,
    SMALL_GENERATOR,
    FacialDiscriminator,
    FacialGenerator,
)
from facial_jax.models.facial_gan.training import Networks, TrainingConfig, train_facial_gan
from facial_jax.training.processes import join_processes


@dataclass(frozen=True)
class Config:
    """What is trained, on what, and for how long."""

    data: Path
    """The folder of a data set, as make_corpus prints it."""
    output: Path = Path("runs/facial_gan")
    """The run's folder: checkpoints, log, curves and the trained networks."""
    widths: Literal["published", "small"] = "published"
    """Of both networks."""
    with_temporal: bool = True
    """False: the paper's ablation without G^tem."""
    with_local: bool = True
    """False: the paper's ablation without G^loc."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    distributed: bool = False
    """This is one of many processes that train as one: `facial_jax.training.processes`."""

    @property
    def networks(self) -> Networks:
        """Both networks at the configured widths."""
        small = self.widths == "small"
        return Networks(
            generator=FacialGenerator(
                **(SMALL_GENERATOR if small else {}),
                with_temporal=self.with_temporal,
                with_local=self.with_local,
            ),
            discriminator=FacialDiscriminator(**(SMALL_DISCRIMINATOR if small else {})),
        )


PAPER = Config(data=Path("runs/data"))
DEMO = Config(
    data=Path("runs/data"),
    widths="small",
    training=TrainingConfig(
        batch=16,
        max_steps=5000,
        learning_rate=2e-3,
        final_learning_rate=1e-5,
        # Ten times the paper's ω₄: few steps must make seams that cannot be seen.
        weights=FacialWeights(initial_state=100.0),
        perturbation=Perturbation(),
        checkpoint_steps=500,
    ),
)


def main(config: Config) -> None:
    """The whole run."""
    if config.distributed:
        join_processes()
    resolved = dataclasses.asdict(config)
    del resolved["distributed"]  # any number of processes may go on with a run
    clips = open_clips(config.data, TRAIN)
    train_facial_gan(
        config.training,
        config.networks,
        clips,
        open_clips(config.data, VALIDATION),
        subject_statistics(clips),
        config.output,
        resolved_config=resolved,
    )


if __name__ == "__main__":
    enable_compilation_cache()
    main(
        tyro.extras.overridable_config_cli(
            {
                "demo": ("For two CPU cores: less than half an hour.", DEMO),
                "paper": ("As published.", PAPER),
            }
        )
    )
