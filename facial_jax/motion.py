"""What moves a face: made from its speech, given, or taken from other recordings."""

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from facial_jax.attributes import Attributes
from facial_jax.audio.known_phones import KnownPhone
from facial_jax.audio.waveform import AudioSource
from facial_jax.data.clips import valid_segments
from facial_jax.data.tracked_clip import load_tracked_clip
from facial_jax.editing import (
    check_attributes,
    gaussian_filter,
    host_attributes,
    replace_attributes,
    scale_attributes,
    transfer_attributes,
)
from facial_jax.frame_rate import FrameRate, count_frames, parse_frame_rate
from facial_jax.gaze import make_gaze
from facial_jax.pose_limits import limit_pose
from facial_jax.progress_bar import progress_bar
from facial_jax.speech_attributes import Method, attributes_from_speech
from facial_jax.subject import Subject

MotionSource = str | os.PathLike | tuple[Attributes, FrameRate]
"""A video, a tracked clip (.npz), or attributes and how many there are per second."""
MAX_HEAD_MOTION = 5.0
_TURN_S = 0.3  # standard deviation of the filter that eases the turns of what is played back


def make_motion(
    source: AudioSource,
    subject: Subject,
    *,
    fps: Fraction,
    method: Method = "facial",
    seed: int | None = None,
    speech_features: tuple[np.ndarray, FrameRate] | None = None,
    phones: Sequence[KnownPhone] | None = None,
    attributes: Attributes | None = None,
    pose_from: MotionSource | None = None,
    blink_from: MotionSource | None = None,
    head_motion: float = 1.0,
    progress: bool = False,
) -> Attributes:
    """What the face does in each of the round(duration · fps) frames.

    If the subject was learnt from a video, heads stay about where it showed them, unless the
    attributes are given, and the eyes look about as they did in it.

    Args:
        source: the speech.
        subject: who speaks.
        fps: frames per second.
        method: see `facial_jax.synthesize`, and so are the others.
        seed: of another take.
        speech_features: the user's own.
        phones: all that is said, if it is known.
        attributes: in place of those that the speech makes.
        pose_from: whose head motion to take.
        blink_from: whose blinks to take.
        head_motion: factor of the head's motion about its mean pose, 0 to 5.
        progress: show progress bars.

    Raises:
        FileNotFoundError: there is no such video or clip.
        ValueError: attributes that do not fit, or are given with a seed; a recording without a
            face; a factor out of range.
    """
    if not 0.0 <= head_motion <= MAX_HEAD_MOTION:
        raise ValueError(f"head_motion: expected 0 to {MAX_HEAD_MOTION:g}, got {head_motion}")
    given = attributes is not None
    if not given:
        attributes = attributes_from_speech(
            source,
            subject,
            fps=fps,
            method=method,
            seed=seed,
            speech_features=speech_features,
            phones=phones,
            progress=progress,
        )
    else:
        if seed is not None:
            raise ValueError("seed, attributes: expected one of them, got both")
        check_attributes(attributes)
        if len(attributes) != (count := count_frames(source.duration, fps)):
            raise ValueError(
                f"attributes: expected one row for each of the {count} frames of "
                f"{float(source.duration):.2f} s at {float(fps):g} per second, got "
                f"{len(attributes)}"
            )
    if pose_from is not None:
        motion, motion_fps = load_motion(pose_from, "pose_from", progress=progress)
        attributes = take_pose(attributes, motion, fps=fps, motion_fps=motion_fps)
    if blink_from is not None:
        # One video for both is tracked once.
        if pose_from is None or not _is_same(blink_from, pose_from):
            motion, motion_fps = load_motion(blink_from, "blink_from", progress=progress)
        attributes = transfer_attributes(
            attributes, motion, fields=["blink"], fps=fps, source_fps=motion_fps
        )
    if head_motion != 1.0:
        attributes = scale_attributes(attributes, pose=head_motion)
    if subject.pose_limits is not None and not given:
        own = host_attributes(attributes)
        attributes = own.replace(pose=limit_pose(own.pose, subject.pose_limits))
    if subject.appearance.eyes is not None and attributes.gaze is None:
        own = host_attributes(attributes)
        gaze = make_gaze(subject.appearance.eyes.habits, own.pose, own.blink, fps, seed=seed or 0)
        attributes = own.replace(gaze=gaze)
    return attributes


