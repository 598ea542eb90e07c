"""Times the rendering-to-video networks at the published widths: frames, gradients, training.

    python -m benchmarks.bench_render_to_video

Frames are made as synthesis makes them, 8 windows at a call, which are on the device already; the
training step has the paper's losses with a VGG-19 of random weights. `--small` times the bundled
generator and the demo preset's training step in place of the published ones. Of the published
networks PyTorch 2.11 makes a frame of 512² in 2.34 ms (autocast) and 3.12 ms (TF32) on an H100,
and a training step of batch 1 in 52.6 ms.
"""

import dataclasses
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import tyro

from benchmarks.measure import Row, measure, print_table, random_variables
from benchmarks.noise import noise_video
from facial_jax.compilation import jit
from facial_jax.models.layers.vgg import VggFeatures
from facial_jax.models.rendering_to_video.batch import VideoBatch, unchanged
from facial_jax.models.rendering_to_video.config import PRESETS, RenderingToVideoTrainingConfig
from facial_jax.models.rendering_to_video.frames import generate_images
from facial_jax.models.rendering_to_video.network import LocalEnhancer, MultiscaleDiscriminator
from facial_jax.models.rendering_to_video.task import RenderingToVideoTask
from facial_jax.training.batches import StepBatch
from facial_jax.training.parallel import data_mesh, replicate, split_batch
from facial_jax.training.state import TrainState
from facial_jax.training.step import compiled_step


@dataclass(frozen=True)
class Arguments:
    """Times the rendering-to-video networks."""

    repeats: int = 7
    """Measurements of each, of which the median is printed."""
    size: int = 512
    """Height and width of the frames."""
    frames: int = 8
    """Frames made at a call."""
    small: bool = False
    """The demo preset's networks in place of the published ones."""
    dtypes: tuple[Literal["float32", "bfloat16"], ...] = ("float32",)
    """Dtypes in which frames are made and gradients taken; a training step has its preset's."""
    gradients: bool = True
    """Forward and backward, too."""
    training: bool = True
    """Training steps too."""


def rows(arguments: Arguments) -> Iterator[Row]:
    """A frame made and the generator's gradients in each of the dtypes, and a training step."""
    config = PRESETS["demo" if arguments.small else "paper"]
    generator = LocalEnhancer(**config.generator)
    size, frames, channels = arguments.size, arguments.frames, 8 * config.window_half
    shape = (frames, size, size, channels)
    windows = jax.device_put(np.random.default_rng(1).random(shape, np.float32))
    variables = random_variables(generator, windows[:1])
    width = "small" if arguments.small else "published"
    for dtype in arguments.dtypes:
        in_dtype = jax.tree.map(lambda x, dtype=dtype: x.astype(dtype), variables)
        yield measure(
            f"{width}, {size}², {frames} frames made, a frame, {dtype}",
            jit(functools.partial(generate_images, generator)),
            in_dtype["params"],
            windows,
            items=frames,
            repeats=arguments.repeats,
        )
        if arguments.gradients:

            def objective(variables, x):
                return jnp.square(generator.apply(variables, x)).mean()

            yield measure(
                f"{width}, {size}², forward and backward, {dtype}",
                jit(jax.grad(objective)),
                in_dtype,
                windows[:1].astype(dtype),
                repeats=arguments.repeats,
            )
    if arguments.training:
        yield _training(width, config, generator, variables["params"], arguments)


def _training(
    width: str,
    config: RenderingToVideoTrainingConfig,
    generator: nn.Module,
    params: dict,
    arguments: Arguments,
) -> Row:
    size, count, channels = arguments.size, config.batch_size, 8 * config.window_half
    rng = np.random.default_rng(0)
    batch = VideoBatch(
        condition=rng.integers(0, 256, (count, size, size, channels), np.uint8),
        frame=rng.integers(0, 256, (count, size, size, 3), np.uint8),
        weight=np.ones((count, size, size, 1), np.float32),
        warp=unchanged(count),
    )
    discriminator = MultiscaleDiscriminator(**config.discriminator)
    pair = jnp.zeros((1, size, size, channels + 3))
    discriminator_params = random_variables(discriminator, pair)["params"]
    perceptual = VggFeatures() if config.weights.perceptual else None
    task = RenderingToVideoTask(
        # Constant rates; with the discriminator, as most steps are.
        dataclasses.replace(config, steps=1000, reconstruction_steps=0),
        noise_video(16, 20),  # batches are of other frames
        perceptual=perceptual,
        perceptual_variables=perceptual and random_variables(perceptual, jnp.zeros((1, 16, 16, 3))),
    )
    variables = {
        "generator": {"params": params},
        "average": {"params": params},
        "discriminator": {"params": discriminator_params},
    }
    optimizers = {
        name: optimizer.init(variables[name]["params"])
        for name, optimizer in task.optimizers().items()
    }
    mesh = data_mesh(jax.devices()[:1])
    state = TrainState(jnp.zeros((), jnp.int32), variables, optimizers)
    held, compiled = [replicate(state, mesh)], compiled_step(task, mesh)
    batch = StepBatch(0, split_batch(batch, mesh))

    def train():
        held[0], losses = compiled(held[0], batch)
        return held[0], losses

    name = f"{width}, {size}², training step, batch {count}, {config.compute_dtype}"
    return measure(name, train, repeats=arguments.repeats)


if __name__ == "__main__":
    print_table(rows(tyro.cli(Arguments)))
