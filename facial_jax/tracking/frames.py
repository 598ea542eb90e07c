"""Reading video: RGB frames at a constant rate, one at a time, whatever the file is like.

A frame is shown until the next one comes: at a constant rate, frame i is what a player shows at the
middle of its time, (i + ½) / fps. Memory does not grow with the video's length.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from facial_jax.audio.waveform import AudioSource
from facial_jax.frame_rate import FrameRate, parse_frame_rate
from facial_jax.media.clock import LONGEST_HOLE_S
from facial_jax.media.container import has_sound
from facial_jax.media.display import Display, fitted_size, shown_size
from facial_jax.media.orientation import Orientation
from facial_jax.media.pictures import VideoPictures

_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}  # FFmpeg's numbers
_INTERLACED_SHARE = 0.01


@dataclass(frozen=True)
class VideoFrames:
    """A video that can be read from its start as often as needed; see `open_frames`."""

    path: Path
    # the file
    pictures: VideoPictures
    # its pictures as they come
    fps: Fraction
    # frames per second of what is read
    size: tuple[int, int]
    # (height, width) in square pixels as shown, that is after the turn that the file asks for
    sound: AudioSource | None
    # its sound from the first picture on, if it has any

    @property
    def duration_s(self) -> float | None:
        """What the file says about its length, if anything."""
        return self.pictures.duration_s

    @property
    def has_sound(self) -> bool:
        """Whether there is a sound track."""
        return self.sound is not None

    @property
    def constant_rate(self) -> bool:
        """Whether its pictures come at a constant rate; those of phones and screens do not."""
        return self.pictures.is_constant

    def read(
        self, *, max_side: int | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        """Frames from `start` to before `stop`, uint8 RGB, all of one size.

        In place of a picture that cannot be decoded the one before is shown. Ends early if the
        file is cut off: compare the count with `duration_s`.

        Args:
            max_side: larger frames are made smaller, so that the longer side has this many pixels.
            start: number of the first frame.
            stop: number of the frame after the last; to the end if not given.

        Raises:
            ValueError: more than half of the pictures cannot be decoded.
        """
        index, held, end_s = 0, None, Fraction(0)
        shown, period = Display(fitted_size(self.size, max_side)), 1 / self.pictures.fps
        for picture in self.pictures.read():
            # Until this picture comes, the last one is what is shown.
            while (index + Fraction(1, 2)) / self.fps < picture.time:
                if stop is not None and index >= stop:
                    return
                if index >= start:
                    yield shown(held)
                index += 1
            # What files say of a picture's duration may be the resolution of their time stamps.
            told = min(picture.duration, LONGEST_HOLE_S)
            told = told if 2 * told >= period else period
            held, end_s = picture, picture.time + told
        end_s = max(end_s, self.pictures.lost_until)
        while (index + Fraction(1, 2)) / self.fps < end_s and (stop is None or index < stop):
            if index >= start:
                yield shown(held)
            index += 1

    def remarks(self) -> list[tuple[str, str, str | None]]:
        """What is special about the pictures; all of it once they were read to the end.

        Returns:
            What it is, how it was read, and a sentence on what to do about it if that is worse
            than it might be.
        """
        first, log, said = self.pictures.first, self.pictures.log, []
        if first.orientation != Orientation():
            said.append(("orientation", "turned or mirrored as the file asks", None))
        if first.aspect != 1:
            value = f"{first.aspect} as wide as high; made square, as players show them"
            said.append(("pixels", value, None))
        if first.frame.color_trc in _HDR_TRANSFERS:
            said.append(
                (
                    "colours",
                    f"HDR ({_HDR_TRANSFERS[first.frame.color_trc]}), taken as they are",
                    "The video is HDR and its colours look flat: film or export it without HDR.",
                )
            )
        if log is None:
            return said
        if log.interlaced > _INTERLACED_SHARE * log.count:
            said.append(
                (
                    "scan",
                    "interlaced; half pictures made whole (bwdif)",
                    "The video is interlaced: half of each picture was made up. Film or export "
                    "it progressive.",
                )
            )
        if len(log.sizes) > 1:
            changes = ", ".join(
                f"{width} × {height} from {float(time):.2f} s"
                for (width, height), time in list(log.sizes.items())[:4]
            )
            said.append(
                (
                    "size",
                    f"{changes}; all brought to the first",
                    "The size of the pictures changes: the smaller ones are less sharp.",
                )
            )
        lost = self.pictures.damage_text()
        if lost:
            said.append(
                (
                    "damage",
                    f"{lost} of the pictures cannot be decoded",
                    "Some pictures are missing, the one before is in their place: copy or export "
                    "the file again.",
                )
            )
        return said


def open_frames(path: str | os.PathLike, *, fps: FrameRate | None = None) -> VideoFrames:
    """Looks at a video and says how it will be read: a `VideoFrames`.

    Args:
        path: anything with pictures that FFmpeg reads.
        fps: frames per second to read it at; by default its own, at most 120.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is a folder, is no video, has no pictures, or not one can be decoded.
    """
    path = Path(path)
    pictures = VideoPictures(path)
    return VideoFrames(
        path=path,
        pictures=pictures,
        fps=pictures.fps if fps is None else parse_frame_rate(fps),
        size=shown_size(pictures.first),
        sound=AudioSource(path) if has_sound(path) else None,
    )