def _is_same(one: MotionSource, other: MotionSource) -> bool:
    if isinstance(one, tuple) or isinstance(other, tuple):
        return one is other
    return Path(one) == Path(other)


def take_pose(
    attributes: Attributes, motion: Attributes, *, fps: Fraction, motion_fps: Fraction
) -> Attributes:
    """The head moves as in another recording, about the mean pose that it had.

    The other recording is brought to this frame rate. If it is the shorter one, it is played
    forwards and backwards, coming to rest before it turns. Angles and places are taken as
    differences from its mean.

    Raises:
        ValueError: a recording has no frames.
    """
    own, other = host_attributes(attributes), host_attributes(motion)
    if not len(other):
        raise ValueError("pose_from: expected at least one frame, got none")
    shift = own.pose.mean(axis=0, dtype=np.float64) - other.pose.mean(axis=0, dtype=np.float64)
    place = forth_and_back(
        len(other), len(own), float(motion_fps / fps), turn_frames=_TURN_S * float(fps)
    )
    low = np.minimum(place.astype(np.int64), len(other) - 1)
    high = np.minimum(low + 1, len(other) - 1)
    weight = (place - low).astype(np.float32)[:, None]
    pose = other.pose[low] * (1 - weight) + other.pose[high] * weight
    return replace_attributes(own, pose=pose + shift.astype(np.float32))


def forth_and_back(
    length: int, count: int, step: float, *, turn_frames: float
) -> Float[np.ndarray, "count"]:
    """The places of `count` frames in a recording of `length` frames that is played at `step`
    frames each, forwards and backwards.

    Before it turns it slows down, over about `turn_frames`; elsewhere the tempo is kept. A
    recording that is long enough is played as it is.
    """
    way, last = np.arange(count) * step, length - 1
    if not last:
        return np.zeros(count)
    if way[-1] <= last:
        return way
    there_and_back = last - np.abs(last - way % (2 * last))
    turn = min(turn_frames, last / step / 4)
    return gaussian_filter(there_and_back, turn).clip(0.0, last).astype(np.float64)


def load_motion(
    motion: MotionSource, name: str, *, progress: bool = False
) -> tuple[Attributes, Fraction]:
    """The attributes of a recording in which the face is seen throughout, and their frame rate.

    Of a tracked clip, and of a video, which is tracked now, it is the longest part in which the
    face was seen.

    Args:
        motion: a video, a clip.npz, or (attributes, per second).
        name: of the argument, for what is wrong with it.
        progress: show progress bars.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, holds no face, or the attributes are malformed.
        ImportError, ModelMissingError: a video is to be tracked, and MediaPipe or its model is
            missing.
    """
    if isinstance(motion, tuple):
        attributes, fps = motion
        check_attributes(attributes)
        return attributes, parse_frame_rate(fps)
    path = Path(motion)
    if not path.is_file():
        raise FileNotFoundError(f"{name}: there is no file {path}")
    if path.suffix.lower() == ".npz":
        try:
            clip, _ = load_tracked_clip(path)
        except ValueError as error:
            raise ValueError(f"{name}: {path}: {error}") from error
        return longest_seen(clip.attributes, clip.valid), clip.frame_rate
    from facial_jax.tracking.tracker import track  # synthesis does without what tracking needs

    tracked = track(path, progress=progress_bar(f"tracking {path.name}", progress))
    return longest_seen(tracked.attributes, tracked.valid), tracked.fps


def longest_seen(attributes: Attributes, valid: Bool[np.ndarray, "t"]) -> Attributes:
    """The longest run of valid frames, of which there is at least one."""
    first, after = max(valid_segments(valid), key=lambda run: run[1] - run[0])
    return attributes[first:after]
