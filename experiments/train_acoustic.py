"""Train the bundled acoustic network on speech that espeak-ng speaks.

    python -m experiments.train_acoustic --work-dir runs/acoustic

An interrupted training goes on from its last checkpoint. The learning rate stays level and falls
to zero over the last part, so a finished training can be prolonged with more `--steps`.
"""

import functools
from pathlib import Path

import tyro

from data_specs.synthetic_talking_head.speech_corpus import make_corpus
from facial_jax.cache import enable_compilation_cache
from facial_jax.models.acoustic.training import TrainingConfig, train_acoustic


def main(
    config: TrainingConfig,
    work_dir: Path = Path("runs/acoustic"),
    output: Path | None = None,
    report_every: int = 100,
    checkpoint_every: int = 250,
) -> None:
    """Train, and write the network.

    Args:
        config: what the result depends on.
        work_dir: corpora, checkpoint and log.
        output: where the finished network goes; `acoustic.safetensors` in the work folder if not
            given.
        report_every: steps between two lines of progress.
        checkpoint_every: steps between two checkpoints and validations.
    """
    train_acoustic(
        config,
        work_dir,
        output,
        make_corpus=make_corpus,
        say=functools.partial(print, flush=True),
        report_every=report_every,
        checkpoint_every=checkpoint_every,
    )


if __name__ == "__main__":
    enable_compilation_cache()
    tyro.cli(main)
