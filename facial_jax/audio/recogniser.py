"""The phoneme recogniser of the package `hama` 1.7: sound to log probabilities of its tokens.

    sound ─▶ log mel energies ─▶ stem, halving time ─▶ Conformer blocks ─▶ tokens, 50 rows a second

A Conformer (Gulati et al. 2020) with CTC, of whatever size its weights have, computing what the
package's own engine computes. Positions are told by the convolutions alone. One call attends over
all of its sound: a row depends on everything in the call.
"""

import math
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float

from facial_jax.precision import full_precision

SAMPLE_RATE = 16000
STFT_LENGTH = 400
STFT_HOP = 160
ROW_HOP = 2 * STFT_HOP
"""Samples from one row to the next; row i is centred on sample i · ROW_HOP."""
STFT_BINS = STFT_LENGTH // 2 + 1
_PIECE = 80  # divides the length and the hop of the STFT
_LOWEST_ENERGY = 1e-10
_NOT_SEEN = -1e30
_ROOT_TWO = 1.4140625  # as a float16, as the engine has it


@dataclass(frozen=True)
class RecogniserConfig:
    """Sizes of a `Recogniser`; those of hama 1.7 are the defaults."""

    mel_bands: int = 80
    width: int = 144
    # channels of every block
    hidden: int = 576
    # of the feed-forward layers
    kernel: int = 31
    # taps of the convolution along time; odd
    heads: int = 4
    # of the attention; they divide the width
    blocks: int = 4
    tokens: int = 191


def power_spectrum(
    samples: Float[Array, "b n"], kernels: Float[Array | np.ndarray, "400 402"]
) -> Float[Array, "b f 201"]:
    """Power of every frame of 400 samples, one each 160 samples: f = (n − 400) // 160 + 1.

    Args:
        samples: in [−1, 1].
        kernels: see `RecogniserWeights.stft`.
    """
    frames = (samples.shape[1] - STFT_LENGTH) // STFT_HOP + 1
    per_frame, per_hop = STFT_LENGTH // _PIECE, STFT_HOP // _PIECE
    pieces = (frames - 1) * per_hop + per_frame
    cut = samples[:, : pieces * _PIECE].reshape(-1, pieces, _PIECE)
    # Slices instead of a gather of overlapping frames.
    parts = [cut[:, i : i + (frames - 1) * per_hop + 1 : per_hop] for i in range(per_frame)]
    spectrum = jnp.concatenate(parts, axis=-1) @ kernels
    return spectrum[..., :STFT_BINS] ** 2 + spectrum[..., STFT_BINS:] ** 2


def log_mel_energies(
    power: Float[Array, "b f 201"], filters: Float[Array | np.ndarray, "201 bands"]
) -> Float[Array, "b f bands"]:
    """Natural logarithms of the mel energies, rounded to float16 as the engine rounds them.

    If two ways of adding up the same spectrum fall on both sides of a rounding step, the log
    probabilities differ by some thousandths.
    """
    log_mel = jnp.log(jnp.maximum(power @ filters, _LOWEST_ENERGY))
    # Not a conversion to float16 and back, which XLA may leave out.
    return jax.lax.reduce_precision(log_mel, exponent_bits=5, mantissa_bits=10)


class FeedForward(nn.Module):
    """The half-step feed-forward module of a Conformer block."""

    config: RecogniserConfig

    @nn.compact
    def __call__(self, x: Float[Array, "b t width"]) -> Float[Array, "b t width"]:
        """What is added to x."""
        y = nn.LayerNorm(epsilon=1e-5, name="norm")(x)
        y = nn.silu(nn.Dense(self.config.hidden, name="in")(y))
        return 0.5 * nn.Dense(self.config.width, name="out")(y)


