"""The sound of a file, on the clock of its pictures: silence where there is none, or none whole."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
from jaxtyping import Float

from facial_jax.media.channels import mix_matrix, usual_channels
from facial_jax.media.clock import LONGEST_HOLE_S, read_packets
from facial_jax.media.container import READ_ERRORS, open_media, picture_stream, sound_stream
from facial_jax.media.damage import Damage
from facial_jax.media.pictures import first_picture_time

BLOCK_SAMPLES = 1 << 15
# Time stamps are rounded, and clocks of sound cards drift: a shorter gap is no hole.
_TOLERANCE_S = 0.02
# Formats that say how long they are, where others only guess.
# Formats whose sound has no holes of its own: what is missing there has been lost.
_WITHOUT_HOLES = ("flac", "wav", "mp3", "w64", "aiff")
_SURE_OF_LENGTH = ("flac", "wav", "mov,mp4,m4a,3gp,3g2,mj2", "ogg", "avi", "w64", "aiff", "caf")
_CUT_OFF_S, _CUT_OFF_SHARE = 0.25, 0.02


class FileSound:
    """The sound of a file, which can be read from its start as often as needed.

    It starts with the file's first picture; if there are no pictures, with its first sound.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no file with sound, or nothing of its sound can be decoded.
    """

    path: Path
    # the file
    rate: int
    # samples per second
    channels: tuple[str, ...]
    # FFmpeg's names of the channels, such as "FL"
    sample_count: int | None
    # samples per channel, once they were read to the end
    remark: str | None
    # what is missing, a sentence; once the sound was read to the end, and if anything is

    def __init__(self, path: Path):
        self.path, self.sample_count, self.remark = path, None, None
        with _open_sound(path) as (container, stream):
            damage = Damage()
            first = next(_decode(container, stream, damage), None)
            if first is None:
                damaged = f"; {damage.text()} cannot be decoded" if damage.lost else ""
                raise ValueError(
                    f"audio: {path} has an audio stream but not one sample in it{damaged}"
                )
            time, frame = first
            self.rate = frame.sample_rate
            self.channels = _channel_names(frame)
            self._ends_at = self._said_end(container, stream)
        start = first_picture_time(path, "audio")
        if start is None:
            start = min([time or 0.0] + [place[0] for place in damage.places])
        self._start_s = float(start)

    def read(self) -> Iterator[Float[np.ndarray, "n channels"]]:
        """Blocks of at most a few seconds, at the file's own rate.

        The first reading ends with a warning if anything is missing.

        Raises:
            ValueError: more than half cannot be decoded, or there is no sound at all.
        """
        damage, count = Damage(), 0
        for block in _gather(self._placed(damage)):
            count += len(block)
            yield block
        if damage.lost > damage.decoded:
            raise ValueError(
                f"audio: {self.path}: {self._text(damage)} of the sound cannot be decoded, more "
                "than half; copy or export the file again"
            )
        if count == 0:
            raise ValueError(f"audio: all sound of {self.path} is before its first picture")
        if self.sample_count is None:
            self.remark = self._missing(damage, count)
            if self.remark:
                warnings.warn(f"audio: {self.path}: {self.remark}", stacklevel=2)
        self.sample_count = count

    def _placed(self, damage: Damage) -> Iterator[np.ndarray]:
        """Blocks of any length where the time stamps say, on from the start."""
        position, uniform = 0, _Uniform(self.rate, len(self.channels))
        with _open_sound(self.path) as (container, stream):
            # What is not finite in lossy sound is damage; in samples as they are it was recorded.
            lossy = not stream.codec_context.name.startswith("pcm_")
            for time, frame in _decode(container, stream, damage):
                block = uniform.convert(frame)
                if lossy and not np.isfinite(block).all():
                    damage.lose(time or 0.0, len(block) / self.rate)
                    block = np.where(np.isfinite(block), block, np.float32(0))
                place = position if time is None else round((time - self._start_s) * self.rate)
                near = position and abs(place - position) <= _TOLERANCE_S * self.rate
                if near or place - position > LONGEST_HOLE_S * self.rate:
                    place = position
                hole_s = (place - position) / self.rate
                if position and hole_s > 0 and container.format.name in _WITHOUT_HOLES:
                    damage.lose_unless_known(time - hole_s, hole_s)
                yield from self._silence(place - position)
                block = block[max(0, position - place) :]
                position = max(position, place) + len(block)
                yield block
            yield uniform.end()
        if damage.lost:
            yield from self._silence(round((damage.end_s - self._start_s) * self.rate) - position)

    def _silence(self, count: int) -> Iterator[np.ndarray]:
        for start in range(0, count, BLOCK_SAMPLES):
            length = min(BLOCK_SAMPLES, count - start)
            yield np.zeros((length, len(self.channels)), np.float32)

    def _text(self, damage: Damage) -> str:
        return damage.text(start_s=self._start_s)

    def _missing(self, damage: Damage, count: int) -> str | None:
        said = []
        if damage.lost:
            said.append(
                f"{self._text(damage)} of the sound cannot be decoded: silence is in their place"
            )
        length_s = count / self.rate
        if self._ends_at is not None:
            promised_s = self._ends_at - self._start_s
            if length_s < promised_s - max(_CUT_OFF_S, _CUT_OFF_SHARE * promised_s):
                said.append(f"the sound is cut off after {length_s:.2f} s of {promised_s:.2f} s")
        return "; ".join(said) or None

    @staticmethod
    def _said_end(container, stream) -> float | None:
        if stream.duration is None or container.format.name not in _SURE_OF_LENGTH:
            return None
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base)


class _Uniform:
    """Frames as arrays (n, channels) of one rate and number of channels, float32."""

    def __init__(self, rate: int, channels: int):
        self._rate, self._channels = rate, channels
        self._kind, self._resampler, self._mix = None, None, None

    def convert(self, frame: av.AudioFrame) -> np.ndarray:
        """A frame; if it is of another rate, what is ready of it."""
        ready, kind = [], (frame.sample_rate, frame.layout.name, frame.format.name)
        if kind != self._kind:
            ready.append(self.end())
            self._begin(frame, kind)
        if self._resampler is None:
            ready.append(self._mixed(_samples(frame)))
        else:
            frame.pts = None
            ready += [self._mixed(_samples(x)) for x in self._resampler.resample(frame)]
        return ready[0] if len(ready) == 1 else np.concatenate(ready)

    def end(self) -> np.ndarray:
        """What was held back."""
        ready = [np.zeros((0, self._channels), np.float32)]
        if self._resampler is not None:
            ready += [self._mixed(_samples(x)) for x in self._resampler.resample(None)]
        self._kind = self._resampler = self._mix = None
        return np.concatenate(ready)

    def _begin(self, frame: av.AudioFrame, kind: tuple) -> None:
        self._kind, names = kind, _channel_names(frame)
        if len(names) != self._channels:
            self._mix = mix_matrix(names, self._channels)
        # PyAV finds too many planes in a frame that has one for each of 8 channels or more.
        if frame.sample_rate != self._rate or (frame.format.is_planar and len(names) > 7):
            self._resampler = av.AudioResampler(format="flt", layout=frame.layout, rate=self._rate)

    def _mixed(self, samples: np.ndarray) -> np.ndarray:
        return samples if self._mix is None else samples @ self._mix


def _channel_names(frame: av.AudioFrame) -> tuple[str, ...]:
    names = tuple(channel.name for channel in frame.layout.channels)
    return usual_channels(len(names)) if frame.layout.name.endswith("channels") else names


def to_float(samples: np.ndarray) -> np.ndarray:
    """Samples as float32; integers are scaled by their range to [-1, 1)."""
    if samples.dtype.kind == "f":
        return samples.astype(np.float32, copy=False)
    half = 2.0 ** (8 * samples.dtype.itemsize - 1)
    offset = half if samples.dtype.kind == "u" else 0.0
    return ((samples.astype(np.float64) - offset) / half).astype(np.float32)


def _samples(frame: av.AudioFrame) -> np.ndarray:
    samples, channels = frame.to_ndarray(), frame.layout.nb_channels
    return to_float(samples.reshape(-1, channels) if frame.format.is_packed else samples.T)


def _gather(blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The same samples in fewer blocks."""
    pending: list[np.ndarray] = []
    held = 0
    for block in blocks:
        pending.append(block)
        held += len(block)
        if held >= BLOCK_SAMPLES:
            yield np.concatenate(pending)
            pending, held = [], 0
    if held:
        yield np.concatenate(pending)


