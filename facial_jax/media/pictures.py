"""The pictures of a video, one after the other, with the time that each is shown at."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np

from facial_jax.media.clock import read_packets
from facial_jax.media.container import READ_ERRORS, open_media, picture_stream, sound_stream
from facial_jax.media.damage import Damage
from facial_jax.media.deinterlace import Deinterlacer
from facial_jax.media.orientation import Orientation, orientation_of
from facial_jax.media.picture import Picture
from facial_jax.media.rate import DEFAULT_FPS, frame_rate

# More pictures than any decoder with threads holds back.
_HELD_BACK = 64


@dataclass
class PictureLog:
    """What was seen of a video's pictures when they were read to the end."""

    damage: Damage = field(default_factory=Damage)
    # packets that could not be decoded
    count: int = 0
    # of pictures
    interlaced: int = 0
    # how many of them are made of two half pictures, taken one after the other
    sizes: dict[tuple[int, int], Fraction] = field(default_factory=dict)
    # (width, height) as stored, and when the first picture of that size is shown, in seconds


class VideoPictures:
    """A video's pictures, which can be read from the first as often as needed.

    To make one reads the file's packets, which is fast, and decodes the first picture.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no video, has no pictures, or not one of them can be decoded.
    """

    path: Path
    # the file
    first: Picture
    # the first that can be decoded, shown at 0 s
    fps: Fraction
    # frames per second
    is_constant: bool
    # whether the pictures come at that rate
    packet_count: int
    # how many pictures the file holds, those that cannot be decoded included
    duration_s: float | None
    # how long the file says that they last, if anything
    log: PictureLog | None
    # what was seen, once they were read to the end

    def __init__(self, path: Path):
        self.path, self.log = path, None
        self._has_damage, self._unshown = False, 0
        self._orientations: dict[int, Orientation] = {}
        with _open_pictures(path) as (container, stream):
            self._inspect_packets(container, stream)
        with _open_pictures(path) as (container, stream):
            damage = Damage()
            first = next(_decode(container, stream, damage, self.fps), None)
            if first is None:
                damaged = f"; {damage.text()} are damaged" if damage.lost else ""
                raise ValueError(
                    f"video: {path} has a video stream but not one picture in it that can be "
                    f"decoded{damaged}"
                )
            self._start, frame = first
            self.first = self._picture(stream, Fraction(0), frame)

    def read(self) -> Iterator[Picture]:
        """The pictures in the order in which they are shown; their times, from the first, rise.

        What cannot be decoded is left out; the first reading ends with a warning that says so.

        Raises:
            ValueError: more than half of the pictures cannot be decoded.
        """
        given = 0
        if not self._has_damage:
            log = PictureLog()
            try:
                for picture in self._read(log, threads=True):
                    given += 1
                    yield picture
            except _UncertainError:
                self._has_damage = True
        if self._has_damage:
            log = PictureLog()
            yield from islice(self._read(log, threads=False), given, None)
            # Some packets show nothing by themselves: threads need not be distrusted for them.
            self._has_damage = log.damage.lost > 0
            self._unshown = log.damage.decoded - log.count
        if self.log is None and log.damage.lost:
            lost = log.damage.text(start_s=float(self._start))
            warnings.warn(
                f"video: {self.path}: {lost} of the pictures cannot be decoded; the picture before "
                "is shown in their place",
                stacklevel=2,
            )
        self.log = log

    @property
    def lost_until(self) -> Fraction:
        """When the last picture that cannot be decoded would have ended, in seconds; or 0."""
        if self.log is None or not self.log.damage.lost:
            return Fraction(0)
        return Fraction(self.log.damage.end_s) - self._start

    def damage_text(self) -> str | None:
        """What cannot be decoded, and where; None if all can, or that is not known yet."""
        if self.log is None or not self.log.damage.lost:
            return None
        return self.log.damage.text(start_s=float(self._start))

    def _read(self, log: PictureLog, *, threads: bool) -> Iterator[Picture]:
        deinterlacer, last = Deinterlacer(), None
        with _open_pictures(self.path) as (container, stream):
            unshown = self._unshown if threads else None
            for time, frame in _decode(container, stream, log.damage, self.fps, unshown=unshown):
                log.count += 1
                if log.damage.lost > self.packet_count / 2:
                    break
                if last is not None and time <= last:
                    continue
                last, time = time, time - self._start
                log.interlaced += frame.interlaced_frame
                log.sizes.setdefault((frame.width, frame.height), time)
                yield from deinterlacer.add(self._picture(stream, time, frame))
            yield from deinterlacer.end()
        if log.damage.lost > self.packet_count / 2:
            raise ValueError(
                f"video: {self.path}: {log.damage.text(start_s=float(self._start))} of the "
                "pictures cannot be decoded, more than half; copy or export the file again"
            )

    def _picture(self, stream, time: Fraction, frame: av.VideoFrame) -> Picture:
        # A frame that was asked for its side data is freed late, by the collector of cycles.
        turn = frame.rotation
        if turn not in self._orientations:
            self._orientations[turn] = orientation_of(frame)
        return Picture(
            time=time,
            duration=Fraction(frame.duration or 0) * stream.time_base,
            frame=frame,
            aspect=stream.sample_aspect_ratio
            or stream.codec_context.sample_aspect_ratio
            or Fraction(1),
            orientation=self._orientations[turn],
        )

    def _inspect_packets(self, container, stream) -> None:
        ticks, self.packet_count = [], 0
        for packet in read_packets(container, stream, sound_stream(container)):
            if not packet.is_discard:
                self.packet_count += 1
                if packet.pts is not None:
                    ticks.append(packet.pts)
        claims = [Fraction(r) for r in (stream.average_rate, stream.guessed_rate) if r]
        tick_s = float(stream.time_base)
        times_s = np.sort(np.array(ticks, np.float64)) * tick_s
        self.fps, self.is_constant = frame_rate(times_s, claims, tick_s=tick_s)
        self.duration_s = None
        if stream.duration is not None:
            self.duration_s = float(stream.duration * stream.time_base)
        elif container.duration is not None:
            self.duration_s = container.duration / av.time_base


