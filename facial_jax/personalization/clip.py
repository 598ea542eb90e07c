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
from facial_jax.personalization.variety import varied_frames
from facial_jax.tracking import track
from facial_jax.tracking.clip import write_tracked
from facial_jax.tracking.frames import VideoFrames, open_frames
from facial_jax.tracking.tracker import TrackedVideo
from facial_jax.tracking.whole_background import video_background

HELD_OUT = 0.2
"""The last part of the clip that is only measured."""
TRACKED_SIZE = 512
"""Height and width of the crop, at least."""
FIRST = "clip"
"""The folder of the first video's clip among the tracked ones."""
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
        ValueError: there is no face in the video, or its sound is damaged.
    """
    tracked = _track(open_frames(video), config, FIRST, None, say=say, progress=progress)
    crop = tracked.crop
    count = reference_length(len(tracked), tracked.fps)
    save_full_frame_reference(
        config.work / "tracked" / FIRST,
        tracked.video.read(start=tracked.start, stop=tracked.start + len(tracked)),
        fps=tracked.fps,
        crop=(crop.left, crop.top, crop.side),
        pose=tracked.attributes.pose,
        background=video_background(tracked, neutral_shape(tracked.identity), count=count),
    )


def track_further_video(
    video: Path,
    config: PersonalizationConfig,
    name: str,
    first: Clip,
    *,
    say: Callable[[str], None],
    progress: bool,
) -> None:
    """Finds the person of the first clip in another video, at that clip's frame rate.

    Args:
        video: the file.
        config: how.
        name: of the clip's folder.
        first: whose identity its coefficients are for.
        say: is given what is known of the video.
        progress: show a progress bar.

    Raises:
        ValueError: there is no face in the video, or its sound is damaged.
    """
    frames = open_frames(video, fps=first.frame_rate)
    _track(frames, config, name, first.identity, say=say, progress=progress)


def _track(
    frames: VideoFrames,
    config: PersonalizationConfig,
    name: str,
    identity: Float[np.ndarray, "80"] | None,
    *,
    say: Callable[[str], None],
    progress: bool,
) -> TrackedVideo:
    bar = functools.partial(
        tqdm, desc=frames.path.name, unit="frame", mininterval=1.0, disable=not progress
    )
    tracked = track(frames, size=tracked_size(config), identity=identity, progress=bar)
    checked = write_tracked(
        config.work / "tracked",
        tracked,
        name=name,
        subject=config.subject,
        acoustic_model=config.acoustic_model,
    )
    say(checked.text())
    return tracked


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


def shown_frames(clip: Clip, first: int) -> np.ndarray:
    """Numbers of the frames that are shown to the network: they have a face, and those before the
    first held-out one are varied (`varied_frames`)."""
    seen = np.flatnonzero(clip.valid)
    return np.concatenate([varied_frames(clip, seen[seen < first]), seen[seen >= first]])
