"""What PoseGAN must be better than (CVM, Sec. 5): mean pose, random sequence, nearest neighbour.

The fourth baseline, CNN, is PoseGAN's generator trained without the adversarial term.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from facial_jax.compilation import jit
from facial_jax.data.clips import ClipSource
from facial_jax.models.pose_gan.batch import PoseBatch
from facial_jax.models.pose_gan.generation import PoseGan
from facial_jax.models.pose_gan.network import PoseGenerator
from facial_jax.models.pose_gan.rest_frame import PoseStatistics
from facial_jax.models.pose_gan.validation import EVALUATION_BATCH, pose_windows

Method = Callable[[PoseBatch], np.ndarray]
"""From a batch of one person's windows to standardised poses (b, T, 6)."""
NEIGHBOUR_STRIDE = 20
"""Frames from one window that may be a neighbour to the next."""


def mean_pose(windows: PoseBatch) -> Float[np.ndarray, "b T 6"]:
    """The person's mean pose, the same in all frames."""
    return np.zeros_like(windows.poses)


def baselines(clips: ClipSource, statistics: PoseStatistics, *, seed: int = 0) -> dict[str, Method]:
    """The baselines that know one person's training clips and learn nothing.

    Args:
        clips: of one person.
        statistics: what poses are standardised by.
        seed: of the random sequences.
    """
    known = pose_windows(clips, statistics, stride=NEIGHBOUR_STRIDE)
    whole = [np.asarray(batch.valid).all(axis=1) for batch in known]
    rows = np.concatenate([b.rows[w] for b, w in zip(known, whole, strict=True)])
    poses = np.concatenate([b.poses[w] for b, w in zip(known, whole, strict=True)])
    if not len(poses):
        raise ValueError("clips: expected a run of at least 257 valid frames, found none")
    speech = rows.reshape(len(rows), -1)
    rng = np.random.default_rng(seed)

    def random_sequence(windows: PoseBatch) -> np.ndarray:
        return poses[rng.integers(len(poses), size=len(windows.rows))]

    def nearest_neighbour(windows: PoseBatch) -> np.ndarray:
        asked = windows.rows.reshape(len(windows.rows), -1)
        distance = (speech**2).sum(axis=1) - 2 * asked @ speech.T
        return poses[distance.argmin(axis=1)]

    return {
        "mean pose": mean_pose,
        "random sequence": random_sequence,
        "nearest neighbour": nearest_neighbour,
    }


def network_method(model: PoseGan, statistics: PoseStatistics) -> Method:
    """A trained PoseGAN told the true pose before each window; standardised by `statistics`."""
    own, other = model.statistics, statistics
    scale = np.asarray(own.std) / np.asarray(other.std)
    shift = (np.asarray(own.mean) - np.asarray(other.mean)) / np.asarray(other.std)
    generate = _generate(model.generator)

    def method(windows: PoseBatch) -> np.ndarray:
        count = len(windows.rows)
        pad = EVALUATION_BATCH - count
        rows = np.pad(windows.rows, ((0, pad), (0, 0), (0, 0)))
        initial = np.pad((windows.initial_pose - shift) / scale, ((0, pad), (0, 0)))
        fake = generate(model.variables, jnp.asarray(rows), jnp.asarray(initial, jnp.float32))
        return np.asarray(fake)[:count] * scale + shift

    return method


@functools.lru_cache(maxsize=4)
def _generate(generator: PoseGenerator) -> Any:
    return jit(lambda variables, rows, initial: generator.apply(variables, rows, initial))
