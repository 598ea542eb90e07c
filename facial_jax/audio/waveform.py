"""Sound from files, videos and arrays as a stream of float32 blocks at any rate.

Nothing here holds more than a block of sound at a time, so a recording may last for hours.
"""

import os
import warnings
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from jaxtyping import Float

from facial_jax.media.channels import mono_weights, usual_channels
from facial_jax.media.sound import BLOCK_SAMPLES, FileSound, to_float

MIN_RATE, MAX_RATE = 1000, 768_000
# Sound made louder than full scale is still sound; far beyond are samples in another unit.
MAX_SAMPLE = 16.0
_LOUD_SAMPLE = 2.0


class AudioSource:
    """A recording that can be read from its start as often as needed.

    The sound of a video starts with its first picture. Where it is missing or
    cannot be decoded there is silence, and one warning says where.

    Args:
        audio: a path to anything with sound that FFmpeg reads (wav, mp3, flac, ogg, m4a, a video),
            or a pair (samples, rate): samples are (n,), (n, channels) or (channels, n), floats in
            [-1, 1] or integers, which are scaled by their range; the rate is in Hz.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is a folder, cannot be decoded or has no sound; the array has no
            samples, NaN or infinite samples, samples in another unit, or an impossible shape, type
            or rate.
    """

    def __init__(self, audio: str | os.PathLike | tuple):
        self._file: FileSound | None = None
        self._samples = np.zeros((0, 1), np.float32)
        if isinstance(audio, tuple):
            self._samples, self.sample_rate = _check_array(audio)
            names = usual_channels(self._samples.shape[1])
        else:
            self._file = FileSound(Path(audio))
            self.sample_rate, names = self._file.rate, self._file.channels
        self.channels = len(names)
        self._mono_weights = mono_weights(names)

    @property
    def path(self) -> Path | None:
        """The file, if it is one."""
        return None if self._file is None else self._file.path

    @property
    def sample_count(self) -> int:
        """Samples per channel at the source's own rate; the first use reads a file once.

        Raises:
            ValueError: the sound is not finite, or more than half of it cannot be decoded.
        """
        if self._file is None:
            return len(self._samples)
        if self._file.sample_count is None:
            for _ in self._native_blocks():
                pass
        return self._file.sample_count

    @property
    def duration(self) -> Fraction:
        """Exact length in seconds; the first use reads a file once, unless it was read before."""
        return Fraction(self.sample_count, self.sample_rate)

    def check(self) -> None:
        """Reads a file once, unless it was read before.

        Raises:
            ValueError: the sound is not finite, or more than half of it cannot be decoded.
        """
        assert self.sample_count

    @property
    def remark(self) -> str | None:
        """What is missing in the sound, a sentence; once it was read, and if anything is."""
        return None if self._file is None else self._file.remark

    def blocks(
        self, rate: int | None = 16000, *, mono: bool = True
    ) -> Iterator[Float[np.ndarray, "n channels"]]:
        """The sound from its start, in blocks of at most a few seconds.

        Args:
            rate: in Hz; `None` is the source's own.
            mono: mix the channels down as players do: the mean of stereo.

        Yields:
            (n, channels) float32 samples, nominally in [-1, 1]; channels is 1 if `mono`.

        Raises:
            ValueError: more than half of the sound cannot be decoded, or it is empty or not finite.
        """
        blocks = self._native_blocks()
        if mono:
            blocks = (block @ self._mono_weights[:, None] for block in blocks)
        if rate is None or rate == self.sample_rate:
            return blocks
        return _resample(blocks, self.sample_rate, rate)

    def _native_blocks(self) -> Iterator[np.ndarray]:
        if self._file is None:
            for start in range(0, len(self._samples), BLOCK_SAMPLES):
                yield self._samples[start : start + BLOCK_SAMPLES]
            return
        count = 0
        for block in self._file.read():
            finite = np.isfinite(block).all(axis=1)
            if not finite.all():
                second = (count + int(np.argmin(finite))) / self.sample_rate
                raise ValueError(
                    f"audio: {self._file.path} has NaN or infinite samples at {second:.3f} s; "
                    "export it again, for example as 16-bit wav"
                )
            _check_level(block, f"{self._file.path} has float samples")
            count += len(block)
            yield block


def _check_array(audio: tuple) -> tuple[np.ndarray, int]:
    if len(audio) != 2:
        raise ValueError(f"audio: expected a pair (samples, rate), got {len(audio)} things")
    samples, rate = np.asarray(audio[0]), _check_rate(audio[1])
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
    if samples.dtype.kind == "f":
        if not np.isfinite(samples).all():
            raise ValueError("audio: the array has NaN or infinite samples; clean it first")
        _check_level(samples, "the array has float samples")
    else:
        _check_integers(samples)
    return to_float(samples), rate


def _check_rate(rate) -> int:
    number = np.asarray(rate)
    if number.ndim or number.dtype.kind not in "iuf" or not np.isfinite(number):
        raise ValueError(f"audio: expected a sample rate in Hz, got {rate!r}")
    if not MIN_RATE <= number <= MAX_RATE:
        raise ValueError(
            f"audio: expected a sample rate from {MIN_RATE} to {MAX_RATE} Hz, got {rate!r}"
        )
    if number != np.floor(number):
        raise ValueError(f"audio: expected a whole number of Hz as sample rate, got {rate!r}")
    return int(number)


def _check_level(samples: np.ndarray, whose: str) -> None:
    """Float samples: those far beyond [-1, 1] are in another unit."""
    peak = float(np.abs(samples).max(initial=0))
    if peak > MAX_SAMPLE:
        raise ValueError(
            f"audio: {whose} up to {peak:.5g}; expected them in [-1, 1]. Divide 16-bit samples by "
            "32768, or give them as int16"
        )
    if peak > _LOUD_SAMPLE:
        warnings.warn(
            f"audio: {whose} up to {peak:.3g}, where [-1, 1] is expected: it will be overdriven",
            stacklevel=2,
        )


def _check_integers(samples: np.ndarray) -> None:
    """Integers of 32 bits and more: they are scaled by their range, which they should use."""
    bits = 8 * samples.dtype.itemsize
    peak = max(abs(int(samples.max())), abs(int(samples.min())))
    used = peak.bit_length() + (samples.dtype.kind == "i")
    if bits <= 16 or peak == 0:
        return
    fitting = next(b for b in (8, 16, 24, 32, 64, 128) if used <= b)
    if fitting <= 16 or (bits == 64 and fitting <= 32):
        raise ValueError(
            f"audio: the array is {samples.dtype}, but its values, up to {peak}, fit {fitting} "
            f"bits: it would be silence. Give 16-bit samples as int16, 32-bit ones as int32"
        )
    if bits == 32 and fitting == 24:
        warnings.warn(
            f"audio: the array is {samples.dtype}, but its values, up to {peak}, fit 24 bits: "
            "24-bit samples must be multiplied by 256",
            stacklevel=2,
        )


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
            resampler = av.AudioResampler(format="flt", layout=layout, rate=rate_out)
        received += len(block) if is_sound else 0
        expected = -(-received * rate_out // rate_in)
        frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate = rate_in
        for resampled in resampler.resample(frame):
            samples = resampled.to_ndarray().reshape(-1, channels)[: expected - given]
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
