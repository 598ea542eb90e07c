"""The bundled acoustic network: log mel energies to speech features, with a bounded view.

Temporal convolutions at 25 steps per second, each giving two rows of features, so that 50 rows
come out per second. A row holds the logits of the characters, which know words and lean on the
voices that the training heard, and a projection of the first block's channels, which know only how
a fifth of a second sounds and take strange voices better. Every convolution is `VALID`: an output
row depends on its own stretch of input and on nothing else, so that a recording cut into
overlapping chunks gives what the whole gives.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from facial_jax.audio.mfcc import MEL_BANDS

CHARACTERS = " abcdefghijklmnopqrstuvwxyz'"
"""The alphabet in the order of the logits; the blank comes after it."""
BLANK = len(CHARACTERS)
SILENCE = -5.0
"""Normalised energy that pads a recording at both ends."""

_FLOOR_BELOW_LEVEL = 10.0
_ACTIVE_BELOW_LEVEL = 2.5
_LOWEST_LEVEL = 3.0
_PRIOR_FRAMES = 25.0
_PRIOR_MEAN = -1.0
_SCALE = 2.0


@dataclass(frozen=True)
class AcousticConfig:
    """Sizes of an `AcousticNetwork`."""

    width: int = 256
    """Channels of every layer."""
    dilations: tuple[int, ...] = (1, 1, 2, 3, 4, 6)
    """One residual block each, in steps of 40 ms."""
    outputs: int = BLANK + 1
    """Logits per row: the characters and the blank."""
    spectral: int = 0
    """Further features per row, from the first block."""

    @property
    def features(self) -> int:
        """Columns of a row."""
        return self.outputs + self.spectral

    @property
    def context(self) -> int:
        """Rows of input needed before and after the rows that come out; even."""
        return 2 + 2 * sum(self.dilations)


def normalise_log_mel(log_mel: Float[np.ndarray, "t bands"]) -> Float[np.ndarray, "t 26"]:
    """Log mel energies made free of the recording's level and colour.

    The speech's level is the mean energy of the frames that stand out; energies are floored 10
    nepers below it, so that digital silence and a quiet room look alike, and each band's mean over
    those frames is taken away (drawn towards a prior where there are few of them). The level is
    never taken to be below that of the faintest 16-bit speech: silence stays silence.

    Args:
        log_mel: natural logarithms of the 26 mel energies of sound scaled like 16-bit samples;
            further columns are not used.
    """
    bands = log_mel[:, :MEL_BANDS].astype(np.float32)
    power = np.exp(bands).mean(axis=1, dtype=np.float64)
    loudness = np.log(np.maximum(power, 1e-30))
    rough = max(float(np.log(max(power.mean(), 1e-30))), _LOWEST_LEVEL)
    active = loudness > rough - _ACTIVE_BELOW_LEVEL
    count = float(active.sum())
    level = float(loudness[active].mean()) if count else rough
    floored = np.logaddexp(bands, np.float32(level - _FLOOR_BELOW_LEVEL))
    total = floored[active].sum(axis=0, dtype=np.float64) + _PRIOR_FRAMES * (level + _PRIOR_MEAN)
    return (floored - (total / (count + _PRIOR_FRAMES)).astype(np.float32)) / np.float32(_SCALE)


class AcousticNetwork(nn.Module):
    """Residual dilated convolutions over normalised log mel energies; at least one of them."""

    config: AcousticConfig
    dot_general: Callable | None = None
    # the layers' product instead of `jax.lax.dot_general`

    def __call__(
        self, rows: Float[Array | np.ndarray, "b t_in 26"]
    ) -> Float[Array, "b t_out features"]:
        """Features of the middle rows: t_out = t_in − 2·context; t_in even."""
        return self.features_and_hidden(rows)[0]

    @nn.compact
    def features_and_hidden(
        self, rows: Float[Array | np.ndarray, "b t_in 26"]
    ) -> tuple[
        Float[Array, "b t_out features"],
        Float[Array, "b half_t_out width"],
        Float[Array, "b half_t_out width"],
    ]:
        """The features, the first block's channels and the last hidden layer."""
        width = self.config.width
        dense = functools.partial(nn.Dense, dot_general=self.dot_general)
        b, t, _ = rows.shape
        # Stem: 6 rows of 20 ms around each pair of rows, one step per pair.
        pairs = rows.reshape(b, t // 2, 2 * MEL_BANDS)
        stem = jnp.concatenate([pairs[:, :-2], pairs[:, 1:-1], pairs[:, 2:]], axis=-1)
        x = dense(width, name="stem")(stem)
        first = x
        for index, dilation in enumerate(self.config.dilations):
            y = nn.LayerNorm(name=f"norm_{index}")(x)
            taps = [y[:, : -2 * dilation], y[:, dilation:-dilation], y[:, 2 * dilation :]]
            y = nn.relu(dense(width, name=f"conv_{index}")(jnp.concatenate(taps, axis=-1)))
            x = x[:, dilation:-dilation] + dense(width, name=f"mix_{index}")(y)
            first = x if index == 0 else first
        hidden = nn.relu(nn.LayerNorm(name="norm_out")(x))
        margin = (first.shape[1] - hidden.shape[1]) // 2
        first = first[:, margin : margin + hidden.shape[1]]
        logits = dense(2 * self.config.outputs, name="logits")(hidden)
        features = logits.reshape(b, -1, self.config.outputs)
        if self.config.spectral:
            spectral = dense(self.config.spectral, name="spectral")(first)
            features = jnp.concatenate([features, jnp.repeat(spectral, 2, axis=1)], axis=-1)
        return features, first, hidden
