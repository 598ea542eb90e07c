"""Sound from files, videos and arrays as a stream of float32 blocks at any rate.

Nothing here holds more than a block of sound at a time, so a recording may last for hours.
"""

import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from jaxtyping import Float

_BLOCK_SAMPLES = 1 << 15


class AudioSource:
    """A recording that can be read from its start as often as needed.

    Args:
        audio: a path to anything with sound that FFmpeg reads (wav, mp3, flac, ogg, m4a, a video),
            or a pair (samples, rate): samples are (n,), (n, channels) or (channels, n), floats in
            [-1, 1] or integers, which are scaled by their range; the rate is in Hz.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is a folder, cannot be decoded or has no sound; the array has no
            samples, NaN or infinite samples, or an impossible shape, type or rate.
    """

    def __init__(self, audio: str | os.PathLike | tuple):
        self._path: Path | None = None
        self._samples = np.zeros((0, 1), np.float32)
        self._sample_count: int | None = None
        if isinstance(audio, tuple):
            self._samples, self.sample_rate = _check_array(audio)
            self.channels = self._samples.shape[1]
            self._sample_count = len(self._samples)
        else:
            self._path = Path(audio)
            self.sample_rate, self.channels = _probe(self._path)

    @property
    def sample_count(self) -> int:
        """Samples per channel at the source's own rate; the first use reads a file once."""
        if self._sample_count is None:
            for _ in self._native_blocks():
                pass
        assert self._sample_count is not None
        return self._sample_count

    @property
    def duration(self) -> Fraction:
        """Exact length in seconds; the first use reads a file once, unless it was read before."""
        return Fraction(self.sample_count, self.sample_rate)

    def blocks(
        self, rate: int | None = 16000, *, mono: bool = True
    ) -> Iterator[Float[np.ndarray, "n channels"]]:
        """The sound from its start, in blocks of at most a few seconds.

        Args:
            rate: in Hz; `None` is the source's own.
            mono: mix the channels down by their mean.

        Yields:
            (n, channels) float32 samples, nominally in [-1, 1]; channels is 1 if `mono`.

        Raises:
            ValueError: the sound cannot be decoded further, is empty or not finite.
        """
        blocks = self._native_blocks()
        if mono:
            blocks = (block.mean(axis=1, keepdims=True, dtype=np.float32) for block in blocks)
        if rate is None or rate == self.sample_rate:
            return blocks
        return _resample(blocks, self.sample_rate, rate)

    def _native_blocks(self) -> Iterator[np.ndarray]:
        if self._path is None:
            for start in range(0, len(self._samples), _BLOCK_SAMPLES):
                yield self._samples[start : start + _BLOCK_SAMPLES]
            return
        count = 0
        for block in _decode(self._path, self.sample_rate, self.channels):
            finite = np.isfinite(block).all(axis=1)
            if not finite.all():
                second = (count + int(np.argmin(finite))) / self.sample_rate
                raise ValueError(
                    f"audio: {self._path} has NaN or infinite samples at {second:.3f} s; "
                    "export it again, for example as 16-bit wav"
                )
            count += len(block)
            yield block
        if count == 0:
            raise ValueError(f"audio: {self._path} has an audio stream but not one sample in it")
        self._sample_count = count


def _check_array(audio: tuple) -> tuple[np.ndarray, int]:
    if len(audio) != 2:
        raise ValueError(f"audio: expected a pair (samples, rate), got {len(audio)} things")
    samples, rate = np.asarray(audio[0]), audio[1]
    if not np.isscalar(rate) or isinstance(rate, str) or not np.isfinite(rate) or rate < 1:
        raise ValueError(f"audio: expected a sample rate of at least 1 Hz, got {rate!r}")
    if int(rate) != rate:
        raise ValueError(f"audio: expected a whole number of Hz as sample rate, got {rate!r}")
    if samples.ndim not in (1, 2):
        raise ValueError(
            f"audio: expected samples of shape (n,), (n, channels) or (channels, n), "
            f"got {samples.shape}"
        )
    if samples.size == 0:
        raise ValueError(f"audio: the array holds no samples (its shape is {samples.shape})")
    if samples.dtype.kind not in "iuf":
        raise ValueError(f"audio: expected integer or float samples, got {samples.dtype}")
    if samples.ndim == 1:
        samples = samples[:, None]
    elif samples.shape[0] < samples.shape[1]:
        samples = samples.T
    samples = _to_float(samples)
    if not np.isfinite(samples).all():
        raise ValueError("audio: the array has NaN or infinite samples; clean it first")
    return samples, int(rate)


