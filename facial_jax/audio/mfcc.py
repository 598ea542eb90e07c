"""Log mel energies and MFCCs at 50 frames per second, as DeepSpeech 0.1.0 takes them.

25 ms frames, 512-point spectra without a window function, 26 mel filters, pre-emphasis 0.97; every
second 10 ms step is kept, so that one frame begins every 20 ms. Sound is scaled like 16-bit
samples, and all logarithms are natural.
"""

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

SAMPLE_RATE = 16000
FRAME_RATE = 50
HOP = SAMPLE_RATE // FRAME_RATE
FRAME_LENGTH = 400
FFT_LENGTH = 512
MEL_BANDS = 26
CONTEXT = 9
INPUT_SIZE = (2 * CONTEXT + 1) * MEL_BANDS
PRE_EMPHASIS = 0.97
LIFTER = 22
INT16_SCALE = 32768.0
EPSILON = float(np.finfo(np.float64).eps)  # what empty bands are set to, before the logarithm
_BLOCK_FRAMES = 512


def mel_filters() -> Float[np.ndarray, "26 257"]:
    """Triangles evenly spaced in mel between 0 Hz and 8 kHz, with corners on whole FFT bins."""
    top = 2595.0 * np.log10(1.0 + SAMPLE_RATE / 2 / 700.0)
    corners_hz = 700.0 * (10.0 ** (np.linspace(0.0, top, MEL_BANDS + 2) / 2595.0) - 1.0)
    corners = np.floor((FFT_LENGTH + 1) * corners_hz / SAMPLE_RATE)
    bins = np.arange(FFT_LENGTH // 2 + 1)
    left, peak, right = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rising = (bins - left) / (peak - left)
    falling = (right - bins) / (right - peak)
    inside_left = (bins >= left) & (bins < peak)
    inside_right = (bins >= peak) & (bins < right)
    return np.where(inside_left, rising, np.where(inside_right, falling, 0.0)).astype(np.float32)


def cepstral_transform() -> Float[np.ndarray, "26 26"]:
    """Orthonormal DCT-II and lifter: log mel energies @ this = cepstral coefficients."""
    n, k = np.arange(MEL_BANDS)[:, None], np.arange(MEL_BANDS)[None, :]
    dct = np.sqrt(2.0 / MEL_BANDS) * np.cos(np.pi * k * (2 * n + 1) / (2 * MEL_BANDS))
    dct[:, 0] /= np.sqrt(2.0)
    lifter = 1.0 + LIFTER / 2 * np.sin(np.pi * np.arange(MEL_BANDS) / LIFTER)
    return (dct * lifter).astype(np.float32)


def _log_mel_frames(samples: Float[Array, "n"]) -> Float[Array, "t 27"]:
    """Frames of 16-bit-scaled sound; the first sample serves only the pre-emphasis."""
    emphasised = samples[1:] - PRE_EMPHASIS * samples[:-1]
    count = (emphasised.shape[0] - FRAME_LENGTH) // HOP + 1
    index = np.arange(count)[:, None] * HOP + np.arange(FRAME_LENGTH)[None, :]
    spectrum = jnp.fft.rfft(emphasised[index], n=FFT_LENGTH)
    power = (jnp.real(spectrum) ** 2 + jnp.imag(spectrum) ** 2) / FFT_LENGTH
    energies = jnp.concatenate(
        [
            jnp.dot(power, mel_filters().T, precision=jax.lax.Precision.HIGHEST),
            jnp.sum(power, axis=-1, keepdims=True),
        ],
        axis=-1,
    )
    # NumPy's epsilon takes the place of exact zeros only, as in the published features.
    return jnp.log(jnp.where(energies > 0.0, energies, EPSILON))


_log_mel_block = jax.jit(_log_mel_frames)


def frame_count(sample_count: int) -> int:
    """Frames at 50 per second that cover the samples; the last one is padded with zeros."""
    steps = max(0, -(-(sample_count - FRAME_LENGTH) // (HOP // 2)))
    return steps // 2 + 1


def log_mel(blocks: Iterable[np.ndarray]) -> Float[np.ndarray, "t 27"]:
    """Log energies of the 26 mel bands, and of the whole frame, of a stream of sound.

    Runs in jitted blocks of one fixed shape with carried overlap: the result does not depend on
    how the sound is cut into blocks, and only the result grows with its length.

    Args:
        blocks: mono float32 sound at 16 kHz, (n,) or (n, 1) at a time.

    Raises:
        ValueError: the stream has no samples.
    """
    needed = (_BLOCK_FRAMES - 1) * HOP + FRAME_LENGTH + 1
    pending = np.zeros(1, np.float32)  # the sample before the first one counts as zero
    total = 0
    frames: list[np.ndarray] = []
    for block in blocks:
        total += len(block)
        scaled = block.reshape(-1).astype(np.float32) * np.float32(INT16_SCALE)
        pending = np.concatenate([pending, scaled])
        while len(pending) >= needed:
            frames.append(np.asarray(_log_mel_block(pending[:needed])))
            pending = pending[_BLOCK_FRAMES * HOP :]
    if total == 0:
        raise ValueError("blocks: expected at least one sample of sound, got none")
    left = frame_count(total) - len(frames) * _BLOCK_FRAMES
    if left > 0:
        padded = np.zeros(needed, np.float32)
        padded[: len(pending)] = pending
        # Past the end comes silence, not the pre-emphasis of a step down to it.
        last = _emphasis_free_padding(padded, len(pending))
        frames.append(np.asarray(_log_mel_block(last))[:left])
    return np.concatenate(frames)[: frame_count(total)]


def _emphasis_free_padding(padded: np.ndarray, length: int) -> np.ndarray:
    """Fill the padding so that its pre-emphasised values are zero: a decay by 0.97 per sample."""
    steps = np.arange(1, len(padded) - length + 1, dtype=np.float64)
    padded[length:] = padded[length - 1] * PRE_EMPHASIS**steps
    return padded


def cepstra(log_mel_energies: Float[np.ndarray, "t 27"]) -> Float[np.ndarray, "t 26"]:
    """MFCCs with the log energy in place of coefficient 0."""
    coefficients = log_mel_energies[:, :MEL_BANDS] @ cepstral_transform()
    coefficients[:, 0] = log_mel_energies[:, MEL_BANDS]
    return coefficients


def deepspeech_statistics(mfcc: Float[np.ndarray, "t 26"]) -> tuple[float, float]:
    """Mean and standard deviation of the 494-wide input before it is normalised.

    Each frame counts as often as it is some frame's context; the empty context before the first
    and after the last frame counts as zeros.
    """
    t = len(mfcc)
    position = np.arange(t)
    uses = np.minimum(position, CONTEXT) + np.minimum(t - 1 - position, CONTEXT) + 1.0
    rows = mfcc.astype(np.float64)
    mean = float(np.sum(uses[:, None] * rows) / (t * INPUT_SIZE))
    square = float(np.sum(uses[:, None] * rows**2) / (t * INPUT_SIZE))
    return mean, float(np.sqrt(max(square - mean**2, 0.0)))


def deepspeech_input(mfcc: Float[np.ndarray, "t 26"]) -> Float[np.ndarray, "t 494"]:
    """Every frame with 9 frames on each side, normalised by one mean and one deviation.

    As DeepSpeech 0.1.0: frames beyond the ends are zeros before the normalisation. A recording
    without any variation (one silent frame) is divided by 1.
    """
    return deepspeech_rows(mfcc, 0, len(mfcc), deepspeech_statistics(mfcc))


def deepspeech_rows(
    mfcc: Float[np.ndarray, "t 26"], start: int, stop: int, statistics: tuple[float, float]
) -> Float[np.ndarray, "n 494"]:
    """Rows `start` to `stop` of `deepspeech_input`, given the whole recording's statistics."""
    mean, std = statistics
    index = np.arange(start, stop)[:, None] + np.arange(-CONTEXT, CONTEXT + 1)
    inside = (index >= 0) & (index < len(mfcc))
    windows = np.where(inside[..., None], mfcc[np.clip(index, 0, len(mfcc) - 1)], 0.0)
    normalised = (windows.reshape(stop - start, INPUT_SIZE) - mean) / (std if std > 0.0 else 1.0)
    return normalised.astype(np.float32)
