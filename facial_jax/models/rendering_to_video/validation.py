"""How good rendering-to-video is on held-out frames, while it is trained."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from facial_jax.models.rendering_to_video.batch import VideoBatch
from facial_jax.models.rendering_to_video.config import RenderingToVideoTrainingConfig
from facial_jax.models.rendering_to_video.reference import RenderedClip
from facial_jax.models.rendering_to_video.sampling import held_out_count, make_batch


class HeldOut(NamedTuple):
    """Up to eight of the frames that are never trained on."""

    batch: VideoBatch
    # on a device
    frames: np.ndarray
    # (n, h, w, 3)
    mouth: np.ndarray
    # (n, h, w) float32, 1 at the mouth
    rendered: np.ndarray
    # (n, h, w, 3)


def held_out_frames(clip: RenderedClip, config: RenderingToVideoTrainingConfig) -> HeldOut:
    """Frames of the held-out part, evenly spread."""
    count = len(clip.frames)
    first = count - held_out_count(clip, config)
    numbers = np.unique(np.linspace(first, count - 1, 8).astype(int))
    batch = make_batch(clip, numbers, np.zeros_like(numbers), config)
    return HeldOut(
        batch=jax.tree.map(jnp.asarray, batch),
        frames=clip.frames[numbers],
        mouth=clip.regions[numbers, ..., 0].astype(np.float32) / 255,
        rendered=clip.pictures[numbers, ..., :3],
    )


def measure(held_out: HeldOut, generate, params) -> tuple[float, float, np.ndarray]:
    """PSNR in dB and mouth PSNR on held-out frames, and a preview: rendered | generated | real."""
    images = np.asarray(generate(params, held_out.batch))
    errors = np.square((images.astype(np.float32) - held_out.frames) / 255).mean(-1)
    psnr = -10 * np.log10(np.mean(errors))
    mouth_psnr = -10 * np.log10((errors * held_out.mouth).sum() / held_out.mouth.sum())
    rows = np.concatenate([held_out.rendered, images, held_out.frames], axis=2)
    preview = np.concatenate(rows[:: max(1, len(rows) // 3)][:3])
    return float(psnr), float(mouth_psnr), preview
