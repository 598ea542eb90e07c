"""Speech features to head poses with a trained PoseGAN, 256 frames at a time (CVM, Sec. 4.1).

The first window starts from the person's rest pose, each next one from the last pose before it, so
speech of any length becomes one continuous motion. What the network leaves of a jump between two
windows is spread over the first frames of the later one. Where the windows lie depends on the frame
numbers alone.
"""

import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from facial_jax.attributes import POSE_SIZE
from facial_jax.compilation import jit
from facial_jax.models.layers.parameters import (
    check_variables,
    load_variables,
    module_config,
    module_from_config,
    save_variables,
)
from facial_jax.models.layers.seams import continue_motion
from facial_jax.models.pose_gan.network import PoseGenerator, speech_feature_count
from facial_jax.models.pose_gan.rest_frame import (
    PoseStatistics,
    pose_before_camera,
    pose_from_rest,
)

GENERATOR_FILE = "pose_gan.safetensors"
WINDOW_FRAMES = 256
"""T: how many poses the generator makes at once."""


@flax.struct.dataclass
class PoseGan:
    """A trained generator and what it needs to move a head in real units."""

    variables: Any
    # params and batch_stats of `generator`
    statistics: PoseStatistics
    # of the poses that it was trained on, seen from rest
    rest_pose: Float[Array | np.ndarray, "6"]
    # where the head rests: pitch, yaw, roll in radians; x, y, z in decimetres
    generator: PoseGenerator = flax.struct.field(pytree_node=False)
    # the network

    @property
    def speech_features(self) -> int:
        """How many speech features a row has for this network."""
        return speech_feature_count(self.variables)


def save_pose_gan(path: str | Path, model: PoseGan, *, half_precision: bool = True) -> None:
    """Writes the network, `statistics/…` and the rest pose."""
    arrays = {
        **jax.tree.map(np.asarray, dict(model.variables)),
        "statistics": jax.tree.map(np.asarray, vars(model.statistics)),
        "rest_pose": np.asarray(model.rest_pose),
    }
    save_variables(path, arrays, module_config(model.generator), half_precision=half_precision)


def load_pose_gan(path: str | Path) -> PoseGan:
    """Reads what `save_pose_gan` wrote.

    Raises FileNotFoundError if there is no such file, ValueError if it is damaged or holds
    another network.
    """
    arrays, config = load_variables(path)
    try:
        statistics = PoseStatistics(**jax.tree.map(jnp.asarray, arrays.pop("statistics")))
        rest_pose = jnp.asarray(arrays.pop("rest_pose"))
        features = speech_feature_count(arrays)
    except (KeyError, TypeError) as error:
        raise ValueError(f"The weights file {path} holds no PoseGAN ({error}).") from error
    generator = module_from_config(PoseGenerator, config)
    expected = jax.eval_shape(
        generator.init,
        jax.random.key(0),
        jax.ShapeDtypeStruct((1, WINDOW_FRAMES, features), jnp.float32),
        jax.ShapeDtypeStruct((1, POSE_SIZE), jnp.float32),
    )
    check_variables(arrays, expected, path)
    return PoseGan(
        variables=jax.tree.map(jnp.asarray, arrays),
        statistics=statistics,
        rest_pose=rest_pose,
        generator=generator,
    )


def generate_poses(
    model: PoseGan,
    features: Float[Array | np.ndarray, "t n"],
    *,
    initial_pose: Float[Array | np.ndarray, "6"] | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
) -> Float[np.ndarray, "t 6"]:
    """How the head is held while this speech sounds.

    Args:
        model: the trained PoseGAN.
        features: (t, n) float32 speech features, one row per video frame, t ≥ 1, of the acoustic
            model that PoseGAN was trained with.
        initial_pose: of the frame before the first, radians and decimetres; by default the
            person's rest pose.
        progress: wraps the iteration over the windows, such as a progress bar.

    Returns:
        (t, 6) float32: pitch, yaw, roll in radians; x, y, z in decimetres.

    Raises:
        ValueError: there is no frame, or n is not the network's.
    """
    count = len(features)
    if not count:
        raise ValueError("features: expected at least one frame, got none")
    if features.shape[1] != model.speech_features:
        raise ValueError(
            f"features: this PoseGAN was trained with {model.speech_features} speech features a "
            f"frame, got {features.shape[1]}; use the acoustic model that it was trained with"
        )
    rest = np.asarray(model.rest_pose)
    initial = rest if initial_pose is None else np.asarray(initial_pose, np.float32)
    pose = jnp.asarray(pose_from_rest(initial, rest))
    generate = _generate_window(model.generator)
    poses = np.empty((count, POSE_SIZE), np.float32)
    for start in progress(range(0, count, WINDOW_FRAMES)):
        rows = np.zeros((WINDOW_FRAMES, features.shape[1]), np.float32)
        window_features = np.asarray(features[start : start + WINDOW_FRAMES], np.float32)
        rows[: len(window_features)] = window_features
        window, pose = generate(model.variables, model.statistics, rows, pose)
        window_poses = pose_before_camera(np.asarray(window), rest)
        poses[start : start + len(window_features)] = window_poses[: len(window_features)]
    return poses


@functools.lru_cache(maxsize=4)
def _generate_window(generator: PoseGenerator):
    """One window, seen from rest, and the pose that it ends in; compiled once."""

    def generate(variables, statistics, rows, pose):
        mean, std = statistics.mean, statistics.std
        fake = generator.apply(variables, rows[None], ((pose - mean) / std)[None])
        window = fake[0] * std[None] + mean[None]
        if generator.with_initial_pose:
            window = continue_motion(window, pose)
        return window, window[-1]

    return jit(generate)
