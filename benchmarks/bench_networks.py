"""Times FACIAL-GAN's networks: forward passes, and forward plus backward.

    python -m benchmarks.bench_networks

Prints medians after a warm-up, with the compile time apart.
"""

import statistics
import time
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import tyro

from facial_jax.compilation import cpu_compiler_options
from facial_jax.networks.facial_gan import (
    SMALL_DISCRIMINATOR,
    SMALL_GENERATOR,
    FacialDiscriminator,
    FacialGenerator,
    count_parameters,
)


@dataclass(frozen=True)
class Arguments:
    """Times FACIAL-GAN's networks."""

    repeats: int = 7
    """Measurements of each, of which the median is printed."""


def measure(name, module, inputs, *, repeats: int) -> None:
    """Prints milliseconds, forward and forward plus backward."""
    variables = jax.jit(module.init)(jax.random.key(0), *inputs)

    def forward(variables, inputs):
        return module.apply(variables, *inputs)

    def objective(variables, inputs):
        return jnp.square(module.apply(variables, *inputs)).mean()

    kinds = [("forward", forward), ("forward + backward", jax.grad(objective))]
    shapes = ", ".join("×".join(map(str, x.shape)) for x in inputs)
    print(f"{name}: {count_parameters(variables['params']):,} parameters, input {shapes}")
    for kind, function in kinds:
        began = time.perf_counter()
        compiled = (
            jax.jit(function, compiler_options=cpu_compiler_options())
            .lower(variables, inputs)
            .compile()
        )
        compile_s = time.perf_counter() - began
        jax.block_until_ready(compiled(variables, inputs))
        wall_ms, cpu_ms = [], []
        for _ in range(repeats):
            began, began_cpu = time.perf_counter(), time.process_time()
            jax.block_until_ready(compiled(variables, inputs))
            wall_ms.append(1e3 * (time.perf_counter() - began))
            cpu_ms.append(1e3 * (time.process_time() - began_cpu))
        median, cpu = statistics.median(wall_ms), statistics.median(cpu_ms)
        print(f"  {kind}: {median:.2f} ms ({cpu:.2f} ms of CPU), compiled in {compile_s:.1f} s")


def main(arguments: Arguments) -> None:
    """Prints the table."""
    device = jax.devices()[0].device_kind
    print(f"jax {jax.__version__} on {device}, float32, median of {arguments.repeats}")
    print(f"compiler options: {cpu_compiler_options()}")
    key, repeats = jax.random.key(1), arguments.repeats
    audio = jax.random.normal(key, (16, 128, 16, 29))
    state, rows = jnp.zeros((16, 71)), jax.random.normal(key, (16, 128, 71))
    for name, g, d in (
        ("small", SMALL_GENERATOR, SMALL_DISCRIMINATOR),
        ("published", {}, {}),
    ):
        generator, discriminator = FacialGenerator(**g), FacialDiscriminator(**d)
        measure(f"FACIAL generator, {name}", generator, (audio, state), repeats=repeats)
        measure(f"FACIAL discriminator, {name}", discriminator, (rows,), repeats=repeats)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
