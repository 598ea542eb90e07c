"""Times the rendering-to-video networks at the published widths: forward, backward, training.

    python -m benchmarks.bench_render_to_video

Prints medians after a warm-up, as wall-clock time and as processor time of the whole process; the
latter hardly changes where other processes share the processors. `--small` times the bundled
generator and the demo preset's training step in place of the published ones.
"""

import dataclasses
import functools
import statistics
import time
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from experiments.train_rendering_to_video import PRESETS, optimizers
from facial_jax.compilation import cpu_compiler_options, jit
from facial_jax.networks.facial_gan import count_parameters
from facial_jax.networks.rendering_to_video import LocalEnhancer, MultiscaleDiscriminator
from facial_jax.networks.vgg import random_features
from facial_jax.training.rendering_to_video import (
    VideoBatch,
    init_video_train_state,
    video_train_step,
)


@dataclass(frozen=True)
class Arguments:
    """Times the rendering-to-video networks."""

    repeats: int = 7
    """Measurements of each, of which the median is printed."""
    sizes: tuple[int, ...] = (256, 512)
    """Heights and widths of the frames; backward and training are timed at the first."""
    small: bool = False
    """The demo preset's networks in place of the published ones."""
    dtype: str = "float32"
    """In which the networks compute: float32 or bfloat16."""
    training: bool = True
    """Training steps too."""


def measure(name: str, function, *arguments, repeats: int, state: bool = False) -> None:
    """Prints the seconds of a call; with `state` the first argument is what came back last."""
    began = time.perf_counter()
    results = jax.block_until_ready(function(*arguments))
    first = time.perf_counter() - began
    wall, processor = [], []
    for _ in range(repeats):
        if state:
            arguments = (results[0], *arguments[1:])
        began, began_processor = time.perf_counter(), time.process_time()
        results = jax.block_until_ready(function(*arguments))
        wall.append(time.perf_counter() - began)
        processor.append(time.process_time() - began_processor)
    median, cpu = statistics.median(wall), statistics.median(processor)
    print(
        f"{name:34s} {1e3 * median:9.1f} ms {1e3 * cpu:9.1f} ms of CPU {1 / median:8.2f} per s"
        f"   first call {first:.1f} s",
        flush=True,
    )


def main(arguments: Arguments) -> None:
    """Prints the table."""
    config = PRESETS["demo" if arguments.small else "paper"]
    config = dataclasses.replace(config, compute_dtype=arguments.dtype)
    dtype, channels = jnp.dtype(config.compute_dtype), 8 * config.window_half
    device, size = jax.devices()[0].device_kind, arguments.sizes[0]
    print(f"jax {jax.__version__} on {device}, {dtype}, median of {arguments.repeats}")
    print(f"compiler options: {cpu_compiler_options()}")
    generator = LocalEnhancer(**config.generator)
    example = jnp.zeros((1, size, size, channels))
    variables = jax.jit(generator.init)(jax.random.key(0), example)
    print(f"generator: {count_parameters(variables['params']):,} parameters, {channels} channels")

    def forward(variables, x):
        variables, x = jax.tree.map(lambda leaf: leaf.astype(dtype), (variables, x))
        return generator.apply(variables, x).astype(jnp.float32)

    def objective(variables, x):
        return jnp.square(forward(variables, x)).mean()

    for n in arguments.sizes:
        x = jax.random.uniform(jax.random.key(1), (1, n, n, channels))
        measure(f"forward, 1×{n}×{n}", jit(forward), variables, x, repeats=arguments.repeats)
    x = jax.random.uniform(jax.random.key(1), (1, size, size, channels))
    backward = jit(jax.grad(objective))
    name = f"forward and backward, 1×{size}×{size}"
    measure(name, backward, variables, x, repeats=arguments.repeats)
    if arguments.training:
        _measure_training(arguments, config, generator, channels)


def _measure_training(arguments: Arguments, config, generator, channels: int) -> None:
    size, count = arguments.sizes[0], config.batch_size
    rng = np.random.default_rng(0)
    batch = VideoBatch(
        condition=rng.integers(0, 256, (count, size, size, channels), np.uint8),
        frame=rng.integers(0, 256, (count, size, size, 3), np.uint8),
        weight=np.ones((count, size, size, 1), np.float32),
    )
    discriminator = MultiscaleDiscriminator(**config.discriminator)
    optimizer, discriminator_optimizer = optimizers(config, 1000)
    perceptual, perceptual_variables = random_features()
    state = init_video_train_state(
        jax.random.key(0),
        batch,
        generator,
        discriminator,
        optimizer,
        discriminator_optimizer,
        perceptual_variables,
    )
    step = functools.partial(
        video_train_step,
        generator=generator.clone(remat=config.remat),
        discriminator=discriminator,
        optimizer=optimizer,
        discriminator_optimizer=discriminator_optimizer,
        weights=config.weights,
        perceptual=perceptual,
        perceptual_halvings=config.perceptual_halvings,
        compute_dtype=jnp.dtype(config.compute_dtype),
    )
    compiled = jit(step, donate_argnums=0)
    name = f"training step, {count}×{size}×{size}"
    measure(name, compiled, state, batch, repeats=arguments.repeats, state=True)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
