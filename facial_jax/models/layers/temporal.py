"""From speech to motion: an encoder of speech features and a U-Net over time.

Layout: (batch, time, feature).
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from facial_jax.backend import on_cpu
from facial_jax.models.layers.convolution import plain_up_conv
from facial_jax.models.layers.normalization import BatchNorm

TEMPORAL_COLUMNS = 29
"""How many features a row has for the encoder, which leaves two columns of them."""


def batch_norm(train: bool, axis_name: str | None, name: str) -> BatchNorm:
    """Batch norm in training or in use, its statistics shared over the axis if there is one."""
    return BatchNorm(use_running_average=not train, axis_name=axis_name, name=name)


def resize_time(x: Float[Array, "b n c"], length: int) -> Float[Array, "b t c"]:
    """Linear interpolation over time with aligned corners: the first and the last frame stay.

    As a product, whose gradient is one too: that of a gather would be a scatter.
    """
    n = x.shape[1]
    position = np.linspace(0.0, n - 1.0, length)
    share = np.maximum(0.0, 1.0 - np.abs(position[:, None] - np.arange(n)))
    share = jnp.asarray(share, jnp.float32)
    return jnp.einsum("tn,bnc->btc", share, x, precision=jax.lax.Precision.HIGHEST)


class TemporalEncoder(nn.Module):
    """The convolutions that see one speech-feature row per frame as an image (time, feature)."""

    features: Sequence[int] = (32, 128, 256, 256)
    axis_name: str | None = None

    @nn.compact
    def __call__(self, rows: Float[Array, "b t f"], *, train: bool) -> Float[Array, "b n c"]:
        """A sequence about half as long as the input; columns become neighbours in time."""
        kernels = ((4, 4), (4, 4), (4, 4), (3, 1))
        strides = ((2, 2), (2, 2), (1, 1), (1, 1))
        x = rows[..., None]
        for i, (features, kernel, stride) in enumerate(
            zip(self.features, kernels, strides, strict=True)
        ):
            padding = ((kernel[0] // 2,) * 2, (0, 0))
            x = nn.Conv(features, kernel, stride, padding, name=f"conv_{i}")(x)
            x = batch_norm(train, self.axis_name, f"norm_{i}")(x)
            x = nn.leaky_relu(x, 0.01)
        return x.reshape(x.shape[0], -1, x.shape[-1])


class TemporalUpConv(nn.Module):
    """Transposed convolution over time with kernel 4 and stride 2: twice the length.

    The same numbers and parameters as `nn.ConvTranspose(features, (4,), (2,), ((2, 2),))`.
    """

    features: int
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "b t c"]) -> Float[Array, "b T d"]:
        """Twice as long, `features` channels."""
        kernel = self.param(
            "kernel", nn.initializers.lecun_normal(), (4, x.shape[-1], self.features)
        )
        up = up_by_products if on_cpu() else up_by_convolution
        y = up(x, kernel)
        if self.use_bias:
            y = y + self.param("bias", nn.initializers.zeros_init(), (self.features,))[None, None]
        return y


def up_by_products(
    x: Float[Array, "b t c"], kernel: Float[Array, "4 c d"]
) -> Float[Array, "b T d"]:
    """One product for the even and one for the odd frames: on CPUs a gradient 30 times as fast."""
    b, t, c = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (0, 0)))
    before, after = padded[:, :t], padded[:, 2:]
    even = jnp.concatenate([before, x], axis=-1) @ kernel[0::2].reshape(2 * c, -1)
    odd = jnp.concatenate([x, after], axis=-1) @ kernel[1::2].reshape(2 * c, -1)
    return jnp.stack([even, odd], axis=2).reshape(b, 2 * t, -1)


def up_by_convolution(
    x: Float[Array, "b t c"], kernel: Float[Array, "4 c d"]
) -> Float[Array, "b T d"]:
    """The same as what it is, for accelerators."""
    # Reversed twice, it would not be reversed: XLA knows a transposed convolution by its reversed
    # kernel, and would convolve frames with zeros between them if it finds none.
    flipped = jax.lax.optimization_barrier(kernel[::-1])
    return plain_up_conv(x, flipped, (1, 1))


class TemporalUNet(nn.Module):
    """A 1-D U-Net; `features` are the down-path's widths, the outermost first.

    As published, a skip connection carries its level's input after the leaky ReLU.
    """

    features: Sequence[int] = (256, 256, 512, 512, 512)
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b t c"], *, train: bool) -> Float[Array, "b t c"]:
        """The same shape as the input, in (−1, 1)."""
        depth, out_features = len(self.features), x.shape[-1]
        if x.shape[1] % 2**depth:
            raise ValueError(
                f"The U-Net halves time {depth} times: expected a number of frames divisible by "
                f"{2**depth}, got {x.shape[1]}."
            )
        skips = []
        for i, features in enumerate(self.features):
            if i:
                x = nn.leaky_relu(x, 0.2)
                skips.append(x)
            x = nn.Conv(features, (4,), (2,), ((1, 1),), use_bias=False, name=f"down_{i}")(x)
            if 0 < i < depth - 1:
                x = batch_norm(train, self.axis_name, f"down_norm_{i}")(x)
        for i in reversed(range(depth)):
            features = self.features[i - 1] if i else out_features
            x = TemporalUpConv(features, use_bias=i == 0, name=f"up_{i}")(nn.relu(x))
            if i:
                x = batch_norm(train, self.axis_name, f"up_norm_{i}")(x)
                x = jnp.concatenate([skips.pop(), x], axis=-1)
        return jnp.tanh(x)


def with_positions(key: PRNGKeyArray, params: dict) -> dict:
    """Initial parameters with which a network over time can tell where in the window a frame is.

    A head that moves in silence has to: there the speech features say nothing. Only the zeros that
    pad its convolutions can tell it, and beside activations with a mean of zero they cannot be seen
    (training stood still for hundreds of steps). So batch norm's biases begin as normal noise.
    """
    leaves, tree = jax.tree_util.tree_flatten_with_path(params)
    keys = jax.random.split(key, len(leaves))
    noisy = [
        jax.random.normal(k, x.shape, x.dtype) if _is_norm_bias(path) else x
        for k, (path, x) in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(tree, noisy)


def _is_norm_bias(path) -> bool:
    module, name = path[-2].key, path[-1].key
    return "norm" in module and name == "bias"
