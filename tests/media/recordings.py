"""Recordings as people bring them, written packet by packet."""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

RATE = 16000
SIZE = (48, 64)
_NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, RATE * 60).astype(np.float32)
JUNK = bytes(7) + b"\x01\x02" * 20


def sound_at(time_s: float, seconds: float) -> np.ndarray:
    """What sounds from a time of the recording's clock on: noise that tells every sample's time."""
    first = round(time_s * RATE)
    return _NOISE[first : first + round(seconds * RATE)]


def offset_ms(samples: np.ndarray, expected: np.ndarray) -> float:
    """How much later in `samples` what is expected is, by correlation."""
    n = 1 << int(np.ceil(np.log2(len(samples) + len(expected))))
    both = np.fft.irfft(np.fft.rfft(samples, n) * np.conj(np.fft.rfft(expected, n)), n)
    shift = int(both.argmax())
    return (shift if shift < n // 2 else shift - n) * 1000 / RATE


def grey(level: float, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A picture (h, w, 3) of one grey."""
    return np.full((*size, 3), level, np.uint8)


def encoded_pictures(
    images: Sequence[np.ndarray],
    times_s: Sequence[float],
    *,
    codec: str = "mjpeg",
    options: dict[str, str] | None = None,
    tick: Fraction = Fraction(1, 1000),
    change: Callable[[av.VideoCodecContext], None] = lambda context: None,
) -> list[av.Packet]:
    """The packets of pictures of one size, shown at these times."""
    context = av.CodecContext.create(codec, "w")
    context.height, context.width = images[0].shape[:2]
    context.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    context.time_base, context.framerate = tick, Fraction(25)
    context.options = options or {}
    change(context)
    packets = []
    for image, time_s in zip(images, times_s, strict=True):
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=context.format)
        frame.pts, frame.time_base = round(time_s / tick), tick
        packets += context.encode(frame)
    packets += context.encode(None)
    for packet in packets:
        packet.time_base = tick
    return packets


def encoded_sound(
    pieces: Iterable[tuple[float, float]],
    *,
    codec: str = "pcm_s16le",
    layout: str = "mono",
    rate: int = RATE,
    frame_size: int = 1024,
    samples: Callable[[float, float], np.ndarray] = sound_at,
) -> list[av.Packet]:
    """The packets of pieces of sound: from and to, in seconds of the recording's clock."""
    packets = []
    for start_s, end_s in pieces:
        context = av.CodecContext.create(codec, "w")
        context.sample_rate, context.layout = rate, layout
        context.format = context.codec.audio_formats[0].name
        context.time_base = Fraction(1, rate)
        context.open()
        sound = np.atleast_2d(samples(start_s, end_s - start_s).T)
        size = context.frame_size or frame_size
        resampler = av.AudioResampler(format=context.format.name, layout=layout, rate=rate)
        for first in range(0, sound.shape[1], size):
            part = np.ascontiguousarray(sound[:, first : first + size])
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
            frame.sample_rate = rate
            for converted in resampler.resample(frame):
                converted.pts = round(start_s * rate) + first
                converted.time_base = Fraction(1, rate)
                packets += context.encode(converted)
        packets += context.encode(None)
        for packet in packets:
            packet.time_base = packet.time_base or Fraction(1, rate)
    return packets


def spoil(packets: list[av.Packet], *which: int) -> list[av.Packet]:
    """The packets, some of them with junk in place of what they held."""
    for index in which:
        old, new = packets[index], av.Packet(JUNK)
        new.pts, new.dts, new.duration = old.pts, old.dts, old.duration
        new.time_base, new.is_keyframe = old.time_base, old.is_keyframe
        packets[index] = new
    return packets


def write(
    path: Path,
    *,
    pictures: list[av.Packet] | None = None,
    sound: list[av.Packet] | None = None,
    video_codec: str = "mjpeg",
    sound_codec: str = "pcm_s16le",
    layout: str = "mono",
    rate: int = RATE,
    size: tuple[int, int] = SIZE,
    fps: int | None = 25,
    format: str | None = None,
    options: dict[str, str] | None = None,
    prepare: Callable[[av.VideoStream], None] = lambda stream: None,
) -> Path:
    """Muxes packets as they are, in the order of their times."""
    tracks = []
    with av.open(str(path), "w", format=format, options=options or {}) as container:
        if pictures is not None:
            stream = container.add_stream(video_codec, rate=fps)
            stream.height, stream.width = size
            stream.pix_fmt = "yuvj420p" if video_codec == "mjpeg" else "yuv420p"
            prepare(stream)
            tracks.append((stream, pictures))
        if sound is not None:
            stream = container.add_stream(sound_codec, rate=rate, layout=layout)
            tracks.append((stream, sound))
        container.start_encoding()
        rows = [
            ((p.dts if p.dts is not None else p.pts) * p.time_base, track, number)
            for track, (_, packets) in enumerate(tracks)
            for number, p in enumerate(packets)
        ]
        for _, track, number in sorted(rows):
            stream, packets = tracks[track]
            packets[number].stream = stream
            container.mux_one(packets[number])
    return path
