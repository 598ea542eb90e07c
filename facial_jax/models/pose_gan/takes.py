"""Another take of the head's motion: PoseGAN has no noise, and does the same for the same speech.

As in `facial_gan.takes`, a take begins elsewhere: its windows of 256 frames lie at other places in
the speech, and the head comes from another pose of the person's.
"""

from collections.abc import Callable, Iterable

import numpy as np
from jaxtyping import Array, Float

from facial_jax.models.pose_gan.generation import WINDOW_FRAMES, PoseGan, generate_poses
from facial_jax.models.pose_gan.rest_frame import pose_before_camera


def generate_pose_take(
    model: PoseGan,
    features: Float[Array | np.ndarray, "t n"],
    draw: np.random.Generator,
    *,
    progress: Callable[[Iterable], Iterable] = iter,
) -> Float[np.ndarray, "t 6"]:
    """`generate_poses` from a drawn beginning; `draw` is the source of the take."""
    lead = int(draw.integers(WINDOW_FRAMES))
    # Before the speech there is nothing: rows of zeros, as after its end.
    rows = np.concatenate([np.zeros((lead, features.shape[1]), np.float32), features])
    mean, deviation = np.asarray(model.statistics.mean), np.asarray(model.statistics.std)
    seen_from_rest = (mean + deviation * draw.standard_normal(6)).astype(np.float32)
    initial = pose_before_camera(seen_from_rest, np.asarray(model.rest_pose))
    return generate_poses(model, rows, initial_pose=initial, progress=progress)[lead:]
