"""What generators and discriminators are trained against each other for.

Logits are the discriminator's values before a sigmoid; high means real.
"""

import jax
from jaxtyping import Array, Float


def log_gan_loss(
    real_logits: Float[Array, "..."], fake_logits: Float[Array, "..."]
) -> Float[Array, ""]:
    """−E[log D(x)] − E[log(1 − D(G))]: what the discriminator minimises.

    Takes the discriminator's values before the sigmoid, so that a confident D keeps finite logs.
    """
    return jax.nn.softplus(-real_logits).mean() + jax.nn.softplus(fake_logits).mean()


def log_generator_loss(fake_logits: Float[Array, "..."]) -> Float[Array, ""]:
    """E[log(1 − D(G))] in its non-saturating form −E[log D(G)].

    Both have the same fixed points; this one keeps its gradient if D rejects every sample, the
    usual choice since the first GAN paper.
    """
    return jax.nn.softplus(-fake_logits).mean()


def least_squares_gan_loss(
    real_logits: Float[Array, "..."], fake_logits: Float[Array, "..."]
) -> Float[Array, ""]:
    """The discriminator's least-squares objective: E[(D(x) − 1)²] + E[D(G)²]."""
    return ((real_logits - 1.0) ** 2).mean() + (fake_logits**2).mean()


def least_squares_generator_loss(fake_logits: Float[Array, "..."]) -> Float[Array, ""]:
    """The generator's least-squares objective: E[(D(G) − 1)²]."""
    return ((fake_logits - 1.0) ** 2).mean()
