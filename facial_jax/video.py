"""Writing video with its speech: H.264 and AAC in an mp4, through PyAV.

Frames are uint8 RGB of shape (h, w, 3). A file appears under its name only when it is whole.
"""

import os
import queue
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from facial_jax.audio.waveform import AudioSource
from facial_jax.version import __version__

# The rates AAC knows, in Hz; others are resampled to the next higher one.
AAC_RATES = (16000, 22050, 24000, 32000, 44100, 48000)
AAC_BIT_RATE = 128_000
QUEUED_CHUNKS = 2


def check_output(path: str | os.PathLike) -> Path:
    """The path of a video to be written, checked before any work is done.

    Raises:
      ValueError: the name does not end in .mp4, or is a folder's.
      FileNotFoundError: its folder does not exist.
      PermissionError: nothing can be written in its folder.
    """
    path = Path(path)
    if path.suffix.lower() != ".mp4":
        raise ValueError(f"output must be the name of an .mp4 file; got {str(path)!r}")
    if path.is_dir():
        raise ValueError(f"output is a folder: {path}; give the name of an .mp4 file in it")
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"the folder of output does not exist: {path.parent}; make it first or choose another"
        )
    try:
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise PermissionError(
            f"cannot write in the folder of output, {path.parent}: {error}"
        ) from None
    return path


@contextmanager
def whole_or_nothing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`: moved there at the end, removed if anything went wrong."""
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=".part.mp4", dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        partial.chmod(0o666 & ~_umask())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_video(
    path: Path,
    chunks: Iterator[np.ndarray],
    *,
    size: tuple[int, int],
    fps: Fraction,
    audio: AudioSource,
) -> None:
    """Encodes chunks of frames, each uint8 (n, h, w, 3), with the speech beside them.

    Encoding runs in a thread of its own, a few chunks behind the one that makes the frames. The
    file is tagged as synthetic. Whatever goes wrong, an interrupt included, `path` is either whole
    or as it was before.
    """
    with whole_or_nothing(path) as partial, _Writer(partial, size, fps, audio) as writer:
        for chunk in chunks:
            writer.put(chunk)


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


def _encode(path, chunks, size, fps, audio) -> None:
    height, width = size
    # Data go to the file as they come and the index is moved to the front at the end.
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        container.metadata["comment"] = synthetic_tag()
        video = container.add_stream(
            "libx264", rate=fps, options={"crf": "18", "preset": "veryfast"}
        )
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.codec_context.time_base = 1 / fps
        sound = _SoundTrack(container, audio)
        count = 0
        for chunk in chunks:
            for image in chunk:
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = count, 1 / fps
                container.mux(video.encode(frame))
                count += 1
            sound.encode_until(count / fps)
        container.mux(video.encode(None))
        sound.encode_until(None)


class _SoundTrack:
    """The AAC track, encoded in step with the video so that the muxer holds little back."""

    def __init__(self, container: av.container.OutputContainer, audio: AudioSource):
        self._rate = next((r for r in AAC_RATES if r >= audio.sample_rate), AAC_RATES[-1])
        self._layout = "stereo" if audio.channels == 2 else "mono"
        self._container = container
        self._stream = container.add_stream("aac", rate=self._rate, layout=self._layout)
        self._stream.bit_rate = AAC_BIT_RATE
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


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
