"""Batches that rendering-to-video is trained on: windows of rendered faces beside real frames."""

import flax.struct
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8


@flax.struct.dataclass
class VideoBatch:
    """Frames and what they are to be made from."""

    condition: UInt8[Array | np.ndarray, "b h w k"]
    """Windows of rendered faces and eye attention maps, [0, 1] as 0 to 255."""
    frame: UInt8[Array | np.ndarray, "b h w 3"]
    """The real frame, RGB."""
    weight: Float[Array | np.ndarray, "b h w 1"]
    """How much a pixel counts in the L1 and the gradient term."""
    warp: Float[Array | np.ndarray, "b 2 3"]
    """From a pixel's place to where its value is taken from, both from the picture's middle, in
    pixels: what training varies, see `augmentation`."""


def unchanged(count: int) -> Float[np.ndarray, "b 2 3"]:
    """`VideoBatch.warp` of pictures that stay as they are."""
    return np.tile(np.eye(2, 3, dtype=np.float32), (count, 1, 1))


def from_uint8(batch: VideoBatch) -> tuple[Float[Array, "b h w k"], Float[Array, "b h w 3"]]:
    """The condition in [0, 1], as at synthesis, and the frame in [−1, 1], as generated."""
    condition = jnp.asarray(batch.condition).astype(jnp.float32) / 255.0
    frame = jnp.asarray(batch.frame).astype(jnp.float32) / 127.5 - 1.0
    return condition, frame


def window_indices(
    frames: Int[np.ndarray, "*b"],
    first: int | Int[np.ndarray, "*b"],
    end: int | Int[np.ndarray, "*b"],
    half: int,
    held: Int[np.ndarray, "*b"] | None = None,
) -> Int[np.ndarray, "*b n"]:
    """Which pictures belong to a frame's window: t − half … t + half − 1, within the clip.

    The clip's first frame, `first`, is repeated before it, and its last one, `end` − 1, after it.
    `held`: −1 treats the frame as if it were the clip's first, +1 as its last, 0 as it is;
    in training it shows the network what clips begin and end like.
    """
    frames = np.asarray(frames)
    held = np.zeros_like(frames) if held is None else np.asarray(held)
    index = frames[..., None] + np.arange(-half, half)
    low = np.where(held < 0, frames, first)[..., None]
    high = np.where(held > 0, frames, np.asarray(end) - 1)[..., None]
    return np.clip(index, low, high)
