"""From attributes to frames: the conditioning pictures and the generator over them, as a stream."""

import functools
from collections.abc import Iterator

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from facial_jax.attributes import Attributes
from facial_jax.backend import on_cpu
from facial_jax.compilation import jit
from facial_jax.models.rendering_to_video.conditioning import Scene, conditioning_pictures
from facial_jax.subject import Subject


def frame_chunks(
    subject: Subject, attributes: Attributes, *, chunk_frames: int
) -> Iterator[UInt8[np.ndarray, "n h w 3"]]:
    """The frames of these attributes, a chunk at a time, uint8 RGB.

    `chunk_frames` is rounded up to a multiple of `batch_frames`. The first and the last attributes
    are held before the beginning and after the end, so that every frame has a whole window around
    it. Raises ValueError if the subject has no rendering-to-video network.
    """
    subject.check_renders()
    dtype, batch = compute_dtype(), batch_frames()
    params = jax.tree.map(lambda x: jnp.asarray(x, dtype), subject.rendering_to_video_params)
    count, half = len(attributes), subject.window_half
    chunk = -(-max(chunk_frames, 1) // batch) * batch
    scene = jax.tree.map(jnp.asarray, subject.scene())
    attributes = jax.tree.map(np.asarray, attributes)
    carry = jnp.zeros((2 * half - 1, *scene.size, 4), jnp.float32)
    pending = None
    # Picture i of the stream belongs to frame i - half, and completes the window of frame
    # i - 2 * half + 1: the first windows lie before the first frame and are dropped.
    stream_length = count + 2 * half - 1
    try:
        for start in range(0, stream_length, chunk):
            index = np.clip(np.arange(start, start + chunk) - half, 0, count - 1)
            carry, frames = _next_frames(
                params,
                scene,
                carry,
                attributes[index],
                generator=subject.rendering_to_video,
                batch=batch,
            )
            # The device works on this chunk, and copies it, while the one before is handed out.
            frames.copy_to_host_async()
            if pending is not None:
                yield from _kept(*pending)
            first = start - 2 * half + 1
            pending = frames, max(0, -first), min(chunk, count - first)
        yield from _kept(*pending)
    finally:
        # If no more frames are wanted, the next ones are still being computed: a program
        # that ended now would take XLA's code away from under its threads, and crash.
        jax.block_until_ready(carry)


def compute_dtype() -> jnp.dtype:
    """What the generator computes in: bfloat16, but float32 on CPUs.

    CPUs have no fast bfloat16: XLA widens it, and is slower than in float32.
    """
    return jnp.dtype(jnp.float32 if on_cpu() else jnp.bfloat16)


def batch_frames() -> int:
    """How many frames are computed together: 16, but 8 on CPUs.

    Always as many, so that a frame's numbers do not depend on the chunk's size.
    """
    return 8 if on_cpu() else 16


def _kept(frames: Array, first: int, end: int) -> Iterator[np.ndarray]:
    if first < end:
        yield np.asarray(frames)[first:end]


@jit(static_argnames=("generator", "batch"))
def _next_frames(
    params: dict,
    scene: Scene,
    carry: Float[Array, "m h w 4"],
    attributes: Attributes,
    *,
    generator: nn.Module,
    batch: int,
) -> tuple[Float[Array, "m h w 4"], UInt8[Array, "n h w 3"]]:
    """Renders the next pictures and generates the frames whose windows they complete."""

    def generate_batch(start: Array) -> UInt8[Array, "b h w 3"]:
        length = batch + carry.shape[0]
        pictures = jax.lax.dynamic_slice_in_dim(stream, start, length)
        return generate_images(generator, params, stack_windows(pictures, batch))

    count = len(attributes)
    batched = jax.tree.map(lambda x: x.reshape(-1, batch, *x.shape[1:]), attributes)
    pictures = jax.lax.map(functools.partial(conditioning_pictures, scene), batched)
    pictures = pictures.reshape(count, *scene.size, 4)
    stream = jnp.concatenate([carry, pictures])
    frames = jax.lax.map(generate_batch, jnp.arange(0, count, batch))
    return stream[count:], frames.reshape(count, *scene.size, 3)


def generate_images(
    generator: nn.Module, params: dict, windows: Float[Array, "b h w k"]
) -> UInt8[Array, "b h w 3"]:
    """The generator's frames for windows of pictures, computed in the parameters' dtype."""
    dtype = jax.tree.leaves(params)[0].dtype
    images = generator.apply({"params": params}, windows.astype(dtype))
    return signed_range_to_uint8(images.astype(jnp.float32))


def stack_windows(pictures: Float[Array, "m h w c"], count: int) -> Float[Array, "n h w k"]:
    """Windows of consecutive pictures, their channels side by side, the earliest first.

    `m` pictures make `count` windows of m - count + 1 pictures each.
    """
    length = pictures.shape[0] - count + 1
    return jnp.concatenate([pictures[i : i + count] for i in range(length)], axis=-1)


def signed_range_to_uint8(image: Float[Array, "*b h w 3"]) -> UInt8[Array, "*b h w 3"]:
    """The generator's (-1, 1) as 0 to 255, rounded."""
    return jnp.round((image + 1) * 127.5).clip(0, 255).astype(jnp.uint8)
