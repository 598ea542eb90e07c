"""The acoustic network's objective: CTC over the characters, and the phones' cross-entropies."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from facial_jax.models.acoustic.batches import SpeechBatch
from facial_jax.models.acoustic.network import BLANK


def ctc_loss(
    logits: Float[Array | np.ndarray, "b t n"], batch: SpeechBatch, *, axis_name: str | None = None
) -> Float[Array, ""]:
    """CTC per character of the batch; over `axis_name`'s devices its mean is that of all."""
    positions = jnp.arange(batch.labels.shape[1])
    padding = (positions[None, :] >= batch.label_lengths[:, None]).astype(jnp.float32)
    ctc = optax.ctc_loss(logits, jnp.zeros(logits.shape[:2]), batch.labels, padding, blank_id=BLANK)
    return jnp.sum(ctc) / _count(batch.label_lengths, axis_name)


def phone_cross_entropy(
    logits: Float[Array | np.ndarray, "b t n"],
    phones: Int[Array | np.ndarray, "b t"],
    *,
    axis_name: str | None = None,
) -> Float[Array, ""]:
    """Mean over the frames whose phone is known; over `axis_name`'s devices as `ctc_loss`."""
    known = phones >= 0
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.maximum(phones, 0))
    return jnp.sum(jnp.where(known, losses, 0.0)) / _count(known, axis_name)


def _count(values: Array | np.ndarray, axis_name: str | None) -> Float[Array, ""]:
    """Their sum, at least 1; of many devices the mean sum, so that means of shares are a mean."""
    total = jnp.sum(values).astype(float)
    if axis_name is not None:
        total = jax.lax.pmean(total, axis_name)
    return jnp.maximum(total, 1.0)


def acoustic_losses(
    outputs: tuple[Array, Array, Array],
    batch: SpeechBatch,
    weights: Mapping[str, float],
    *,
    axis_name: str | None = None,
) -> dict[str, Float[Array, ""]]:
    """The terms, and their sum `total`.

    Args:
        outputs: logits, and the phones' logits from the hidden layer and from the logits.
        batch: what was spoken.
        weights: of `hidden_phone` and `logit_phone`; CTC's is 1.
        axis_name: the mapped axis over which the losses are averaged, if any.
    """
    logits, from_hidden, from_logits = outputs
    losses = {
        "ctc": ctc_loss(logits, batch, axis_name=axis_name),
        "hidden_phone": phone_cross_entropy(from_hidden, batch.phones, axis_name=axis_name),
        "logit_phone": phone_cross_entropy(from_logits, batch.phones, axis_name=axis_name),
    }
    weighted = [weight * losses[name] for name, weight in weights.items()]
    return losses | {"total": sum(weighted, start=losses["ctc"])}
