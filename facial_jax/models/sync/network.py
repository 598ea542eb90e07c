"""MouthSync's network: speech and a mouth's motion, each to unit vectors, a vector a frame."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

KERNELS = (5, 3, 3)
CONTEXT = sum(size // 2 for size in KERNELS)
"""Frames to either side that a vector depends on."""


class Encoder(nn.Module):
    """Convolutions over time, and a vector of length 1 for each frame but `CONTEXT` at the ends."""

    widths: Sequence[int]
    size: int

    @nn.compact
    def __call__(self, x: Float[Array, "b n c"]) -> Float[Array, "b t d"]:
        """Vectors of n − 2 · CONTEXT frames."""
        for i, (width, kernel) in enumerate(zip(self.widths, KERNELS, strict=True)):
            x = nn.relu(nn.Conv(width, (kernel,), padding="VALID", name=f"conv_{i}")(x))
        x = nn.Dense(self.size, name="vector")(x)
        return x * jax.lax.rsqrt(jnp.sum(x * x, axis=-1, keepdims=True) + 1e-8)


class MouthSyncNetwork(nn.Module):
    """Two encoders, whose vectors are alike if speech and mouth belong together."""

    speech_widths: Sequence[int] = (96, 96, 96)
    mouth_widths: Sequence[int] = (64, 96, 96)
    size: int = 48

    def setup(self):
        """The encoders."""
        self.speech = Encoder(self.speech_widths, self.size)
        self.mouth = Encoder(self.mouth_widths, self.size)
        # How sharply a training tells shifts apart; after it nothing depends on it.
        self.log_scale = self.param("log_scale", nn.initializers.constant(3.0), ())

    def __call__(self, rows: Float[Array, "b n f"], motion: Float[Array, "b m 4"]):
        """Both encoders' vectors, and the scale of the training's scores."""
        return self.speech(rows), self.mouth(motion), jnp.exp(self.log_scale)