def _to_float(samples: np.ndarray) -> np.ndarray:
    if samples.dtype.kind == "f":
        return samples.astype(np.float32, copy=False)
    half = 2.0 ** (8 * samples.dtype.itemsize - 1)
    offset = half if samples.dtype.kind == "u" else 0.0
    return ((samples.astype(np.float64) - offset) / half).astype(np.float32)


def _open(path: Path) -> av.container.InputContainer:
    if not path.exists():
        raise FileNotFoundError(f"audio: there is no file {path}")
    if path.is_dir():
        raise ValueError(f"audio: {path} is a folder; give one file with sound")
    try:
        return av.open(str(path))
    except (av.error.FFmpegError, OSError) as error:
        raise ValueError(
            f"audio: {path} cannot be read as sound or video ({error}); give a wav, mp3, flac, "
            "ogg, m4a or a video with sound"
        ) from error


def _probe(path: Path) -> tuple[int, int]:
    with _open(path) as container:
        if not container.streams.audio:
            raise ValueError(f"audio: {path} has no audio stream; give a file with sound")
        try:
            frame = next(container.decode(audio=0), None)
        except av.error.FFmpegError as error:
            raise ValueError(f"audio: the sound of {path} cannot be decoded ({error})") from error
        if frame is None:
            raise ValueError(f"audio: {path} has an audio stream but not one sample in it")
        return frame.sample_rate, frame.layout.nb_channels


def _decode(path: Path, rate: int, channels: int) -> Iterator[np.ndarray]:
    """Blocks (n, channels) float32 of a file's first audio stream, at its own rate."""
    pending: list[np.ndarray] = []
    held = 0
    with _open(path) as container:
        frames = container.decode(audio=0)
        while True:
            try:
                frame = next(frames, None)
            except av.error.FFmpegError as error:
                raise ValueError(
                    f"audio: the sound of {path} cannot be decoded to its end ({error}); "
                    "the file may be damaged"
                ) from error
            if frame is None:
                break
            if frame.sample_rate != rate or frame.layout.nb_channels != channels:
                raise ValueError(
                    f"audio: {path} changes from {rate} Hz with {channels} channels to "
                    f"{frame.sample_rate} Hz with {frame.layout.nb_channels} midway; convert it"
                )
            block = frame.to_ndarray()
            block = block.reshape(-1, channels) if frame.format.is_packed else block.T
            pending.append(_to_float(block))
            held += len(block)
            if held >= _BLOCK_SAMPLES:
                yield np.concatenate(pending)
                pending, held = [], 0
    if held:
        yield np.concatenate(pending)


def _resample(blocks: Iterable[np.ndarray], rate_in: int, rate_out: int) -> Iterator[np.ndarray]:
    """libswresample over a stream of (n, channels) blocks; whole in its effect, not per block.

    n samples become ceil(n · rate_out / rate_in). Silence follows the last block so that the
    filter gives everything out, even of a single sample.
    """
    resampler, expected, given = None, 0, 0
    received = 0
    for block, is_sound in _with_silence_after(blocks, length=256 + rate_in // 20):
        channels = block.shape[1]
        layout = {1: "mono", 2: "stereo"}.get(channels, f"{channels}c")
        if resampler is None:
            resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate_out)
        received += len(block) if is_sound else 0
        expected = -(-received * rate_out // rate_in)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(block.T), format="fltp", layout=layout
        )
        frame.sample_rate = rate_in
        for resampled in resampler.resample(frame):
            samples = resampled.to_ndarray().T[: expected - given]
            given += len(samples)
            if len(samples):
                yield samples


def _with_silence_after(blocks: Iterable[np.ndarray], *, length: int):
    """The blocks, marked True, and one of silence, marked False, if there was any."""
    channels = None
    for block in blocks:
        channels = block.shape[1]
        yield block, True
    if channels is not None:
        yield np.zeros((length, channels), np.float32), False
