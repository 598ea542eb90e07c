"""Which frames of a reference video each training step sees."""

import functools

import numpy as np

from facial_jax.models.rendering_to_video.augmentation import draw_warps
from facial_jax.models.rendering_to_video.batch import VideoBatch
from facial_jax.models.rendering_to_video.config import RenderingToVideoTrainingConfig
from facial_jax.models.rendering_to_video.reference import RenderedClip
from facial_jax.models.rendering_to_video.reference_clip import (
    FramePlaces,
    ReferenceClip,
    cut_video_batch,
    frame_places,
    pixel_weights,
)


def reference_clip(clip: RenderedClip, config: RenderingToVideoTrainingConfig) -> ReferenceClip:
    """The clip as batches are cut of it."""
    return ReferenceClip(
        *map(np.asarray, (clip.frames, clip.pictures, clip.regions)),
        pixel_weights=pixel_weights(config.mouth_weight, config.eye_weight),
    )


def make_batch(
    clip: RenderedClip, frames: np.ndarray, held: np.ndarray, config: RenderingToVideoTrainingConfig
) -> VideoBatch:
    """Windows, real frames and pixel weights of the frames with these numbers."""
    places = frame_places(frames, held, clip.clip_starts, len(clip.frames), config.window_half)
    return cut_video_batch(reference_clip(clip, config), places)


def sample_frames(
    clip: RenderedClip, step: int, config: RenderingToVideoTrainingConfig
) -> np.ndarray:
    """The numbers of a step's frames: every epoch shows each one once, in an order of its own."""
    count = len(clip.frames) - held_out_count(clip, config)
    places = np.arange(step * config.batch_size, (step + 1) * config.batch_size)
    orders = {
        e: _order(config.seed, e, count) for e in range(places[0] // count, places[-1] // count + 1)
    }
    return np.array([orders[place // count][place % count] for place in places])


@functools.lru_cache(maxsize=4)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(count)


def sample_places(
    clip: RenderedClip, step: int, config: RenderingToVideoTrainingConfig
) -> FramePlaces:
    """What a step's batch is made of; depends on nothing but the seed and the step's number."""
    rng, p = np.random.default_rng((config.seed, 1, step)), config.held_probability
    held = rng.choice([-1, 0, 1], config.batch_size, p=[p, 1 - 2 * p, p])
    frames = sample_frames(clip, step, config)
    places = frame_places(frames, held, clip.clip_starts, len(clip.frames), config.window_half)
    height = clip.frames.shape[1]
    return places.replace(warp=draw_warps(rng, config.batch_size, height, config.augmentation))


def held_out_count(clip: RenderedClip, config: RenderingToVideoTrainingConfig) -> int:
    """How many frames at the end are never trained on; at least one."""
    return max(1, round(len(clip.frames) * config.held_out_fraction))


def step_count(clip: RenderedClip, config: RenderingToVideoTrainingConfig) -> int:
    """Parameter updates in all."""
    if config.steps is not None:
        return config.steps
    frames = len(clip.frames) - held_out_count(clip, config)
    return max(1, round(config.epochs * frames / config.batch_size))