def first_picture_time(path: Path, argument: str) -> Fraction | None:
    """The time stamp in seconds of the first picture that can be decoded; None if none can."""
    with open_media(path, argument) as container:
        stream = picture_stream(container)
        if stream is None:
            return None
        first = next(_decode(container, stream, Damage(), DEFAULT_FPS), None)
    return None if first is None else first[0]


@contextmanager
def _open_pictures(path: Path):
    with open_media(path, "video") as container:
        stream = picture_stream(container)
        if stream is None:
            raise ValueError(f"video: {path} has no pictures; give a file with a video stream")
        yield container, stream


class _UncertainError(Exception):
    """A decoder with threads may have lost pictures."""


def _decode(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    damage: Damage,
    fps: Fraction,
    *,
    unshown: int | None = None,
) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    """Frames and their times on the file's clock.

    With threads, a decoder reports damage late, not naming the packet, and may drop pictures that
    are whole: `_UncertainError` is raised then.

    Args:
        container: just opened.
        stream: its pictures.
        damage: is told of every packet.
        fps: gives a time to frames without one.
        unshown: decode with threads; so many packets show nothing by themselves.
    """
    threads = unshown is not None
    stream.thread_type = "AUTO" if threads else "NONE"
    count, time = 0, -1 / fps

    def timed(frames):
        nonlocal count, time
        for frame in frames:
            time = time + 1 / fps if frame.pts is None else frame.pts * stream.time_base
            count += 1
            yield time, frame

    for packet in read_packets(container, stream, sound_stream(container)):
        try:
            frames = stream.codec_context.decode(packet)
        except READ_ERRORS as error:
            if threads:
                raise _UncertainError from error
            place = time + 1 / fps if packet.pts is None else packet.pts * packet.time_base
            damage.lose(float(place), float((packet.duration or 0) * packet.time_base or 1 / fps))
            continue
        damage.decoded += not packet.is_discard
        yield from timed(frames)
    try:
        frames = stream.codec_context.decode(None)
    except READ_ERRORS:
        frames = []
    if threads and 0 < damage.decoded - unshown - count - len(frames) <= _HELD_BACK:
        raise _UncertainError
    yield from timed(frames)
