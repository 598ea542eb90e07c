"""Reading video, and writing it with its speech, through PyAV; the file's ending is its format.

    .mp4 .mov .mkv   H.264 and AAC
    .webm            VP9 and Opus
    .gif             256 colours, no sound

Frames are uint8 RGB of shape (h, w, 3). A file appears under its name only when it is whole.
Videos are yuv420p in BT.709 and say so, have one frame every 1/fps s and no rotation; mp4 and mov
have their index in front, so that a browser plays them while they come.
"""

import io
import os
import queue
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Colorspace, VideoReformatter
from jaxtyping import UInt8

from facial_jax.audio.waveform import AudioSource
from facial_jax.backend import on_gpu
from facial_jax.credentials import Signature
from facial_jax.files import whole_or_nothing
from facial_jax.media.colors import bt709_frame, tag_bt709
from facial_jax.media.container import open_media, output_url
from facial_jax.media.gif import write_gif
from facial_jax.version import __version__

GIF = ".gif"
FORMATS = (".mp4", ".mov", ".mkv", ".webm", GIF)
"""Endings of the files that can be written."""
# The rates that the codecs know, in Hz; others are resampled to the next higher one.
AAC_RATES = (16000, 22050, 24000, 32000, 44100, 48000)
OPUS_RATES = (16000, 24000, 48000)
SOUND_BIT_RATE = 128_000
QUEUED_CHUNKS = 2
PROBE_FRAMES = 8
PROBE_ERROR = 4.0  # mean difference of the pixels, of 255
# With this many cores libx264 is not the bottleneck: each encodes 200 frames of 512×512 a second.
SOFTWARE_CORES = 8


@dataclass(frozen=True)
class VideoEncoder:
    """A video encoder of FFmpeg's."""

    name: str
    # what FFmpeg calls it
    options: dict[str, str]
    # its own options


