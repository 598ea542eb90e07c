"""What is seen and heard in a video that is to be measured."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from facial_jax.attributes import Attributes
from facial_jax.data.clips import SAMPLE_RATE
from facial_jax.frame_rate import FrameRate
from facial_jax.tracking.clip import clip_waveform
from facial_jax.tracking.frames import VideoFrames, open_frames
from facial_jax.tracking.tracker import track


@dataclass(frozen=True)
class Observation:
    """One person in a video, t frames."""

    name: str
    # the file's
    video: VideoFrames
    # its frames, at the rate that it is measured at
    own_fps: Fraction
    # frames per second that the file has
    start: int
    # number of the first of the t frames in the video
    points: Float[np.ndarray, "t 68 2"]
    # landmarks in pixels of the frames, NaN where the face was not seen
    irises: Float[np.ndarray, "t 2 2"]
    # the irises' centres in the same pixels
    attributes: Attributes
    # of the fitted face
    valid: Bool[np.ndarray, "t"]
    # where the face was seen, or bridged between such frames
    samples: Float[np.ndarray, "n"] | None
    # the sound of these frames, mono at 16 kHz in [-1, 1]; None: there is none

    def __len__(self) -> int:
        return len(self.valid)

    @property
    def fps(self) -> float:
        """Frames per second."""
        return float(self.video.fps)


def observe(
    path: str | os.PathLike,
    *,
    fps: FrameRate | None = None,
    progress: Callable[..., Iterable] = iter,
) -> Observation:
    """Tracks the face in a video and reads its sound.

    Args:
        path: anything with pictures that FFmpeg reads.
        fps: frames per second to measure it at; by default its own.
        progress: wraps the iteration over the frames, such as a progress bar.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be read as video, or there is no face in it.
        ImportError, ModelMissingError: MediaPipe or its model is missing.
    """
    path = Path(path)
    own = open_frames(path)
    video = own if fps is None else open_frames(path, fps=fps)
    tracked = track(video, progress=progress)
    samples = None
    if video.sound is not None:
        samples = clip_waveform(tracked).astype(np.float32) / np.float32(32768)
    scale = np.float32(tracked.crop.side / tracked.size)
    corner = np.array([tracked.crop.left, tracked.crop.top], np.float32)
    assert tracked.fps == video.fps
    assert samples is None or abs(len(samples) / SAMPLE_RATE - len(tracked) / tracked.fps) < 0.1
    return Observation(
        name=path.name,
        video=video,
        own_fps=own.fps,
        start=tracked.start,
        points=tracked.landmarks * scale + corner,
        irises=tracked.irises * scale + corner,
        attributes=tracked.attributes,
        valid=tracked.valid,
        samples=samples,
    )
