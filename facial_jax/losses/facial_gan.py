"""FACIAL-GAN's objective (FACIAL, Sec. 3.2, Eqs. 4-8).

Attributes come packed and standardised, shape (b, T, 71), as `pack_attributes` orders them. A norm
or a sum in the paper is a norm or a sum here, over the T frames and the channels of one window; the
expectation is the mean over the batch. Hats (generated values) are called `fake`.

The published code differs from the paper: it has the least-squares GAN objective, means in place of
sums, other weights while fine-tuning, and an initial-state loss that counts the blink twice. Here
the paper is the default; `least_squares_gan_loss` and `PUBLISHED_CODE_WEIGHTS` are the alternative.
"""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from facial_jax.attributes import Attributes, unpack_attributes


@dataclasses.dataclass(frozen=True)
class FacialWeights:
    """ω₁ … ω₆ of Eqs. 4, 6 and 8."""

    expression: float = 2.0  # ω₁
    pose: float = 1.0  # ω₂
    eye: float = 5.0  # ω₃
    initial_state: float = 10.0  # ω₄
    motion: float = 10.0  # ω₅
    gan: float = 0.1  # ω₆


PUBLISHED_CODE_WEIGHTS = FacialWeights(
    expression=20.0, pose=1.0, eye=0.5, initial_state=10.0, motion=10.0, gan=0.1
)
"""What the published fine-tuning script has in place of ω₁ … ω₆ (its blink motion weight is 1, not
ω₃·ω₅ = 5), on means over frames and channels."""


@flax.struct.dataclass
class FacialLosses:
    """The terms of Eq. 4 before their weights, and their weighted sum."""

    expression: Float[Array, ""]
    pose: Float[Array, ""]
    eye: Float[Array, ""]
    initial_state: Float[Array, ""]
    total: Float[Array, ""]


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
) -> FacialLosses:
    """L_Reg = ω₁ L_exp + ω₂ L_pose + ω₃ L_eye + ω₄ L_s (Eq. 4)."""
    w = FacialWeights() if weights is None else weights
    x, x_fake = _sequences(real), _sequences(fake)
    l_exp = sequence_loss(x.expression, x_fake.expression, w.motion)
    l_pose = sequence_loss(x.pose, x_fake.pose, w.motion)
    l_eye = sequence_loss(x.blink[..., None], x_fake.blink[..., None], w.motion)
    l_s = initial_state_loss(real, fake)
    total = w.expression * l_exp + w.pose * l_pose + w.eye * l_eye + w.initial_state * l_s
    return FacialLosses(expression=l_exp, pose=l_pose, eye=l_eye, initial_state=l_s, total=total)


def log_gan_loss(real_logits: Float[Array, "..."], fake_logits: Float[Array, "..."]):
    """−E[log D(f)] − E[log(1 − D(G(a, s)))]: what the discriminator minimises (Eq. 7).

    Takes the discriminator's values before the sigmoid, so that a confident D keeps finite logs.
    """
    return jax.nn.softplus(-real_logits).mean() + jax.nn.softplus(fake_logits).mean()


def log_generator_loss(fake_logits: Float[Array, "..."]) -> Float[Array, ""]:
    """E[log(1 − D(G(a, s)))] of Eq. 7 in its non-saturating form −E[log D(G(a, s))].

    Both have the same fixed points; this one keeps its gradient where D rejects every sample, the
    usual choice since the first GAN paper.
    """
    return jax.nn.softplus(-fake_logits).mean()


def least_squares_gan_loss(
    real_logits: Float[Array, "..."], fake_logits: Float[Array, "..."]
) -> Float[Array, ""]:
    """The published code's discriminator objective: E[(D(f) − 1)²] + E[D(G(a, s))²]."""
    return ((real_logits - 1.0) ** 2).mean() + (fake_logits**2).mean()


def least_squares_generator_loss(fake_logits: Float[Array, "..."]) -> Float[Array, ""]:
    """The published code's generator objective: E[(D(G(a, s)) − 1)²]."""
    return ((fake_logits - 1.0) ** 2).mean()


def facial_loss(
    gan: Float[Array, ""], regression: Float[Array, ""], weights: FacialWeights | None = None
) -> Float[Array, ""]:
    """L_facial = ω₆ L_F-GAN + L_Reg (Eq. 8)."""
    w = FacialWeights() if weights is None else weights
    return w.gan * gan + regression


def _sequences(packed: Float[Array, "b T 71"]) -> Attributes:
    return unpack_attributes(packed)
