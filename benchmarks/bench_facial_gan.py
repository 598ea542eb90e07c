"""Times FACIAL-GAN: training steps per second, and windows of 128 frames generated per second.

    python -m benchmarks.bench_facial_gan

Each training step is a whole one, discriminator and generator with Adam, on windows with 29 speech
features, run as `general_train` runs it on one device. Prints medians after a warm-up, and beside
the wall clock the time of all CPU cores together, which other programs disturb less. The published
PyTorch training step at batch 16 takes 1.26 s on two cores of an AVX-512 Xeon (PyTorch 2.13).
"""

import functools
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro

from facial_jax.compilation import cpu_compiler_options, jit
from facial_jax.generation import WINDOW_FRAMES, context_windows
from facial_jax.losses.facial_gan import paper_objective
from facial_jax.networks.facial_gan import (
    SMALL_DISCRIMINATOR,
    SMALL_GENERATOR,
    FacialDiscriminator,
    FacialGenerator,
    count_parameters,
)
from facial_jax.training.facial_gan import FacialBatch, facial_train_step, init_facial_train_state
from facial_jax.training.parallel import AXIS, data_mesh, data_parallel, replicate, split_batch


@dataclass(frozen=True)
class Arguments:
    """Times FACIAL-GAN."""

    repeats: int = 7
    """Measurements of each, of which the median is printed."""
    batches: tuple[int, ...] = (16, 64)
    """Windows in a training batch."""
    windows: int = 16
    """Windows generated at once."""
    widths: tuple[str, ...] = ("published", "small")


def make_batch(size: int) -> FacialBatch:
    """Windows of noise."""
    rng = np.random.default_rng(0)
    return FacialBatch(
        rows=rng.standard_normal((size, WINDOW_FRAMES + 15, 29), np.float32),
        initial_state=rng.standard_normal((size, 71), np.float32),
        attributes=rng.standard_normal((size, WINDOW_FRAMES, 71), np.float32),
        valid=np.ones((size, WINDOW_FRAMES), bool),
    )


def measure(name: str, run: Callable[[], object], *, items: int, repeats: int) -> None:
    """Prints how often per second `run` makes `items`, and what it costs."""
    began = time.perf_counter()
    jax.block_until_ready(run())
    compile_s = time.perf_counter() - began
    wall_s, cpu_s = [], []
    for _ in range(repeats):
        began, began_cpu = time.perf_counter(), time.process_time()
        jax.block_until_ready(run())
        wall_s.append(time.perf_counter() - began)
        cpu_s.append(time.process_time() - began_cpu)
    wall, cpu = statistics.median(wall_s), statistics.median(cpu_s)
    print(
        f"  {name}: {items / wall:.2f} per second ({1e3 * wall:.0f} ms, {1e3 * cpu:.0f} ms of CPU, "
        f"compiled in {compile_s:.1f} s)",
        flush=True,
    )


def main(arguments: Arguments) -> None:
    """Prints the table."""
    print(f"jax {jax.__version__} on {jax.devices()[0].device_kind}, float32")
    print(f"median of {arguments.repeats}, compiler options: {cpu_compiler_options()}")
    fields = {"published": ({}, {}), "small": (SMALL_GENERATOR, SMALL_DISCRIMINATOR)}
    optimizer, mesh = optax.adam(1e-4), data_mesh(jax.devices()[:1])
    for width in arguments.widths:
        generator, discriminator = (
            module(**sizes)
            for module, sizes in zip(
                (FacialGenerator, FacialDiscriminator), fields[width], strict=True
            )
        )
        state = init_facial_train_state(
            jax.random.key(0), make_batch(1), generator, discriminator, optimizer
        )
        counts = [count_parameters(x["params"]) for x in (state.generator, state.discriminator)]
        print(f"{width} widths: {counts[0]:,} parameters, and {counts[1]:,} of the discriminator")
        variables = jax.tree.map(jnp.copy, state.generator)
        generate = jit(
            lambda variables, batch, generator=generator: generator.apply(
                variables, context_windows(batch.rows), batch.initial_state
            )
        )
        windows = jax.tree.map(jnp.asarray, make_batch(arguments.windows))
        measure(
            f"generating {arguments.windows} windows at once, windows",
            functools.partial(generate, variables, windows),
            items=arguments.windows,
            repeats=arguments.repeats,
        )

        def device_step(state, batch, generator=generator, discriminator=discriminator):
            return facial_train_step(
                state,
                batch,
                generator=generator.clone(axis_name=AXIS),
                discriminator=discriminator.clone(axis_name=AXIS),
                optimizer=optimizer,
                objective=paper_objective(),
                axis_name=AXIS,
            )

        step = data_parallel(device_step, mesh)
        for size in arguments.batches:
            held, batch = [replicate(jax.tree.map(jnp.copy, state), mesh)], make_batch(size)

            def train(step=step, held=held, batch=batch):
                held[0], losses = step(held[0], split_batch(batch, mesh))
                return held[0], losses

            measure(f"training at batch {size}, steps", train, items=1, repeats=arguments.repeats)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
