"""Editing attributes before they are rendered: scale, shift, smooth, keyframe, or take from others.

Each function returns new attributes of the same length and touches only what it is told to; an
identity per frame, if there is one, stays as it is, and eyes look where they looked while the head
is turned otherwise. Frames count from 0. Blinks stay
within 0 to 5. All is done on the host, in float32.

    video = facial_jax.synthesize("speech.wav")
    calmer = facial_jax.scale_attributes(video.attributes, pose=0.5)
    facial_jax.synthesize("speech.wav", attributes=calmer, output="calm.mp4")
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from facial_jax.attributes import (
    EXPRESSION_SIZE,
    GAZE_SIZE,
    IDENTITY_SIZE,
    MAX_BLINK,
    POSE_SIZE,
    Array,
    Attributes,
)
from facial_jax.frame_rate import resample_frames
from facial_jax.gaze import turned_gaze

Values = float | int | Sequence | Array
"""A number for every channel and frame, or an array that broadcasts to (frames, channels)."""
Field = Literal["pose", "blink", "expression"]
_KERNEL_DEVIATIONS = 4.0
# Beyond them nothing of a face is seen: it is turned away, behind the camera or out of the picture.
MAX_TURN_RAD = 1.6
MAX_SHIFT_DM = 9.0
FARTHEST_DM = -200.0
MAX_GAZE_RAD = 0.6
"""Eyes turn no farther in the head."""


def scale_attributes(
    attributes: Attributes, *, pose: Values = 1.0, blink: Values = 1.0, expression: Values = 1.0
) -> Attributes:
    """Larger or smaller motion: the pose about its mean over the clip, the rest about zero.

    Args:
        attributes: (t) frames.
        pose: factor, or one for each of the 6 channels, or for each frame and channel.
        blink: factor, or one for each frame.
        expression: factor, or one for each of the 64 channels, or for each frame and channel.

    Raises:
        ValueError: a factor's shape does not fit, or one is not finite.
    """
    own = host_attributes(attributes)
    mean = own.pose.mean(axis=0, dtype=np.float64).astype(np.float32)
    return _changed(
        own,
        pose=mean + (own.pose - mean) * _like(own.pose, pose, "pose"),
        blink=own.blink * _like(own.blink, blink, "blink"),
        expression=own.expression * _like(own.expression, expression, "expression"),
    )


def offset_attributes(
    attributes: Attributes, *, pose: Values = 0.0, blink: Values = 0.0, expression: Values = 0.0
) -> Attributes:
    """Adds to every frame, for example a turn of the head: `pose=[0, 0.2, 0, 0, 0, 0]`.

    Args:
        attributes: (t) frames.
        pose: radians and decimetres: (6,) or (t, 6).
        blink: AU45 intensity, a number or (t,).
        expression: (64,) or (t, 64), such as a smile held through the clip.

    Raises:
        ValueError: a shape does not fit, or a value is not finite.
    """
    own = host_attributes(attributes)
    return _changed(
        own,
        pose=own.pose + _like(own.pose, pose, "pose"),
        blink=own.blink + _like(own.blink, blink, "blink"),
        expression=own.expression + _like(own.expression, expression, "expression"),
    )


def replace_attributes(
    attributes: Attributes,
    *,
    pose: Values | None = None,
    blink: Values | None = None,
    expression: Values | None = None,
    gaze: Values | None = None,
) -> Attributes:
    """Puts values in place of whole fields; those not given stay.

    Args:
        attributes: (t) frames.
        pose: (6,) for a still head, or (t, 6); radians and decimetres.
        blink: a number or (t,); AU45 intensity.
        expression: (64,) or (t, 64).
        gaze: (2,) or (t, 2), pitch and yaw relative to the head, radians; positive ones look down
            and to the picture's right.

    Raises:
        ValueError: a shape does not fit, or a value is not finite.
    """
    own = host_attributes(attributes)

    def new(old, values, name):
        return old if values is None else _like(old, values, name)

    return _changed(
        own,
        pose=new(own.pose, pose, "pose"),
        blink=new(own.blink, blink, "blink"),
        expression=new(own.expression, expression, "expression"),
        gaze=None if gaze is None else _like(np.zeros((len(own), GAZE_SIZE)), gaze, "gaze"),
    )


def keyframe_attributes(
    attributes: Attributes,
    frames: Sequence[int | float] | Array,
    *,
    pose: Sequence | Array | None = None,
    blink: Sequence | Array | None = None,
    expression: Sequence | Array | None = None,
) -> Attributes:
    """Sets channels at keyframes and eases from one to the next.

    Between two keyframes the way follows 3s² − 2s³, which starts and ends at rest; before the first
    and after the last their values are held. NaN in a keyframe leaves that channel out of it, so
    the channel eases between the keyframes that name it; a channel that none names stays.

    Args:
        attributes: (t) frames.
        frames: (k,) rising frame numbers, fractions allowed.
        pose: (k, 6), radians and decimetres.
        blink: (k,), AU45 intensity.
        expression: (k, 64).

    Raises:
        ValueError: the frame numbers do not rise or are not finite, or a shape does not fit.
    """
    own = host_attributes(attributes)
    places = np.asarray(frames, np.float64)
    if places.ndim != 1 or not len(places) or not np.isfinite(places).all():
        raise ValueError(
            f"frames: expected a list of frame numbers, got an array of shape {places.shape}"
        )
    if np.any(np.diff(places) <= 0):
        raise ValueError(f"frames: expected rising frame numbers, got {list(frames)}")

    def eased(old, values, name):
        if values is None:
            return old
        keys = np.asarray(values, np.float32)
        if keys.shape != (len(places), *old.shape[1:]):
            raise ValueError(
                f"{name}: expected a value for each keyframe, shape "
                f"{(len(places), *old.shape[1:])}, got {keys.shape}"
            )
        columns, keys = old.reshape(len(old), -1).copy(), keys.reshape(len(places), -1)
        for channel in range(columns.shape[1]):
            named = ~np.isnan(keys[:, channel])
            if named.any():
                columns[:, channel] = _ease(len(old), places[named], keys[named, channel])
        return columns.reshape(old.shape)

    return _changed(
        own,
        pose=eased(own.pose, pose, "pose"),
        blink=eased(own.blink, blink, "blink"),
        expression=eased(own.expression, expression, "expression"),
    )


def smooth_attributes(
    attributes: Attributes, *, pose: float = 0.0, blink: float = 0.0, expression: float = 0.0
) -> Attributes:
    """Gaussian filter over time (CVM, Eq. 1), without lag; the ends are held.

    Args:
        attributes: (t) frames.
        pose: standard deviation in frames; 0 leaves the field as it is.
        blink: the same for the blink.
        expression: the same for the expression.

    Raises:
        ValueError: a deviation is negative or not finite.
    """
    own = host_attributes(attributes)
    return _changed(
        own,
        pose=gaussian_filter(own.pose, pose),
        blink=gaussian_filter(own.blink, blink),
        expression=gaussian_filter(own.expression, expression),
    )


def transfer_attributes(
    attributes: Attributes,
    source: Attributes,
    *,
    fields: Sequence[Field],
    fps: Fraction,
    source_fps: Fraction,
) -> Attributes:
    """Takes fields from another recording, brought to this one's frame rate.

    If the other recording is shorter, it is played forwards and backwards, so that nothing jumps.

    Args:
        attributes: (t) frames at `fps`.
        source: the other recording's frames at `source_fps`.
        fields: which of "pose", "blink" and "expression" to take.
        fps: frames per second of `attributes`.
        source_fps: frames per second of `source`.

    Raises:
        ValueError: a field is unknown, or the other recording is empty.
    """
    own, other = host_attributes(attributes), host_attributes(source)
    unknown = set(fields) - {"pose", "blink", "expression"}
    if unknown:
        raise ValueError(f"fields: expected pose, blink or expression, got {sorted(unknown)}")
    if not len(other):
        raise ValueError("source: expected at least one frame, got none")
    needed = round(len(own) * source_fps / fps) + 2
    forth_and_back = np.concatenate([np.arange(len(other)), np.arange(len(other) - 2, 0, -1)])
    order = np.resize(forth_and_back, needed)
    taken = {
        name: resample_frames(getattr(other, name)[order], source_fps, fps, len(own))
        for name in fields
    }
    return _changed(own, **taken)


def gaussian_filter(
    values: Float[np.ndarray, "t *rest"], deviation_frames: float
) -> Float[np.ndarray, "t *rest"]:
    """Weighted mean over neighbouring frames, exp(−d²/2σ²) (CVM, Eq. 1); the ends are held."""
    if not 0 <= deviation_frames < np.inf:
        raise ValueError(
            f"expected a standard deviation of at least 0 frames, got {deviation_frames}"
        )
    if deviation_frames == 0 or not len(values):
        return values
    from scipy.ndimage import gaussian_filter1d  # takes long to import

    radius = int(np.ceil(_KERNEL_DEVIATIONS * deviation_frames))
    smooth = gaussian_filter1d(
        values, deviation_frames, axis=0, output=np.float64, mode="nearest", radius=radius
    )
    return smooth.astype(np.float32)


def host_attributes(attributes: Attributes) -> Attributes:
    """The attributes as NumPy arrays, float32.

    Raises:
        ValueError: they are no arrays of real numbers, or their shapes are not those of (t) frames.
    """
    if not isinstance(attributes, Attributes):
        raise ValueError(f"attributes: expected Attributes, got {type(attributes).__name__}")
    pose, blink, expression = (
        _real_array(getattr(attributes, name), name) for name in ("pose", "blink", "expression")
    )
    t = len(pose) if pose.ndim else 0
    shapes = (pose.shape, blink.shape, expression.shape)
    if shapes != ((t, POSE_SIZE), (t,), (t, EXPRESSION_SIZE)):
        raise ValueError(
            f"attributes: expected pose (t, {POSE_SIZE}), blink (t,) and expression "
            f"(t, {EXPRESSION_SIZE}), got {', '.join(map(str, shapes))}"
        )
    identity = _optional_rows(attributes, "identity", (t, IDENTITY_SIZE), "one for each frame")
    gaze = _optional_rows(attributes, "gaze", (t, GAZE_SIZE), "pitch and yaw in each frame")
    return Attributes(expression=expression, pose=pose, blink=blink, identity=identity, gaze=gaze)


def _optional_rows(
    attributes: Attributes, name: str, shape: tuple[int, int], meaning: str
) -> np.ndarray | None:
    """The field as float32 if there is one; ValueError if it has another shape."""
    values = getattr(attributes, name)
    if values is None:
        return None
    rows = _real_array(values, name)
    if rows.shape != shape:
        raise ValueError(f"attributes: expected {name} {shape}, {meaning}, got {rows.shape}")
    return rows


def _real_array(values: object, name: str) -> np.ndarray:
    """As float32, which texts, complex numbers and lists are not made."""
    dtype = getattr(values, "dtype", None)
    if dtype is None or not any(jnp.issubdtype(dtype, kind) for kind in (np.integer, np.floating)):
        got = type(values).__name__ if dtype is None else f"an array of {dtype}"
        raise ValueError(f"{name}: expected an array of real numbers, got {got}")
    return np.asarray(values, np.float32)


def check_attributes(attributes: Attributes) -> None:
    """Refuses what cannot be rendered, or would show no face.

    Raises:
        ValueError: the shapes are not those of (t) frames, values are not finite, or poses or
            blinks are in other units.
    """
    own = host_attributes(attributes)
    for name, values in vars(own).items():
        if values is None:
            continue
        bad = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
        if bad.any():
            raise ValueError(
                f"{name}: expected finite values, got NaN or infinity in {int(bad.sum())} of "
                f"{len(bad)} frames, first in frame {int(bad.argmax())}"
            )
    if not len(own):
        raise ValueError("attributes: expected at least one frame, got none")
    turn = float(np.abs(own.pose[:, :3]).max())
    if turn > MAX_TURN_RAD:
        raise ValueError(
            f"pose: expected pitch, yaw and roll in radians, up to {MAX_TURN_RAD:g}, got "
            f"{turn:.3g}; degrees are turned into radians by np.radians"
        )
    x, y, z = own.pose[:, 3:].T
    if max(np.abs(x).max(), np.abs(y).max(), z.max()) > MAX_SHIFT_DM or z.min() < FARTHEST_DM:
        raise ValueError(
            f"pose: expected x, y and z in decimetres, up to {MAX_SHIFT_DM:g} from the middle and "
            f"z of at least {FARTHEST_DM:g}, got x up to {np.abs(x).max():.3g}, y up to "
            f"{np.abs(y).max():.3g} and z from {z.min():.3g} to {z.max():.3g}: the head would not "
            "be in the picture"
        )
    if own.blink.min() < -1 or own.blink.max() > MAX_BLINK + 1:
        raise ValueError(
            f"blink: expected AU45 intensities from 0 to {MAX_BLINK:g}, got {own.blink.min():.3g} "
            f"to {own.blink.max():.3g}"
        )


def _ease(count: int, places: np.ndarray, keys: np.ndarray) -> np.ndarray:
    frame = np.arange(count)
    if len(places) == 1:
        return np.full(count, keys[0])
    index = np.clip(np.searchsorted(places, frame, side="right") - 1, 0, len(places) - 2)
    s = np.clip((frame - places[index]) / (places[index + 1] - places[index]), 0.0, 1.0)
    weight = s * s * (3 - 2 * s)
    return (keys[index] * (1 - weight) + keys[index + 1] * weight).astype(np.float32)


def _changed(
    own: Attributes, *, gaze: np.ndarray | None = None, **fields: np.ndarray
) -> Attributes:
    """The attributes with these fields, and blinks within their range.

    Without a new gaze, eyes go on to what they look at.
    """
    new = own.replace(**fields)
    if gaze is None:
        gaze = own.gaze
        if gaze is not None and not np.array_equal(new.pose, own.pose):
            gaze = turned_gaze(turned_gaze(gaze, own.pose), new.pose, back=True)
            gaze = np.clip(gaze, -MAX_GAZE_RAD, MAX_GAZE_RAD).astype(np.float32)
    new = new.replace(gaze=gaze)
    return new.replace(blink=np.clip(new.blink, 0, MAX_BLINK).astype(np.float32))


def _like(old: np.ndarray, values: Values, name: str) -> np.ndarray:
    """The values, broadcast to the shape of a field."""
    array = np.asarray(values, np.float32)
    try:
        array = np.broadcast_to(array, old.shape)
    except ValueError:
        raise ValueError(
            f"{name}: expected a number or an array that broadcasts to {old.shape} "
            f"(frames first), got {array.shape}"
        ) from None
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite values")
    return array