# Constant quality. Threads, as many as the machine and the picture's height allow, work on frames
# that follow each other, not on slices of one: the file is then of the same size on every machine,
# while slices for 16 cores make it a tenth larger. Faster presets double the file.
SOFTWARE = VideoEncoder("libx264", {"crf": "18", "preset": "veryfast", "thread_type": "frame"})
# NVIDIA's encoder at constant quality of the same number, and the profile that libx264 has.
HARDWARE = VideoEncoder(
    "h264_nvenc", {"rc": "vbr", "cq": "18", "preset": "p4", "tune": "hq", "profile": "high"}
)
# WebM takes no H.264. Constant quality, about as good as the others'.
WEBM = VideoEncoder("libvpx-vp9", {"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "5"})
_hardware_works: dict[tuple[int, int], bool] = {}  # by size; found out once per process


def read_frames(path: str | os.PathLike) -> UInt8[np.ndarray, "t h w 3"]:
    """All frames of a video, RGB, in memory."""
    with open_media(Path(path), "video") as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


def check_output(path: str | os.PathLike, *, read: Sequence[object] = ()) -> Path:
    """The path of a video to be written, checked before any work is done.

    Args:
      path: a file with an ending of `FORMATS`; if it is a link, the file that it leads to is
        written.
      read: what the video is made from; paths among it must not be the output.

    Raises:
      ValueError: the name has another ending, is too long, or is a folder's, or the file is one
        that is read to make the video.
      FileNotFoundError: its folder does not exist.
      PermissionError: nothing can be written in its folder.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(
            f"output must be the name of a file that ends in {' '.join(FORMATS)}; got {str(path)!r}"
        )
    try:
        os.stat(path.parent / "." / path.name)
    except FileNotFoundError:
        pass
    except OSError as error:  # such as a name that is too long
        raise ValueError(f"output cannot be {str(path)!r}: {error.strerror}") from None
    if path.is_dir():
        raise ValueError(
            f"output is a folder: {path}; give the name of a file in it, such as talk.mp4"
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"the folder of output does not exist: {path.parent}; make it first or choose another"
        )
    for source in read:
        if isinstance(source, str | os.PathLike) and _is_same_file(path, source):
            raise ValueError(f"output is what is read: {path}; give another name")
    try:
        tempfile.TemporaryFile(dir=path.resolve().parent).close()
    except OSError as error:
        raise PermissionError(
            f"cannot write in the folder of output, {path.parent}: {error}"
        ) from None
    return path


def _is_same_file(path: Path, other: str | os.PathLike) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return False


def write_video(
    path: Path,
    chunks: Iterator[np.ndarray],
    *,
    size: tuple[int, int],
    fps: Fraction,
    audio: AudioSource,
    signature: Signature | None = None,
) -> None:
    """Encodes chunks of frames, each uint8 (n, h, w, 3), with the speech beside them.

    The format is that of the path's ending, one of `FORMATS`. Encoding runs in a thread of its own,
    a few chunks behind the one that makes the frames; H.264 with libx264, or in hardware if
    `choose_encoder` finds that faster: the same format and about the same quality, other bytes. The
    file is tagged as synthetic, and signed if there is a signature. Whatever goes wrong, an
    interrupt included, `path` is either whole or as it was before.

    Raises:
      RuntimeError: the encoder failed.
    """
    with whole_or_nothing(path) as partial:
        with _Writer(partial, size, fps, audio) as writer:
            for chunk in chunks:
                writer.put(chunk)
        if signature is not None:
            signature.sign(partial, title=path.name)


class _Writer:
    """The encoding thread and its bounded queue."""

    def __init__(self, path: Path, size: tuple[int, int], fps: Fraction, audio: AudioSource):
        self._queue = queue.Queue(maxsize=QUEUED_CHUNKS)
        self._error: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(path, size, fps, audio), name="video-writer", daemon=True
        )

    def __enter__(self) -> "_Writer":
        self._thread.start()
        return self

    def put(self, chunk: np.ndarray) -> None:
        while self._thread.is_alive():
            try:
                return self._queue.put(chunk, timeout=0.2)
            except queue.Full:
                continue
        raise self._error  # the thread ends before the last chunk only by an error

    def __exit__(self, kind, error, traceback) -> None:
        if kind is not None:
            self._stop.set()
        while self._thread.is_alive():
            try:
                self._queue.put(None, timeout=0.2)
                break
            except queue.Full:
                continue
        self._thread.join()
        if kind is None and self._error is not None:
            raise self._error

    def _run(self, path, size, fps, audio) -> None:
        try:
            _encode(path, self._chunks(), size, fps, audio)
        except BaseException as error:
            self._error = error

    def _chunks(self) -> Iterator[np.ndarray]:
        while (chunk := self._queue.get()) is not None:
            if self._stop.is_set():
                return
            yield chunk


def choose_encoder(size: tuple[int, int]) -> VideoEncoder:
    """What encodes frames of this (height, width) on this machine.

    NVIDIA's encoder if JAX computes on a GPU, fewer than 8 cores are there for libx264, and a
    few frames of this size come out of it as they went in, which is tried once in a process:
    FFmpeg lists it without any GPU, and several GPUs (A100, H100) have none. Libx264 otherwise.
    """
    if not on_gpu() or (os.cpu_count() or 1) >= SOFTWARE_CORES:
        return SOFTWARE
    if size not in _hardware_works:
        _hardware_works[size] = _works(HARDWARE, size)
    return HARDWARE if _hardware_works[size] else SOFTWARE


def _works(encoder: VideoEncoder, size: tuple[int, int]) -> bool:
    """Whether frames of a moving pattern can be encoded, and look like themselves when decoded."""
    rows, columns = (np.sin(np.arange(length) / 16) for length in size)
    waves = rows[:, None, None] + columns[:, None] * np.array([1.0, 0.0, -1.0])
    picture = np.uint8(128 + 60 * waves)
    frames = [np.roll(picture, 3 * i, axis=1) for i in range(PROBE_FRAMES)]
    file = io.BytesIO()
    try:
        with av.open(file, "w", format="mp4") as container:
            video = _VideoTrack(container, encoder, size, Fraction(25))
            for image in frames:
                video.encode(image)
            video.end()
        file.seek(0)
        with av.open(file) as container:
            colors = {"format": "rgb24", "src_colorspace": Colorspace.ITU709}
            decoded = [x.to_ndarray(**colors) for x in container.decode(video=0)]
    except (RuntimeError, ValueError, av.error.FFmpegError):  # a ValueError: no such encoder
        return False
    if np.shape(decoded) != np.shape(frames):
        return False
    return bool(np.abs(np.subtract(decoded, frames, dtype=np.int16)).mean() <= PROBE_ERROR)


def _encode(path, chunks, size, fps, audio) -> None:
    ending = path.suffix.lower()
    if ending == GIF:
        images = (image for chunk in chunks for image in chunk)
        return write_gif(path, images, size=size, fps=fps, comment=synthetic_tag())
    encoder, codec = (WEBM, "libopus") if ending == ".webm" else (choose_encoder(size), "aac")
    # Data go to the file as they come and the index is moved to the front at the end.
    options = {"movflags": "+faststart"} if ending in (".mp4", ".mov") else {}
    with av.open(output_url(path), "w", options=options) as container:
        container.metadata["comment"] = synthetic_tag()
        video = _VideoTrack(container, encoder, size, fps)
        sound = _SoundTrack(container, codec, audio)
        for chunk in chunks:
            for image in chunk:
                video.encode(image)
            sound.encode_until(video.count / fps)
        video.end()
        sound.encode_until(None)


class _VideoTrack:
    """The pictures."""

    def __init__(
        self,
        container: av.container.OutputContainer,
        encoder: VideoEncoder,
        size: tuple[int, int],
        fps: Fraction,
    ):
        self._container, self._encoder, self._size = container, encoder, size
        self._stream = container.add_stream(encoder.name, rate=fps, options=encoder.options)
        self._stream.height, self._stream.width = size
        self._stream.pix_fmt = "yuv420p"
        tag_bt709(self._stream.codec_context)
        self._stream.codec_context.time_base = self._time_base = 1 / fps
        self._reformatter = VideoReformatter()
        self.count = 0

    def encode(self, image: np.ndarray) -> None:
        """Encodes the next frame, uint8 RGB (h, w, 3)."""
        frame = bt709_frame(image, self._reformatter)
        frame.pts, frame.time_base = self.count, self._time_base
        self._mux(frame)
        self.count += 1

    def end(self) -> None:
        """Encodes what the encoder has held back."""
        self._mux(None)

    def _mux(self, frame: av.VideoFrame | None) -> None:
        try:
            packets = self._stream.encode(frame)
        except av.error.FFmpegError as error:
            if self._encoder is HARDWARE:
                _hardware_works[self._size] = False
            raise RuntimeError(
                f"the encoder {self._encoder.name} failed at frame {self.count} of "
                f"{self._size[1]}×{self._size[0]} pixels: {error}"
            ) from error
        self._container.mux(packets)


class _SoundTrack:
    """The sound, encoded in step with the video so that the muxer holds little back."""

    def __init__(self, container: av.container.OutputContainer, codec: str, audio: AudioSource):
        rates = AAC_RATES if codec == "aac" else OPUS_RATES
        self._rate = next((r for r in rates if r >= audio.sample_rate), rates[-1])
        self._layout = "stereo" if audio.channels == 2 else "mono"
        self._container = container
        self._stream = container.add_stream(codec, rate=self._rate, layout=self._layout)
        self._stream.bit_rate = SOUND_BIT_RATE
        self._blocks = audio.blocks(self._rate, mono=self._layout == "mono")
        self._written = 0
        self._ended = False

    def encode_until(self, time_s: Fraction | None) -> None:
        """Encodes the sound up to a time, or to its end and flushes the encoder."""
        while not self._ended and (time_s is None or self._written < time_s * self._rate):
            block = next(self._blocks, None)
            if block is None:
                self._ended = True
                break
            self._encode_block(block)
        if time_s is None:
            self._container.mux(self._stream.encode(None))

    def _encode_block(self, block: np.ndarray) -> None:
        samples = np.ascontiguousarray(block.T)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=self._layout)
        frame.sample_rate = self._rate
        frame.pts, frame.time_base = self._written, Fraction(1, self._rate)
        self._written += len(block)
        self._container.mux(self._stream.encode(frame))


def synthetic_tag() -> str:
    """The provenance that every video carries."""
    return f"synthetic: this talking face was generated with facial_jax {__version__}"
