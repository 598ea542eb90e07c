"""Losses of the rendering-to-video networks (FACIAL, Sec. 3.4, Eq. 10).

    L = L_GAN + λ₁ L_FM + λ₂ L_per + λ₃ L₁,    λ = 2, 10, 50

The perceptual term L_per needs VGG-19 and comes with a later version.  Where it is absent, the
weight λ₂ can go to `gradient_loss`: it compares edges at several scales, which L₁ alone blurs.  It
is ours, not the paper's.
"""

from collections.abc import Sequence

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@flax.struct.dataclass
class RenderingToVideoWeights:
    """λ of Eq. 10."""

    feature_matching: float = 2.0
    # λ₁
    gradient: float = 10.0
    # λ₂, here of `gradient_loss`
    l1: float = 50.0
    # λ₃
    gan: float = 1.0
    # 1 in the paper


def least_squares_discriminator_loss(
    real: Sequence[Sequence[Array]], fake: Sequence[Sequence[Array]]
) -> Float[Array, ""]:
    """(D(real) − 1)² + D(fake)², halved, summed over the scales (LSGAN, as pix2pixHD)."""
    terms = [
        jnp.mean(jnp.square(r[-1] - 1)) + jnp.mean(jnp.square(f[-1]))
        for r, f in zip(real, fake, strict=True)
    ]
    return 0.5 * sum(terms)


def least_squares_generator_loss(fake: Sequence[Sequence[Array]]) -> Float[Array, ""]:
    """(D(fake) − 1)², summed over the scales."""
    return sum(jnp.mean(jnp.square(f[-1] - 1)) for f in fake)


def feature_matching_loss(
    real: Sequence[Sequence[Array]], fake: Sequence[Sequence[Array]]
) -> Float[Array, ""]:
    """L_FM: L1 between the discriminator's activations on a real and on a made frame.

    Every layer but the scores counts with 4 / layers and every scale with 1 / scales, where
    `layers` counts the activations before the scores (the published weights).  No gradient flows
    into `real`.
    """
    total = jnp.float32(0)
    for r, f in zip(real, fake, strict=True):
        layers = len(r) - 1
        for a, b in zip(r[:-1], f[:-1], strict=True):
            total += 4.0 / layers * jnp.mean(jnp.abs(jax.lax.stop_gradient(a) - b))
    return total / len(real)


def weighted_l1_loss(
    real: Float[Array, "b h w c"], fake: Float[Array, "b h w c"], weights: Float[Array, "b h w 1"]
) -> Float[Array, ""]:
    """L₁ with a weight per pixel, divided by the weights' mean; plain L₁ where all are equal."""
    return jnp.mean(weights * jnp.abs(real - fake)) / jnp.mean(weights)


def gradient_loss(
    real: Float[Array, "b h w c"],
    fake: Float[Array, "b h w c"],
    weights: Float[Array, "b h w 1"],
    *,
    scales: int = 3,
) -> Float[Array, ""]:
    """L1 between horizontal and vertical differences of neighbours, at full, half, … size.

    Each scale halves the image by averaging 2×2 pixels; height and width must be divisible by
    2^(scales − 1).  The result is the mean over scales and directions, weighted as
    `weighted_l1_loss`.
    """
    error, total = real - fake, jnp.float32(0)
    for scale in range(scales):
        if scale:
            error, weights = _halve(error), _halve(weights)
        across = weights[:, :, 1:] * jnp.abs(jnp.diff(error, axis=2))
        down = weights[:, 1:] * jnp.abs(jnp.diff(error, axis=1))
        total += (across.mean() + down.mean()) / jnp.mean(weights)
    return total / (2 * scales)


def _halve(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    b, h, w, c = x.shape
    rows = x.reshape(b, h // 2, 2, w, c)
    pairs = (rows[:, :, 0] + rows[:, :, 1]).reshape(b, h // 2, w // 2, 2, c)
    return (pairs[:, :, :, 0] + pairs[:, :, :, 1]) / 4
