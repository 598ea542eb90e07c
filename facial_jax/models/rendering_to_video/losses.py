"""Losses of the rendering-to-video networks (FACIAL, Sec. 3.4, Eq. 10).

    L = L_GAN + λ₁ L_FM + λ₂ L_per + λ₃ L₁,    λ = 2, 10, 50

`gradient_loss` is ours, not the paper's: it compares edges at several scales, which L₁ alone blurs
and which the narrow networks of the demo preset blur most.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

PERCEPTUAL_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
"""Of VGG-19's relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1, as pix2pixHD's."""


@flax.struct.dataclass
class RenderingToVideoWeights:
    """λ of Eq. 10, and the weight of our own term."""

    feature_matching: float = 2.0
    """λ₁, of the feature matching term."""
    perceptual: float = 10.0
    """λ₂, of the perceptual term."""
    l1: float = 50.0
    """λ₃, of the L1 term."""
    gan: float = 1.0
    """Weight of the adversarial term; 1 in the paper."""
    gradient: float = 0.0
    """Weight of our own term, `gradient_loss`; 0 in the paper."""


class AdversarialLosses(NamedTuple):
    """What both networks minimise, of the discriminator's maps."""

    discriminator: Callable[..., Float[Array, ""]]
    """Of the discriminator's maps of the real and of the generated frame."""
    generator: Callable[..., Float[Array, ""]]
    """Of the discriminator's maps of the generated frame."""


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


def log_discriminator_loss(
    real: Sequence[Sequence[Array]], fake: Sequence[Sequence[Array]]
) -> Float[Array, ""]:
    """−log σ(D(real)) − log(1 − σ(D(fake))), halved, summed over the scales (Goodfellow 2014)."""
    terms = [
        jnp.mean(jax.nn.softplus(-r[-1])) + jnp.mean(jax.nn.softplus(f[-1]))
        for r, f in zip(real, fake, strict=True)
    ]
    return 0.5 * sum(terms)


def log_generator_loss(fake: Sequence[Sequence[Array]]) -> Float[Array, ""]:
    """−log σ(D(fake)), summed over the scales: the form whose gradient does not vanish."""
    return sum(jnp.mean(jax.nn.softplus(-f[-1])) for f in fake)


AdversarialForm = Literal["least_squares", "log"]
ADVERSARIAL_FORMS = {
    "least_squares": AdversarialLosses(
        least_squares_discriminator_loss, least_squares_generator_loss
    ),
    "log": AdversarialLosses(log_discriminator_loss, log_generator_loss),
}


def perceptual_loss(real: Sequence[Array], fake: Sequence[Array]) -> Float[Array, ""]:
    """L_per: L1 between the five maps of `VggFeatures`, weighted by `PERCEPTUAL_WEIGHTS`.

    No gradient flows into `real`.
    """
    return sum(
        weight * jnp.mean(jnp.abs(jax.lax.stop_gradient(a) - b))
        for weight, a, b in zip(PERCEPTUAL_WEIGHTS, real, fake, strict=True)
    )


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
    """L₁ with a weight per pixel, divided by the mean of its image's weights.

    Plain L₁ if all are equal.
    """
    weights = weights / jnp.mean(weights, axis=(1, 2), keepdims=True)
    return jnp.mean(weights * jnp.abs(real - fake))


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
    weights = weights / jnp.mean(weights, axis=(1, 2), keepdims=True)
    error, total = real - fake, jnp.float32(0)
    for scale in range(scales):
        if scale:
            error, weights = halve(error), halve(weights)
        across = weights[:, :, 1:] * jnp.abs(jnp.diff(error, axis=2))
        down = weights[:, 1:] * jnp.abs(jnp.diff(error, axis=1))
        total += across.mean() + down.mean()
    return total / (2 * scales)


def halve(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """Images of half the height and width (both even): means of 2×2 pixels."""
    b, h, w, c = x.shape
    rows = x.reshape(b, h // 2, 2, w, c)
    pairs = (rows[:, :, 0] + rows[:, :, 1]).reshape(b, h // 2, w // 2, 2, c)
    return (pairs[:, :, :, 0] + pairs[:, :, :, 1]) / 4
