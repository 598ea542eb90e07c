"""Reading video: RGB frames at a constant rate, one at a time, whatever the file is like.

A frame is shown until the next one comes: at a constant rate, frame i is what a player shows at the
middle of its time, (i + ½) / fps. Memory does not grow with the video's length.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from jaxtyping import UInt8

from facial_jax.frame_rate import parse_frame_rate

MAX_FPS = 120
_COMMON_RATES = tuple(
    Fraction(rate) for rate in ("24000/1001", "24", "25", "30000/1001", "30", "48", "50", "60")
)
_RATE_TOLERANCE = Fraction(1, 1000)


@dataclass(frozen=True)
class VideoFrames:
    """A video that can be read from its start as often as needed; see `open_frames`."""

    path: Path
    # the file
    fps: Fraction
    # frames per second of what is read
    size: tuple[int, int]
    # (height, width) in pixels as shown, that is after the rotation the file asks for
    duration_s: float | None
    # what the file says about its length, if anything
    has_sound: bool
    # whether there is a sound track
    constant_rate: bool
    # False if the file's own rates contradict each other, as those of phones and screens do

    def read(
        self, *, max_side: int | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        """Frames from `start` to before `stop`, uint8 RGB.

        Ends early where the file is damaged: compare the count with `duration_s`.

        Args:
            max_side: larger frames are made smaller, so that the longer side has this many pixels.
            start: number of the first frame.
            stop: number of the frame after the last; to the end if not given.
        """
        index, held, end_s = 0, None, Fraction(0)
        converter = _Converter(max_side)
        for time_s, frame in self._decode():
            # Until this frame comes, the last one is what is shown.
            while (index + Fraction(1, 2)) / self.fps < time_s:
                if stop is not None and index >= stop:
                    return
                if index >= start:
                    yield converter(held)
                index += 1
            held, end_s = frame, time_s + (_duration(frame) or 1 / self.fps)
        while (index + Fraction(1, 2)) / self.fps < end_s and (stop is None or index < stop):
            if index >= start:
                yield converter(held)
            index += 1

    def _decode(self) -> Iterator[tuple[Fraction, av.VideoFrame]]:
        """Frames and their times from the first frame's, which rise."""
        first = last = None
        with av.open(str(self.path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            frames = container.decode(stream)
            count = 0
            while True:
                try:
                    frame = next(frames, None)
                except (av.error.FFmpegError, OSError):
                    return  # damaged from here on
                if frame is None:
                    return
                if frame.pts is None or frame.time_base is None:
                    time = Fraction(count) / self.fps
                else:
                    time = frame.pts * frame.time_base
                first = time if first is None else first
                if last is not None and time <= last:
                    continue
                last = time
                count += 1
                yield time - first, frame


def _duration(frame: av.VideoFrame) -> Fraction:
    """How long the file says that a frame is shown, in seconds; 0 if it does not."""
    return Fraction(frame.duration or 0) * (frame.time_base or 0)


class _Converter:
    """From decoded frames to RGB arrays, upright and not larger than asked; the last one kept."""

    def __init__(self, max_side: int | None):
        self._max_side = max_side
        self._frame, self._image = None, None

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        if frame is not self._frame:
            self._frame, self._image = frame, self._convert(frame)
        return self._image

    def _convert(self, frame: av.VideoFrame) -> np.ndarray:
        width, height = frame.width, frame.height
        if self._max_side is not None and max(width, height) > self._max_side:
            scale = self._max_side / max(width, height)
            width, height = (max(2, round(n * scale / 2) * 2) for n in (width, height))
        image = frame.to_ndarray(
            format="rgb24", width=width, height=height, interpolation="BILINEAR"
        )
        return np.ascontiguousarray(np.rot90(image, round(frame.rotation / 90)))


def open_frames(
    path: str | os.PathLike, *, fps: Fraction | str | int | float | None = None
) -> VideoFrames:
    """Looks at a video and says how it will be read: a `VideoFrames`.

    Args:
        path: anything with pictures that FFmpeg reads.
        fps: frames per second to read it at; by default its own, at most 120.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is a folder, is no video, has no pictures, or not one can be decoded.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"video: there is no file {path}")
    if path.is_dir():
        raise ValueError(f"video: {path} is a folder; give one video")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ValueError(f"video: {path} has no pictures; give a file with a video stream")
            stream = container.streams.video[0]
            duration = container.duration
            own = [r for r in (stream.average_rate, stream.guessed_rate) if r]
            frame = next(container.decode(stream), None)
            has_sound = bool(container.streams.audio)
    except (av.error.FFmpegError, OSError) as error:
        raise ValueError(
            f"video: {path} cannot be read as video ({error}); it may be damaged or cut off, or "
            "no video at all"
        ) from error
    if frame is None:
        raise ValueError(f"video: {path} has a video stream but not one frame in it")
    height, width = frame.height, frame.width
    if round(frame.rotation / 90) % 2:
        height, width = width, height
    return VideoFrames(
        path=path,
        fps=parse_frame_rate(fps) if fps is not None else _usual_rate(own),
        size=(height, width),
        duration_s=None if duration is None else duration / av.time_base,
        has_sound=has_sound,
        constant_rate=len(own) == 2 and abs(own[0] - own[1]) <= own[1] * _RATE_TOLERANCE * 10,
    )


def _usual_rate(own: list[Fraction]) -> Fraction:
    """The file's own rate, as one that is in use where it is almost that; 25 where it has none."""
    if not own:
        return Fraction(25)
    rate = min(Fraction(own[0]), Fraction(MAX_FPS))
    nearest = min(_COMMON_RATES, key=lambda r: abs(r - rate))
    if abs(nearest - rate) <= rate * _RATE_TOLERANCE / 2:
        return nearest
    return parse_frame_rate(rate)
