"""Times FACIAL-GAN's networks: forward passes, and forward plus backward.

python -m benchmarks.bench_networks
"""

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import tyro

from benchmarks.measure import Row, measure, print_table, random_variables
from facial_jax.compilation import jit
from facial_jax.models.facial_gan.network import (
    SMALL_DISCRIMINATOR,
    SMALL_GENERATOR,
    FacialDiscriminator,
    FacialGenerator,
)

BATCH = 16


@dataclass(frozen=True)
class Arguments:
    """Times FACIAL-GAN's networks."""

    repeats: int = 7
    """Measurements of each, of which the median is printed."""


def rows(arguments: Arguments) -> Iterator[Row]:
    """Forward, and forward plus backward, of 16 windows of 128 frames."""
    key = jax.random.key(1)
    audio = jax.random.normal(key, (BATCH, 128, 16, 29))
    state, attributes = jnp.zeros((BATCH, 71)), jax.random.normal(key, (BATCH, 128, 71))
    for width, g, d in (("small", SMALL_GENERATOR, SMALL_DISCRIMINATOR), ("published", {}, {})):
        for name, module, inputs in (
            ("generator", FacialGenerator(**g), (audio, state)),
            ("discriminator", FacialDiscriminator(**d), (attributes,)),
        ):
            variables = random_variables(module, *inputs)

            def forward(variables, inputs, module=module):
                return module.apply(variables, *inputs)

            def objective(variables, inputs, module=module):
                return jnp.square(module.apply(variables, *inputs)).mean()

            for kind, function in (
                ("forward", forward),
                ("forward and backward", jax.grad(objective)),
            ):
                yield measure(
                    f"{width} {name}, {BATCH} windows, {kind}",
                    jit(function),
                    variables,
                    inputs,
                    repeats=arguments.repeats,
                )


if __name__ == "__main__":
    print_table(rows(tyro.cli(Arguments)))
