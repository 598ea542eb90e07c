"""A reference video as rendering-to-video is trained on it, and the batches that are cut of it."""

import flax.struct
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from facial_jax.models.rendering_to_video.batch import VideoBatch, unchanged, window_indices


@flax.struct.dataclass
class ReferenceClip:
    """Frames and what the network sees of them."""

    frames: UInt8[Array | np.ndarray, "t h w 3"]
    # RGB
    pictures: UInt8[Array | np.ndarray, "t h w 4"]
    # rendered face and scaled eye attention map
    regions: UInt8[Array | np.ndarray, "t h w 2"]
    # how much a pixel belongs to the mouth and to the eyes
    pixel_weights: Float[Array | np.ndarray, "256 256"]
    # of each pair of regions: see `pixel_weights`


@flax.struct.dataclass
class FramePlaces:
    """Which frames make a batch."""

    frame: Int[Array | np.ndarray, "b"]
    window: Int[Array | np.ndarray, "b n"]
    # the numbers of the pictures that the network sees
    warp: Float[Array | np.ndarray, "b 2 3"]
    # see `VideoBatch`


def pixel_weights(mouth: float, eye: float) -> Float[np.ndarray, "256 256"]:
    """Weight of a pixel by how much it belongs to the mouth (row) and to the eyes (column).

    A table, so that it is the same number on every device.
    """
    mouth_region, eye_region = np.indices((256, 256), np.float32) / 255
    return 1 + np.stack([mouth_region, eye_region], axis=-1) @ np.array([mouth, eye], np.float32)


def frame_places(
    frames: Int[np.ndarray, "b"],
    held: Int[np.ndarray, "b"],
    clip_starts: Int[np.ndarray, "clips"],
    frame_count: int,
    window_half: int,
) -> FramePlaces:
    """The frames with these numbers, and windows that stay within their clips.

    `clip_starts`: where among the `frame_count` frames a new clip begins, 0 the first; `held`: see
    `window_indices`.
    """
    number = np.searchsorted(clip_starts, frames, side="right") - 1
    first = clip_starts[number]
    end = np.append(clip_starts[1:], frame_count)[number]
    window = window_indices(frames, first, end, window_half, held)
    return FramePlaces(frames.astype(np.int32), window.astype(np.int32), unchanged(len(frames)))


def cut_video_batch(clip: ReferenceClip, places: FramePlaces) -> VideoBatch:
    """The batch at these places: NumPy arrays of NumPy arrays, JAX's of JAX's."""
    b, n = places.window.shape
    pictures = clip.pictures[places.window]
    h, w, channels = pictures.shape[2:]
    region = clip.regions[places.frame].astype(jnp.int32)
    return VideoBatch(
        condition=pictures.transpose(0, 2, 3, 1, 4).reshape(b, h, w, n * channels),
        frame=clip.frames[places.frame],
        weight=clip.pixel_weights[region[..., 0], region[..., 1]][..., None],
        warp=places.warp,
    )