class Attention(nn.Module):
    """Self-attention over all valid rows, without positions."""

    config: RecogniserConfig

    @nn.compact
    def __call__(
        self, x: Float[Array, "b t width"], valid: Bool[Array, "b t"]
    ) -> Float[Array, "b t width"]:
        """What is added to x."""
        width, heads = self.config.width, self.config.heads
        y = nn.Dense(3 * width, name="in")(nn.LayerNorm(epsilon=1e-5, name="norm")(x))
        query, key, value = jnp.split(y.reshape(*x.shape[:2], 3 * heads, width // heads), 3, 2)
        score = jnp.einsum("bihd,bjhd->bhij", query, key) / math.sqrt(width // heads)
        score = jnp.where(valid[:, None, None], score, _NOT_SEEN)
        seen = jnp.einsum("bhij,bjhd->bihd", jax.nn.softmax(score), value)
        return nn.Dense(width, name="out")(seen.reshape(x.shape))


class ConvolutionModule(nn.Module):
    """The convolution module of a Conformer block; its batch norm is part of the kernel."""

    config: RecogniserConfig

    @nn.compact
    def __call__(
        self, x: Float[Array, "b t width"], valid: Bool[Array, "b t"]
    ) -> Float[Array, "b t width"]:
        """What is added to x."""
        width, taps = self.config.width, self.config.kernel
        y = nn.Dense(2 * width, name="in")(nn.LayerNorm(epsilon=1e-5, name="norm")(x))
        y = jnp.where(valid[..., None], nn.glu(y), 0.0)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (taps, width))
        bias = self.param("bias", nn.initializers.zeros_init(), (width,))
        padded = jnp.pad(y, ((0, 0), (taps // 2, taps // 2), (0, 0)))
        # One loop over shifted rows: XLA:CPU has no good convolution of each channel by itself.
        rows, kernel = y.shape[1], kernel[:, None, None]
        y = sum(padded[:, i : i + rows] * kernel[i] for i in range(taps)) + bias[None, None]
        return nn.Dense(width, name="out")(nn.silu(y))


class ConformerBlock(nn.Module):
    """Feed-forward, attention, convolution, feed-forward, norm."""

    config: RecogniserConfig

    @nn.compact
    def __call__(
        self, x: Float[Array, "b t width"], valid: Bool[Array, "b t"]
    ) -> Float[Array, "b t width"]:
        """The rows after the block; those that are not valid are seen by no other."""
        x = x + FeedForward(self.config, name="before")(x)
        x = x + Attention(self.config, name="attention")(x, valid)
        x = x + ConvolutionModule(self.config, name="convolution")(x, valid)
        x = x + FeedForward(self.config, name="after")(x)
        return nn.LayerNorm(epsilon=1e-5, name="norm")(x)


class Recogniser(nn.Module):
    """Log probabilities of tokens from log mel energies."""

    config: RecogniserConfig

    @nn.compact
    def __call__(
        self, log_mel: Float[Array | np.ndarray, "b f bands"], valid: Bool[Array, "b f"]
    ) -> Float[Array, "b t k"]:
        """One row of log probabilities for every two of energies: t = (f + 1) // 2.

        `valid`: what is not is as if it were beyond the ends.
        """
        x = nn.Conv(self.config.width, (3,), (2,), padding=((1, 1),), name="stem")(
            jnp.where(valid[..., None], log_mel, 0.0)
        )
        x = 0.5 * x * (1.0 + jax.lax.erf(x / _ROOT_TWO))
        for index in range(self.config.blocks):
            x = ConformerBlock(self.config, name=f"block_{index}")(x, valid[:, ::2])
        return jax.nn.log_softmax(nn.Dense(self.config.tokens, name="tokens")(x))


@struct.dataclass
class RecogniserWeights:
    """All numbers of a recogniser."""

    stft: Float[Array | np.ndarray, "400 402"]
    # columns of windowed cosines, then of windowed sines
    mel_filters: Float[Array | np.ndarray, "201 bands"]
    # over bins of 40 Hz
    params: dict[str, Any]
    # of the `Recogniser`


@full_precision
def recognise(
    weights: RecogniserWeights,
    config: RecogniserConfig,
    samples: Float[Array | np.ndarray, "b n"],
    valid: Bool[Array | np.ndarray, "b f"],
) -> tuple[Float[Array, "b t k"], Float[Array, "b f 201"]]:
    """Log probabilities of the tokens, and the power spectrum that they were heard in.

    One spectrum for every 160 samples, f = (n − 400) // 160 + 1, and one row for every two, t =
    (f + 1) // 2. With 200 samples before the first one of interest, row i and spectrum 2i are
    centred on sample i · ROW_HOP of these.

    Args:
        weights: of the network that `config` describes.
        config: its sizes.
        samples: mono sound at 16 kHz, in [−1, 1]; n ≥ 400.
        valid: which spectra count; the others are as if the sound ended before them.
    """
    power = power_spectrum(jnp.asarray(samples), weights.stft)
    log_mel = log_mel_energies(power, weights.mel_filters)
    network = Recogniser(config)
    return network.apply({"params": weights.params}, log_mel, jnp.asarray(valid)), power
