"""Times PoseGAN: training steps on windows of 256 frames, and poses generated for long speech.

    python -m benchmarks.bench_pose_gan

Each training step is a whole one, discriminator and generator with Adam, on windows with 128 speech
features that are on the device already. Generating is the whole of `generate_poses`, its seams and
its way back to where the camera stands included.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from benchmarks.measure import Row, measure, print_table, random_variables
from benchmarks.noise import noise_clips
from facial_jax.models.pose_gan.batch import PoseBatch
from facial_jax.models.pose_gan.config import PoseGanTrainingConfig
from facial_jax.models.pose_gan.generation import WINDOW_FRAMES, PoseGan, generate_poses
from facial_jax.models.pose_gan.network import (
    SMALL_DISCRIMINATOR,
    SMALL_GENERATOR,
    PoseDiscriminator,
    PoseGenerator,
)
from facial_jax.models.pose_gan.rest_frame import PoseStatistics
from facial_jax.models.pose_gan.task import PoseGanTask
from facial_jax.training.batches import StepBatch
from facial_jax.training.parallel import data_mesh, replicate, split_batch
from facial_jax.training.step import compiled_step, initial_state

WIDTHS = {"paper": ({}, {}), "small": (SMALL_GENERATOR, SMALL_DISCRIMINATOR)}
FEATURES = 128


@dataclass(frozen=True)
class Arguments:
    """Times PoseGAN."""

    repeats: int = 5
    """Measurements of each, of which the median is printed."""
    batches: tuple[int, ...] = (64,)
    """Windows in a training batch."""
    frames: int = 15000
    """Poses generated: ten minutes at 25 per second."""
    widths: tuple[str, ...] = tuple(WIDTHS)


class StepTask(PoseGanTask):
    """The task from random variables, which need no compilation of their initialisation."""

    def init(self, key, batch: PoseBatch):
        """Both networks."""
        del key
        inputs = batch.rows, batch.initial_pose
        return {
            "generator": random_variables(self.generator, *inputs),
            "discriminator": random_variables(self.discriminator, batch.poses, *inputs),
        }


def make_batch(size: int) -> PoseBatch:
    """Windows of noise."""
    rng = np.random.default_rng(0)
    return PoseBatch(
        rows=rng.standard_normal((size, WINDOW_FRAMES, FEATURES), np.float32),
        initial_pose=rng.standard_normal((size, 6), np.float32),
        poses=rng.standard_normal((size, WINDOW_FRAMES, 6), np.float32),
        valid=np.ones((size, WINDOW_FRAMES), bool),
    )


def rows(arguments: Arguments) -> Iterator[Row]:
    """Generating, and training at each batch size, for each of the widths."""
    for width in arguments.widths:
        g, d = WIDTHS[width]
        generator, discriminator = PoseGenerator(**g), PoseDiscriminator(**d)
        one = jax.tree.map(jnp.asarray, make_batch(1))
        model = PoseGan(
            variables=random_variables(generator, one.rows, one.initial_pose),
            statistics=PoseStatistics(mean=jnp.zeros(6), std=jnp.full(6, 0.05)),
            rest_pose=jnp.zeros(6),
            generator=generator,
        )
        features = np.random.default_rng(0).standard_normal(
            (arguments.frames, FEATURES), np.float32
        )
        yield measure(
            f"{width} widths, {arguments.frames} poses generated, a pose",
            generate_poses,
            model,
            features,
            items=arguments.frames,
            repeats=arguments.repeats,
        )
        clips = noise_clips(1, 2 * WINDOW_FRAMES)  # batches are of other windows
        task = StepTask(
            PoseGanTrainingConfig(batch=1), generator, discriminator, clips, clips, Path()
        )
        mesh = data_mesh(jax.devices()[:1])
        step = compiled_step(task, mesh)
        for size in arguments.batches:
            held = [replicate(initial_state(task, one), mesh)]
            batch = StepBatch(0, split_batch(make_batch(size), mesh))

            def train(held=held, batch=batch, step=step):
                held[0], losses = step(held[0], batch)
                return held[0], losses

            yield measure(
                f"{width} widths, training step, batch {size}", train, repeats=arguments.repeats
            )


if __name__ == "__main__":
    print_table(rows(tyro.cli(Arguments)))
