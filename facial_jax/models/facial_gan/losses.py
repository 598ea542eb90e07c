"""FACIAL-GAN's objective (FACIAL, Sec. 3.2, Eqs. 4-8).

Attributes come packed and standardised, shape (b, T, 71), as `pack_attributes` orders them. A norm
or a sum in the paper is a norm or a sum here, over the T frames and the channels of one window; the
expectation is the mean over the batch. Hats (generated values) are called `fake`.

The published code differs from the paper: it has the least-squares GAN objective, means in place of
sums, and other weights. Here the paper is the default, `paper_objective`;
`published_code_objective` is the alternative.
"""

import dataclasses
from collections.abc import Callable

import flax.struct
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from facial_jax.attributes import unpack_attributes
from facial_jax.models.facial_gan.lips import LipPlaces, lips_loss
from facial_jax.models.layers.adversarial import (
    least_squares_gan_loss,
    least_squares_generator_loss,
    log_gan_loss,
    log_generator_loss,
)


@dataclasses.dataclass(frozen=True)
class FacialWeights:
    """ω₁ … ω₆ of Eqs. 4, 6 and 8."""

    expression: float = 2.0
    """ω₁, of the expression's term."""
    pose: float = 1.0
    """ω₂, of the head pose's term."""
    eye: float = 5.0
    """ω₃, of the blink's term."""
    initial_state: float = 10.0
    """ω₄, of the first frame's distance from the initial state."""
    motion: float = 10.0
    """ω₅, of the differences between neighbouring frames, within each term."""
    gan: float = 0.1
    """ω₆, of the adversarial term."""
    lips: float = 0.0
    """Of how the lips stand (`facial_gan.lips`); the paper has no such term."""


@flax.struct.dataclass
class FacialLosses:
    """The terms of Eq. 4 before their weights, and their weighted sum."""

    expression: Float[Array | np.ndarray, ""]
    pose: Float[Array | np.ndarray, ""]
    eye: Float[Array | np.ndarray, ""]
    initial_state: Float[Array | np.ndarray, ""]
    lips: Float[Array | np.ndarray, ""]
    total: Float[Array | np.ndarray, ""]


@dataclasses.dataclass(frozen=True)
class FacialObjective:
    """What generator and discriminator are trained for."""

    regression: Callable[[Array, Array], FacialLosses]
    # L_Reg of (real, fake) attributes
    discriminator: Callable[[Array, Array], Array]
    # what the discriminator minimises, of its (real, fake) values before a sigmoid
    generator: Callable[[Array], Array]
    # the generator's part of it, of the fake values
    gan_weight: float
    # ω₆


def paper_objective(
    weights: FacialWeights | None = None, lip_places: LipPlaces | None = None
) -> FacialObjective:
    """L_facial as printed, with the logarithmic L_F-GAN (Eqs. 4-8); ω are the paper's if None.

    `lip_places` says how the lips stand with these attributes, where that has a weight.
    """
    w = FacialWeights() if weights is None else weights

    def regression(real, fake):
        return regression_loss(real, fake, w, lip_places)

    return FacialObjective(regression, log_gan_loss, log_generator_loss, w.gan)


def published_code_objective() -> FacialObjective:
    """What the published fine-tuning script minimises: least squares, means, its own weights."""
    return FacialObjective(
        published_code_regression_loss,
        least_squares_gan_loss,
        least_squares_generator_loss,
        gan_weight=0.1,
    )


def value_loss(real: Float[Array, "b T c"], fake: Float[Array, "b T c"]) -> Float[Array, ""]:
    """V(x) = Σₜ ‖xₜ − x̂ₜ‖²₂ (below Eq. 6)."""
    return jnp.sum((real - fake) ** 2, axis=(1, 2)).mean()


def motion_loss(real: Float[Array, "b T c"], fake: Float[Array, "b T c"]) -> Float[Array, ""]:
    """U(x) = Σₜ ‖(xₜ − xₜ₋₁) − (x̂ₜ − x̂ₜ₋₁)‖²₂, the inter-frame continuity (below Eq. 6)."""
    return value_loss(jnp.diff(real, axis=1), jnp.diff(fake, axis=1))


