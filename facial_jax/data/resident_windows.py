"""Windows cut on the devices, out of all clips of a training, one after another.

The same numbers as `facial_jax.data.windows` cuts on the host, to the bit: a step is sent which
windows it is to cut, and how they are perturbed. The paper's 535,400 frames take 214 MB.
"""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from facial_jax.attributes import ATTRIBUTE_SIZE
from facial_jax.audio.features import ROWS_BEFORE, WINDOW_ROWS
from facial_jax.data.clips import ClipSource
from facial_jax.data.windows import Draw, Perturbation, WindowCutter
from facial_jax.models.facial_gan.batch import FacialBatch
from facial_jax.training.checks import check_columns


@flax.struct.dataclass
class ResidentClips:
    """All frames of all clips; t frames."""

    features: Float[Array | np.ndarray, "t n"]
    # speech features
    attributes: Float[Array | np.ndarray, "t c"]
    # packed and standardised, or what else the cutter was told to give
    fading: Float[Array | np.ndarray, "T c"]
    # how much of a perturbation is left in each frame of a window
    zero: Int[Array | np.ndarray, ""]
    # 0: see `_rounded`


@flax.struct.dataclass
class WindowPlaces:
    """Which windows make a batch; frames are counted over all clips."""

    clip_begin: Int[Array | np.ndarray, "b"]
    # the first frame of the window's clip
    clip_end: Int[Array | np.ndarray, "b"]
    # and the one after its last
    first: Int[Array | np.ndarray, "b"]
    # the window's first frame
    count: Int[Array | np.ndarray, "b"]
    # valid frames in it
    delta: Float[Array | np.ndarray, "b c"]
    # by how much it is perturbed
    unheard: Bool[Array | np.ndarray, "b"]
    # True: it hears nothing before its first frame


def resident_bytes(clips: ClipSource) -> int:
    """About how much memory `resident_clips` take; of the clips only one is read."""
    frames = sum(entry.segments[-1][1] for entry in clips.entries)
    return 4 * frames * (clips[0].features.shape[1] + ATTRIBUTE_SIZE)


def resident_clips(
    cutter: WindowCutter, perturbation: Perturbation | None
) -> tuple[ResidentClips, Int[np.ndarray, "clips_and_1"]]:
    """Every clip's frames, NumPy arrays, and where each clip begins in them; their end is last.

    Raises:
        ValueError: the clips' speech features are of different acoustic models.
    """
    features, attributes = zip(*cutter.whole_clips(), strict=True)
    check_columns("features of clips", features)
    attributes = np.concatenate(attributes)
    if perturbation is None:
        fading = np.zeros((cutter.frames, attributes.shape[1]), np.float32)
    else:
        fading = perturbation.fading(cutter.frames)
    data = ResidentClips(
        features=np.concatenate(features),
        attributes=attributes,
        fading=fading,
        zero=np.zeros((), np.int32),
    )
    return data, np.cumsum([0, *map(len, features)])


def resident_places(
    draw: Draw, begins: Int[np.ndarray, "clips_and_1"], channels: int = ATTRIBUTE_SIZE
) -> WindowPlaces:
    """What was drawn, as `cut_resident_windows` takes it; the cutter gives rows of `channels`."""
    clip, first, count = draw["places"].T
    b = len(clip)
    return WindowPlaces(
        clip_begin=begins[clip].astype(np.int32),
        clip_end=begins[clip + 1].astype(np.int32),
        first=(begins[clip] + first).astype(np.int32),
        count=count.astype(np.int32),
        delta=draw.get("delta", np.zeros((b, channels), np.float32)),
        unheard=draw.get("unheard", np.zeros(b, bool)),
    )


def cut_resident_windows(clips: ResidentClips, places: WindowPlaces) -> FacialBatch:
    """The windows at these places."""
    frames = clips.fading.shape[0]
    row = jnp.arange(-ROWS_BEFORE, frames + WINDOW_ROWS - 1 - ROWS_BEFORE, dtype=jnp.int32)[None]
    index = places.first[:, None] + row
    audible = (index >= places.clip_begin[:, None]) & (index < places.clip_end[:, None])
    audible &= ~(places.unheard[:, None] & (row < 0))
    rows = clips.features[jnp.clip(index, 0, len(clips.features) - 1)]
    t = jnp.arange(frames, dtype=jnp.int32)[None]
    held = jnp.minimum(t, places.count[:, None] - 1)
    off = _rounded(places.delta[:, None] * clips.fading[None], clips.zero)
    return FacialBatch(
        rows=jnp.where(audible[..., None], rows, jnp.float32(0)),
        initial_state=clips.attributes[places.first - 1] + places.delta,
        attributes=clips.attributes[places.first[:, None] + held] + off,
        valid=t < places.count[:, None],
    )


def _rounded(product: Float[Array, "..."], zero: Int[Array, ""]) -> Float[Array, "..."]:
    """The product rounded to float32, as NumPy rounds it before it adds.

    A compiler may round product and sum only once, but not across bits that it does not know.
    """
    bits = jax.lax.bitcast_convert_type(product, jnp.int32) ^ zero
    return jax.lax.bitcast_convert_type(bits, jnp.float32)