@contextmanager
def _open_sound(path: Path):
    with open_media(path, "audio") as container:
        stream = sound_stream(container)
        if stream is None:
            raise ValueError(f"audio: {path} has no audio stream; give a file with sound")
        yield container, stream


def _decode(
    container: av.container.InputContainer, stream: av.AudioStream, damage: Damage
) -> Iterator[tuple[float | None, av.AudioFrame]]:
    """Frames and their times in seconds on the file's clock, None if they have none.

    Args:
        container: just opened.
        stream: its sound.
        damage: is told of every packet.
    """
    stream.thread_type = "NONE"
    time_s, length_s, tick_s = 0.0, 0.0, float(stream.time_base)
    for packet in read_packets(container, stream, picture_stream(container)):
        if packet.pts is not None:
            time_s = packet.pts * tick_s
        try:
            frames = stream.codec_context.decode(packet)
        except READ_ERRORS:
            damage.lose(time_s, (packet.duration or 0) * tick_s or length_s)
            continue
        damage.decoded += 1
        for frame in frames:
            length_s = frame.samples / frame.sample_rate
            yield (None if frame.pts is None else frame.pts * tick_s), frame
    try:
        frames = stream.codec_context.decode(None)
    except READ_ERRORS:
        return
    for frame in frames:
        yield (None if frame.pts is None else frame.pts * tick_s), frame
