"""What MouthSync is trained to: of all shifts of the speech, the true one is the most alike."""

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float


def shift_scores(
    speech: Float[Array, "b n d"], mouth: Float[Array, "b t d"]
) -> Float[Array, "b shifts"]:
    """Mean cosine of mouth and speech for each shift of the speech, n − t + 1 of them.

    Column k compares frame i of the mouth with frame i + k of the speech.
    """
    frames, shifts = mouth.shape[1], speech.shape[1] - mouth.shape[1] + 1
    cosines = jnp.einsum("btd,bnd->btn", mouth, speech)
    t = jnp.arange(frames)[:, None]
    return cosines[:, t, t + jnp.arange(shifts)[None]].mean(axis=1)


def shift_loss(scores: Float[Array, "b shifts"], scale: Float[Array, ""]) -> Float[Array, ""]:
    """Cross-entropy of the middle shift against all others: InfoNCE over a clip's own shifts."""
    middle = jnp.full(scores.shape[0], scores.shape[1] // 2)
    return optax.softmax_cross_entropy_with_integer_labels(scale * scores, middle).mean()
