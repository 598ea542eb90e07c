"""The first stage: the person's clip, tracked in the video, and which part of it is held out."""

import functools
from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from tqdm.auto import tqdm

from facial_jax.attributes import EXPRESSION_SIZE, Identity
from facial_jax.data.clips import Clip, ClipSource, clip_part, clips_in_memory
from facial_jax.data.windows import MIN_FRAMES
from facial_jax.face.model import face_shape
from facial_jax.face.procedural import procedural_face_model
from facial_jax.full_frame import reference_length, save_full_frame_reference
from facial_jax.personalization.config import PersonalizationConfig
from facial_jax.tracking import track
from facial_jax.tracking.clip import check_sound, write_tracked
from facial_jax.tracking.frames import open_frames
from facial_jax.tracking.whole_background import video_background

HELD_OUT = 0.2
"""The last part of the clip that is only measured."""
TRACKED_SIZE = 512
"""Height and width of the crop, at least."""
CROP = "video.mp4"
"""The crop's frames, in the tracked clip's folder."""


def tracked_size(config: PersonalizationConfig) -> int:
    """Height and width of the crop."""
    return max(TRACKED_SIZE, config.size)


def track_video(
    video: Path, config: PersonalizationConfig, *, say: Callable[[str], None], progress: bool
) -> None:
    """Finds the head in every frame; keeps clip, crop and whole frames.

    Raises:
        ValueError: the video has no sound, or there is no face in it.
    """
    frames = open_frames(video)
    check_sound(frames)
    output = config.work / "tracked"
    bar = functools.partial(
        tqdm, desc=video.name, unit="frame", mininterval=1.0, disable=not progress
    )
    tracked = track(frames, size=tracked_size(config), progress=bar)
    checked = write_tracked(
        output,
        tracked,
        name="clip",
        subject=config.subject,
        acoustic_model=config.acoustic_model,
    )
    say(checked.text())
    crop = tracked.crop
    count = reference_length(len(tracked), tracked.fps)
    save_full_frame_reference(
        output / "clip",
        tracked.video.read(start=tracked.start, stop=tracked.start + len(tracked)),
        fps=tracked.fps,
        crop=(crop.left, crop.top, crop.side),
        pose=tracked.attributes.pose,
        background=video_background(tracked, neutral_shape(tracked.identity), count=count),
    )


def neutral_shape(identity: Identity) -> Float[np.ndarray, "n 3"]:
    """The person's face without expression, decimetres."""
    still = jnp.zeros(EXPRESSION_SIZE)
    shape = face_shape(procedural_face_model(), jnp.asarray(identity.identity), still)
    return np.asarray(shape)


def first_held_out(clip: Clip) -> int:
    """Number of the first frame that is not trained on.

    Raises:
        ValueError: too few frames show a face.
    """
    first = round((1 - HELD_OUT) * len(clip))
    seen = int(clip.valid[first:].sum())
    if seen < MIN_FRAMES + 2 or not clip.valid[:first].any():
        least = (MIN_FRAMES + 2) / HELD_OUT / float(clip.frame_rate)
        raise ValueError(
            f"video: expected at least {least:.1f} s with a face, of which the last fifth is held "
            f"out, got {len(clip)} frames ({len(clip) / float(clip.frame_rate):.1f} s) with "
            f"{seen} that show a face in their last fifth; give a longer video"
        )
    return first


def part_of(clip: Clip, begin: int, end: int) -> ClipSource:
    """Some frames of a clip as a source of its own."""
    return clips_in_memory(clip_part(clip, begin, end))


def shown_frames(clip: Clip) -> np.ndarray:
    """Numbers of the frames with a face: the others are not shown to the network."""
    return np.flatnonzero(clip.valid)
