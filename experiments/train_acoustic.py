"""Trains the bundled acoustic network on speech that espeak-ng speaks.

    python -m experiments.train_acoustic

The run's folder gets the corpora, checkpoints, TensorBoard's files, and in the end
`acoustic.safetensors`. A training that was stopped, or killed, goes on from its last checkpoint
when it is started again with the same options, and ends with the same numbers. The learning rate
stays level and falls to zero over the last part; `--training.start` goes on from a finished
network, in another folder.
"""

import functools
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from data_specs.synthetic_talking_head.speech_corpus import make_corpus
from experiments import GOES_ON, ends_in_one_line
from facial_jax.cache import enable_compilation_cache
from facial_jax.models.acoustic.task import AcousticTrainingConfig, train_acoustic
from facial_jax.training.processes import join_processes


@dataclass(frozen=True)
class Arguments:
    """What is trained, and where it goes."""

    output: Path = Path("runs/acoustic")
    """The run's folder: corpora, checkpoints, log and the trained network."""
    training: AcousticTrainingConfig = field(default_factory=AcousticTrainingConfig)
    network: Path | None = None
    """The trained network is written here too, such as into the package's assets."""
    stop_after: int | None = None
    """Stop at this step, as if interrupted."""
    distributed: bool = False
    """This is one of many processes that train as one: `facial_jax.training.processes`."""


def main(arguments: Arguments) -> None:
    """Trains, and writes the network."""
    if arguments.distributed:
        join_processes()
    with ends_in_one_line(GOES_ON):
        train_acoustic(
            arguments.training,
            arguments.output,
            make_corpus=make_corpus,
            network=arguments.network,
            say=functools.partial(print, flush=True),
            stop_after=arguments.stop_after,
        )


if __name__ == "__main__":
    enable_compilation_cache()
    main(tyro.cli(Arguments, description=__doc__))
