"""How well PoseGAN does on clips that it is not trained on, while it is trained."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from facial_jax.compilation import jit
from facial_jax.data.clips import ClipSource
from facial_jax.data.windows import evaluation_windows
from facial_jax.models.facial_gan.batch import facial_batch
from facial_jax.models.pose_gan.batch import PoseBatch, generate_valid, pose_batch
from facial_jax.models.pose_gan.generation import WINDOW_FRAMES, PoseGan, generate_poses
from facial_jax.models.pose_gan.losses import PoseWeights, regression_losses
from facial_jax.models.pose_gan.network import PoseGenerator
from facial_jax.models.pose_gan.rest_frame import (
    SMOOTHING_FRAMES,
    PoseStatistics,
    middle_pose,
    standardized_poses,
)
from facial_jax.plots import svg_plot

EVALUATION_BATCH = 16
CHANNELS = ("pitch", "yaw", "roll", "x", "y", "z")


def pose_windows(
    clips: ClipSource,
    statistics: PoseStatistics,
    *,
    smoothing_frames: float = SMOOTHING_FRAMES,
    stride: int = WINDOW_FRAMES,
) -> Sequence[PoseBatch]:
    """Every window of 256 frames once, in order, in batches; the last one may be smaller."""
    learnt = functools.partial(
        standardized_poses, statistics=statistics, smoothing_frames=smoothing_frames
    )
    windows = evaluation_windows(
        clips, batch=EVALUATION_BATCH, frames=WINDOW_FRAMES, stride=stride, learnt=learnt
    )
    return [pose_batch(facial_batch(batch)) for batch in windows]


def make_evaluation(
    generator: PoseGenerator, weights: PoseWeights, windows: Callable[[], Sequence[PoseBatch]]
) -> Callable[[Any], dict[str, float]]:
    """A function of the generator's variables: the mean losses over all of these windows, and how
    far the head moves, as a share of the true poses' deviation."""

    @jit
    def losses_of(variables, batch):
        initial = jnp.asarray(batch.initial_pose)
        fake = generator.apply(variables, jnp.asarray(batch.rows), initial)
        fake, real = generate_valid(fake, batch), jnp.asarray(batch.poses)
        terms = regression_losses(real, fake, initial, weights)
        return vars(terms) | {"moved": fake.std(axis=1).mean(), "moves": real.std(axis=1).mean()}

    def evaluate(variables: Any) -> dict[str, float]:
        batches = windows()
        sizes = np.array([len(batch.rows) for batch in batches], float)
        losses = jax.device_get([losses_of(variables, batch) for batch in batches])
        means = {
            name: float(np.average([one[name] for one in losses], weights=sizes))
            for name in losses[0]
        }
        return means | {"movement": means.pop("moved") / means.pop("moves")}

    return evaluate


def draw_curves(model: PoseGan, clips: ClipSource, number: int) -> str:
    """One clip's poses and those generated for its speech, as an HTML page."""
    clip = clips[number]
    fake = generate_poses(model, clip.features)
    fake = fake - np.asarray(model.rest_pose) + middle_pose(clip.pose, clip.valid)
    real = np.where(clip.valid[:, None], clip.pose, np.nan)
    times_s = np.arange(len(clip)) / float(clip.frame_rate)
    return "\n".join(
        svg_plot(name, {"truth": real[:, i], "generated": fake[:, i]}, times_s)
        for i, name in enumerate(CHANNELS)
    )