def sequence_loss(
    real: Float[Array, "b T c"], fake: Float[Array, "b T c"], motion_weight: float
) -> Float[Array, ""]:
    """V(x) + ω₅ U(x): L_exp, L_pose and L_eye, each on its own attribute (Eq. 6)."""
    return value_loss(real, fake) + motion_weight * motion_loss(real, fake)


def initial_state_loss(
    real: Float[Array, "b T 71"], fake: Float[Array, "b T 71"]
) -> Float[Array, ""]:
    """L_s = ‖p₀ − p̂₀‖₁ + ‖e₀ − ê₀‖₁ + ‖f₀ − f̂₀‖₁: a window starts where it was told to (Eq. 5)."""
    return jnp.abs(real[:, 0] - fake[:, 0]).sum(axis=-1).mean()


def regression_loss(
    real: Float[Array, "b T 71"],
    fake: Float[Array, "b T 71"],
    weights: FacialWeights | None = None,
    lip_places: LipPlaces | None = None,
) -> FacialLosses:
    """L_Reg = ω₁ L_exp + ω₂ L_pose + ω₃ L_eye + ω₄ L_s (Eq. 4), and that of the lips if wanted.

    Raises ValueError where the lips have a weight but `lip_places` does not say how they stand.
    """
    w = FacialWeights() if weights is None else weights
    if w.lips and lip_places is None:
        raise ValueError(f"lip_places: the lips' weight is {w.lips:g}, but how they stand is None")
    x, x_fake = unpack_attributes(real), unpack_attributes(fake)
    l_exp = sequence_loss(x.expression, x_fake.expression, w.motion)
    l_pose = sequence_loss(x.pose, x_fake.pose, w.motion)
    l_eye = sequence_loss(x.blink[..., None], x_fake.blink[..., None], w.motion)
    l_s = initial_state_loss(real, fake)
    l_lips = lips_loss(x.expression, x_fake.expression, lip_places) if w.lips else jnp.zeros(())
    total = w.expression * l_exp + w.pose * l_pose + w.eye * l_eye + w.initial_state * l_s
    return FacialLosses(
        expression=l_exp,
        pose=l_pose,
        eye=l_eye,
        initial_state=l_s,
        lips=l_lips,
        total=total + w.lips * l_lips,
    )


def published_code_regression_loss(
    real: Float[Array, "b T 71"], fake: Float[Array, "b T 71"]
) -> FacialLosses:
    """L_Reg with the published code's weights, on means over batch, frames and channels.

    Expression 20 and its motion 200, pose 1 and 10, blink 0.5 and 1, initial state 10. That code
    counts the first frame's blink twice, once among the expression; here it counts once.
    """

    def sequence(real, fake, motion_weight):
        motion = jnp.diff(real, axis=1) - jnp.diff(fake, axis=1)
        return ((real - fake) ** 2).mean() + motion_weight * (motion**2).mean()

    x, x_fake = unpack_attributes(real), unpack_attributes(fake)
    l_exp = sequence(x.expression, x_fake.expression, 10.0)
    l_pose = sequence(x.pose, x_fake.pose, 10.0)
    l_eye = sequence(x.blink, x_fake.blink, 2.0)
    l_s = sum(
        jnp.abs(a[:, 0] - b[:, 0]).mean()
        for a, b in (
            (x.pose, x_fake.pose),
            (x.blink, x_fake.blink),
            (x.expression, x_fake.expression),
        )
    )
    total = 20.0 * l_exp + 1.0 * l_pose + 0.5 * l_eye + 10.0 * l_s
    return FacialLosses(
        expression=l_exp,
        pose=l_pose,
        eye=l_eye,
        initial_state=l_s,
        lips=jnp.zeros(()),
        total=total,
    )


def facial_loss(
    gan: Float[Array, ""], regression: Float[Array, ""], gan_weight: float = FacialWeights.gan
) -> Float[Array, ""]:
    """L_facial = ω₆ L_F-GAN + L_Reg (Eq. 8)."""
    return gan_weight * gan + regression
