"""Whose motion is it? A small network that tells people apart by windows of their motion.

Trained on real motion and shown generated motion, it measures how much of a person's manner the
generated motion has (FACIAL, Sec. 5.4).
"""

from collections.abc import Sequence

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from facial_jax.compilation import jit

_BATCH = 32
_STEPS = 800
_LEARNING_RATE = 2e-3
_WEIGHT_DECAY = 1e-3
_DROPOUT = 0.3


class MotionClassifier(nn.Module):
    """Convolutions over time, their mean and maximum over the window, and one score per person."""

    people: int
    features: Sequence[int] = (16, 32, 32)

    @nn.compact
    def __call__(
        self, windows: Float[Array, "b t c"], *, train: bool = False
    ) -> Float[Array, "b n"]:
        """Scores before the softmax."""
        x = windows
        for i, features in enumerate(self.features):
            # A convolution of width 5 and stride 2 as a product: on CPUs its gradient is faster.
            length = x.shape[1]
            x = jnp.pad(x, ((0, 0), (2, 2), (0, 0)))
            x = jnp.concatenate([x[:, k : k + length : 2] for k in range(5)], axis=-1)
            x = nn.relu(nn.Dense(features, name=f"conv_{i}")(x))
        x = jnp.concatenate([x.mean(axis=1), x.max(axis=1)], axis=-1)
        x = nn.Dropout(_DROPOUT, deterministic=not train)(x)
        return nn.Dense(self.people, name="people")(x)


@flax.struct.dataclass
class MotionRecognizer:
    """A trained `MotionClassifier` and what its input is standardised by."""

    params: dict
    mean: Float[Array | np.ndarray, "c"]
    std: Float[Array | np.ndarray, "c"]
    network: MotionClassifier = flax.struct.field(pytree_node=False)


def train_recognizer(
    windows: Float[np.ndarray, "n t c"],
    people: Int[np.ndarray, "n"],
    *,
    seed: int = 0,
    steps: int = _STEPS,
) -> MotionRecognizer:
    """Learns who moves in each window.

    Args:
        windows: motion of any kind, `c` channels; the more windows overlap, the better.
        people: numbers from 0 on, one per window.
        seed: of the first parameters and the windows' order.
        steps: batches of 32 windows to train on, with AdamW and a learning rate that goes to 0.
    """
    mean, std = windows.mean(axis=(0, 1)), windows.std(axis=(0, 1)) + 1e-6
    network = MotionClassifier(int(people.max()) + 1)
    x = jnp.asarray((windows - mean) / std, jnp.float32)
    labels = jnp.asarray(people, jnp.int32)
    optimizer = optax.adamw(
        optax.cosine_decay_schedule(_LEARNING_RATE, steps), weight_decay=_WEIGHT_DECAY
    )

    def step(carry, key):
        params, state = carry
        batch_key, dropout_key = jax.random.split(key)
        chosen = jax.random.randint(batch_key, (_BATCH,), 0, len(x))

        def loss(params):
            scores = network.apply(
                {"params": params}, x[chosen], train=True, rngs={"dropout": dropout_key}
            )
            return optax.softmax_cross_entropy_with_integer_labels(scores, labels[chosen]).mean()

        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        return (optax.apply_updates(params, updates), state), None

    def train(params, keys):
        return jax.lax.scan(step, (params, optimizer.init(params)), keys)[0][0]

    init_key, train_key = jax.random.split(jax.random.key(seed))
    params = jit(network.init)(init_key, x[:1])["params"]
    params = jit(train)(params, jax.random.split(train_key, steps))
    return MotionRecognizer(params=params, mean=mean, std=std, network=network)


def recognize(
    recognizer: MotionRecognizer, windows: Float[np.ndarray, "n t c"]
) -> Int[np.ndarray, "n"]:
    """Who moves like this: the likeliest person's number for each window."""
    x = jnp.asarray((windows - recognizer.mean) / recognizer.std, jnp.float32)
    scores = recognizer.network.apply({"params": recognizer.params}, x)
    return np.asarray(scores.argmax(axis=-1))
