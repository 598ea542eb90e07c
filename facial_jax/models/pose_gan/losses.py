"""PoseGAN's objective (CVM, Sec. 4.1, Eqs. 3-6).

Poses are standardised, shape (b, T, 6). An expectation is a mean over batch, frames and channels,
so that the weights mean the same for windows of any length. Hats (generated values) are called
`fake`.
"""

import dataclasses

import flax.struct
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True)
class PoseWeights:
    """α, β and λ of Eq. 6."""

    pose: float = 1.0
    """α, of the pose loss."""
    motion: float = 10.0
    """β, of the motion loss; 0 is an ablation."""
    gan: float = 0.01
    """λ, of the adversarial term; 0 trains no discriminator: the baseline called CNN."""


@flax.struct.dataclass
class PoseLosses:
    """Eqs. 3 and 4, and their weighted sum."""

    pose: Float[Array | np.ndarray, ""]
    motion: Float[Array | np.ndarray, ""]
    regression: Float[Array | np.ndarray, ""]


def pose_loss(real: Float[Array, "b T 6"], fake: Float[Array, "b T 6"]) -> Float[Array, ""]:
    """L_pose = E‖pₜ − p̂ₜ‖² (Eq. 3)."""
    return ((real - fake) ** 2).mean()


def motion_loss(
    real: Float[Array, "b T 6"], fake: Float[Array, "b T 6"], initial: Float[Array, "b 6"]
) -> Float[Array, ""]:
    """L_motion = E‖(pₜ − pₜ₋₁) − (p̂ₜ − p̂ₜ₋₁)‖² (Eq. 4), both from the initial pose on."""
    before = initial[:, None]
    return pose_loss(jnp.diff(real, axis=1, prepend=before), jnp.diff(fake, axis=1, prepend=before))


def regression_losses(
    real: Float[Array, "b T 6"],
    fake: Float[Array, "b T 6"],
    initial: Float[Array, "b 6"],
    weights: PoseWeights,
) -> PoseLosses:
    """α L_pose + β L_motion, what Eq. 6 has beside λ L_GAN (Eq. 5)."""
    pose, motion = pose_loss(real, fake), motion_loss(real, fake, initial)
    total = weights.pose * pose + weights.motion * motion
    return PoseLosses(pose=pose, motion=motion, regression=total)
