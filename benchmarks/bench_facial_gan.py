"""Times FACIAL-GAN: training steps, and windows of 128 frames generated.

    python -m benchmarks.bench_facial_gan

Each training step is a whole one, discriminator and generator with Adam, on windows with 29 speech
features that are on the device already. The published PyTorch training step at batch 16 takes
1.26 s on two cores of an AVX-512 Xeon (PyTorch 2.13), and 0.284 s on an H100 (PyTorch 2.11).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from benchmarks.measure import Row, measure, print_table, random_variables
from benchmarks.noise import noise_clips
from facial_jax.audio.features import context_windows
from facial_jax.compilation import jit
from facial_jax.data.windows import subject_statistics
from facial_jax.models.facial_gan.batch import FacialBatch
from facial_jax.models.facial_gan.config import FacialGanTrainingConfig
from facial_jax.models.facial_gan.generation import WINDOW_FRAMES
from facial_jax.models.facial_gan.initialization import FacialGanNetworks
from facial_jax.models.facial_gan.network import (
    SMALL_DISCRIMINATOR,
    SMALL_GENERATOR,
    FacialDiscriminator,
    FacialGenerator,
)
from facial_jax.models.facial_gan.task import FacialGanTask
from facial_jax.training.batches import StepBatch
from facial_jax.training.parallel import data_mesh, replicate, split_batch
from facial_jax.training.step import compiled_step, initial_state

WIDTHS = {"published": ({}, {}), "small": (SMALL_GENERATOR, SMALL_DISCRIMINATOR)}


@dataclass(frozen=True)
class Arguments:
    """Times FACIAL-GAN."""

    repeats: int = 7
    """Measurements of each, of which the median is printed."""
    batches: tuple[int, ...] = (16, 64)
    """Windows in a training batch."""
    windows: int = 16
    """Windows generated at once."""
    widths: tuple[str, ...] = tuple(WIDTHS)


def make_batch(size: int) -> FacialBatch:
    """Windows of noise."""
    rng = np.random.default_rng(0)
    return FacialBatch(
        rows=rng.standard_normal((size, WINDOW_FRAMES + 15, 29), np.float32),
        initial_state=rng.standard_normal((size, 71), np.float32),
        attributes=rng.standard_normal((size, WINDOW_FRAMES, 71), np.float32),
        valid=np.ones((size, WINDOW_FRAMES), bool),
    )


def rows(arguments: Arguments) -> Iterator[Row]:
    """Generating, and training at each batch size, for each of the widths."""
    for width in arguments.widths:
        g, d = WIDTHS[width]
        yield from _rows_of(width, FacialGenerator(**g), FacialDiscriminator(**d), arguments)


def _rows_of(
    width: str,
    generator: FacialGenerator,
    discriminator: FacialDiscriminator,
    arguments: Arguments,
) -> Iterator[Row]:
    one = jax.tree.map(jnp.asarray, make_batch(1))
    variables = random_variables(generator, context_windows(one.rows), one.initial_state)

    def generate(variables, batch):
        return generator.apply(variables, context_windows(batch.rows), batch.initial_state)

    windows = jax.tree.map(jnp.asarray, make_batch(arguments.windows))
    yield measure(
        f"{width} widths, {arguments.windows} windows generated, a window",
        jit(generate),
        variables,
        windows,
        items=arguments.windows,
        repeats=arguments.repeats,
    )
    networks = FacialGanNetworks(
        generator, discriminator, variables, random_variables(discriminator, one.attributes)
    )
    clips = noise_clips(1, 2 * WINDOW_FRAMES)  # batches are of other windows
    task = FacialGanTask(
        FacialGanTrainingConfig(batch=1), networks, clips, clips, subject_statistics(clips)
    )
    mesh = data_mesh(jax.devices()[:1])
    step = compiled_step(task, mesh)
    for size in arguments.batches:
        held = [replicate(initial_state(task, one), mesh)]
        batch = StepBatch(0, split_batch(make_batch(size), mesh))

        def train(held=held, batch=batch):
            held[0], losses = step(held[0], batch)
            return held[0], losses

        yield measure(
            f"{width} widths, training step, batch {size}", train, repeats=arguments.repeats
        )


if __name__ == "__main__":
    print_table(rows(tyro.cli(Arguments)))
