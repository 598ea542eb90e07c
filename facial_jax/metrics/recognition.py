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
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from facial_jax.compilation import jit
from facial_jax.training.batches import Batches, fits_on_devices
from facial_jax.training.checks import check_shape
from facial_jax.training.fit import fit
from facial_jax.training.parallel import AXIS
from facial_jax.training.task import Losses, Task, Variables

_BATCH = 32
_STEPS = 800
_LEARNING_RATE = 2e-3
_WEIGHT_DECAY = 1e-3
_DROPOUT = 0.3
_NAME = "classifier"


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


class MotionRecognitionTask(Task):
    """Trains a `MotionClassifier` on standardised windows, with AdamW and a rate that goes to 0."""

    batch_size = _BATCH

    def __init__(
        self,
        windows: Float[np.ndarray, "n t c"],
        people: Int[np.ndarray, "n"],
        *,
        seed: int,
        steps: int,
    ):
        """`people`: one number per window, 0 the first person.

        Raises:
            ValueError: the windows are no (n, t, c), or there are not as many numbers.
        """
        check_shape("windows", windows, (None, None, None))
        check_shape("people", people, windows.shape[:1])
        self.network = MotionClassifier(int(people.max()) + 1)
        self.seed, self.steps = seed, steps
        self._data = {"windows": windows, "people": people}

    def init(self, key, batch: dict[str, Array]) -> Variables:
        """The classifier with random parameters."""
        return {_NAME: jit(self.network.init)(key, batch["windows"])}

    def optimizers(self) -> dict[str, optax.GradientTransformation]:
        """AdamW."""
        schedule = optax.cosine_decay_schedule(_LEARNING_RATE, self.steps)
        return {_NAME: optax.adamw(schedule, weight_decay=_WEIGHT_DECAY)}

    def losses(self, variables: Variables, batch: dict[str, Array], *, key, **_) -> Losses:
        """The cross-entropy."""
        key = jax.random.fold_in(key, jax.lax.axis_index(AXIS))
        windows, rngs = batch["windows"], {"dropout": key}
        scores = self.network.apply(variables[_NAME], windows, train=True, rngs=rngs)
        losses = optax.softmax_cross_entropy_with_integer_labels(scores, batch["people"])
        return Losses({_NAME: losses.mean()}, {"cross_entropy": losses.mean()})

    def batches(self, mesh: Mesh) -> Batches:
        """Windows drawn at random."""
        count = len(self._data["people"])

        def draw(step: int) -> Int[np.ndarray, "b"]:
            return np.random.default_rng((self.seed, step)).integers(0, count, _BATCH, np.int32)

        def cut(data: dict[str, Array], numbers: Array) -> dict[str, Array]:
            return jax.tree.map(lambda x: x[numbers], data)

        data, size = self._data, sum(x.nbytes for x in self._data.values())
        resident = fits_on_devices(size, mesh)
        return Batches(draw, cut, data, mesh=mesh, size=_BATCH, resident=resident)


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
        people: one number per window, 0 the first person.
        seed: of the first parameters and the windows' order.
        steps: batches of 32 windows to train on.
    """
    mean, std = windows.mean(axis=(0, 1)), windows.std(axis=(0, 1)) + 1e-6
    standardised = ((windows - mean) / std).astype(np.float32)
    task = MotionRecognitionTask(standardised, people.astype(np.int32), seed=seed, steps=steps)
    # So small a network gains nothing from more devices.
    variables = fit(task, devices=jax.local_devices()[:1], progress=False)
    return MotionRecognizer(
        params=variables[_NAME]["params"], mean=mean, std=std, network=task.network
    )


def recognize(
    recognizer: MotionRecognizer, windows: Float[np.ndarray, "n t c"]
) -> Int[np.ndarray, "n"]:
    """Who moves like this: the likeliest person's number for each window."""
    return confidences(recognizer, windows).argmax(axis=-1)


def confidences(
    recognizer: MotionRecognizer, windows: Float[np.ndarray, "n t c"]
) -> Float[np.ndarray, "n p"]:
    """How likely it is each person's motion, for each window; a row's sum is 1."""
    x = jnp.asarray((windows - recognizer.mean) / recognizer.std, jnp.float32)
    scores = recognizer.network.apply({"params": recognizer.params}, x)
    return np.asarray(jax.nn.softmax(scores, axis=-1))
