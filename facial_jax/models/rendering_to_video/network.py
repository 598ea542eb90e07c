"""Rendering-to-video networks: rendered faces to frames (FACIAL, Sec. 3.4), after pix2pixHD.

Images are NHWC.  The networks compute in the dtype of their parameters and inputs, float32 or
bfloat16.  The generators see a window of 2·N_w frames of 4 channels (rendered face
and eye attention map) side by side in the channels, and give a frame in (−1, 1).  Every width and
depth is a field; the defaults are the published sizes.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from facial_jax.backend import on_cpu
from facial_jax.models.layers.convolution import FEW_PIXELS, Conv, plain_up_conv, space_to_depth

SMALL_LOCAL_ENHANCER = dict(
    width=16,
    downsamplings=2,
    blocks=6,
    local_blocks=1,
    kernel_size=5,
    packing=2,
    skip_input=True,
    blend_input=True,
)
"""Fields of the bundled generator: on windows of two frames less than 20 ms per 256×256 frame on
two CPU cores.  So narrow, it keeps the rendered eyes and lips sharp only where its last layer sees
them and lets them through."""

_FIRST_SHARE = 2.0
"""Logit of the share of the rendered picture in the frame, before any training."""

_weight_init = nn.initializers.normal(0.02)


@jax.custom_vjp
def instance_norm(x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """Zero mean and unit variance per image and channel, without learned scale (epsilon 1e-5).

    Computed in float32 whatever the dtype, which is kept. The backward pass keeps `x` as it is and
    reads it once more: nothing of the image's size is kept in float32.
    """
    return _instance_norm(x)[0]


def _instance_norm(x):
    centre, scale = _centre_and_scale(x.astype(jnp.float32))
    return _normalize(x, centre, scale).astype(x.dtype), (x, centre, scale)


def _normalize(x, centre, scale):
    return (x.astype(jnp.float32) - centre) * scale


def _centre_and_scale(x):
    if on_cpu():
        mean = _image_mean(x)
        return mean, jax.lax.rsqrt(_image_mean(jnp.square(x - mean)) + 1e-5)
    # One pass for both. About the first pixel: about zero, nothing would be left of a variance that
    # is much smaller than the mean.
    first = x[:, :1, :1]
    mean, square = _image_mean(x - first), _image_mean(jnp.square(x - first))
    variance = jnp.maximum(square - jnp.square(mean), 0.0)
    return first + mean, jax.lax.rsqrt(variance + 1e-5)


def _image_mean(x):
    if on_cpu():
        # Width first and then height: the same numbers, several times faster.
        return x.mean(axis=2, keepdims=True).mean(axis=1, keepdims=True)
    return x.mean(axis=(1, 2), keepdims=True)


def _instance_norm_backward(residuals, dy):
    x, centre, scale = residuals
    y, dy = _normalize(x, centre, scale), dy.astype(jnp.float32)
    dx = scale * (dy - _image_mean(dy) - y * _image_mean(dy * y))
    return (dx.astype(x.dtype),)


instance_norm.defvjp(_instance_norm, _instance_norm_backward)


def reflect_pad(x: Float[Array, "b h w c"], size: int) -> Float[Array, "b H W c"]:
    """Mirrors `size` rows and columns outwards; the edge pixels themselves are not repeated."""
    for n in x.shape[1:3]:
        if n <= size:
            raise ValueError(f"Images must be larger than {size} pixels to be mirrored, got {n}.")
    return _mirror_edges(x, size) if on_cpu() else _mirror_edges_by_slices(x, size)


def _mirror_edges(x, size, mode=None):
    for axis in (1, 2):
        n = x.shape[axis]
        index = np.abs(np.arange(-size, n + size))
        x = jnp.take(x, np.minimum(index, 2 * (n - 1) - index), axis=axis, mode=mode)
    return x


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _mirror_edges_by_slices(x, size):
    """The gradient adds the mirrored edges to what they mirror, by slices.

    That of a gather is a scatter, slow on GPUs and in random order there; on CPUs it is the faster.
    """
    return _mirror_edges(x, size, "clip")


def _mirror_backward(size, _, dy):
    for axis in (2, 1):
        n = dy.shape[axis] - 2 * size

        def mirrored(start, before, after, axis=axis, dy=dy):
            """`size` of them from `start` on, mirrored, among zeros."""
            edge = jax.lax.rev(jax.lax.slice_in_dim(dy, start, start + size, axis=axis), (axis,))
            return jnp.pad(edge, [(before, after) if i == axis else (0, 0) for i in range(4)])

        inner = jax.lax.slice_in_dim(dy, size, size + n, axis=axis)
        rest = n - 1 - size
        dy = inner + mirrored(0, 1, rest) + mirrored(size + n, rest, 1)
    return (dy,)


_mirror_edges_by_slices.defvjp(
    lambda x, size: (_mirror_edges(x, size, "clip"), None), _mirror_backward
)


def depth_to_space(x: Float[Array, "b h w d"], size: int) -> Float[Array, "b H W c"]:
    """The inverse of `space_to_depth`."""
    b, h, w, d = x.shape
    c = d // size**2
    pixels = x.reshape(b, h, w, size, size, c).transpose(0, 1, 3, 2, 4, 5)
    return pixels.reshape(b, h * size, w * size, c)


def downsample(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """3×3 average pooling with stride 2; the padding is not counted in the averages.

    As sums over width and then over height of even and odd pixels, which is several times faster
    on CPUs than a pooling window, most of all its gradient.
    """
    for axis in (2, 1):
        n = x.shape[axis]
        half = (n + 1) // 2
        x = jnp.pad(x, [(0, n % 2 if i == axis else 0) for i in range(4)])
        pairs = x.reshape(*x.shape[:axis], half, 2, *x.shape[axis + 1 :])
        even = jax.lax.index_in_dim(pairs, 0, axis + 1, keepdims=False)
        odd = jax.lax.index_in_dim(pairs, 1, axis + 1, keepdims=False)
        before = jax.lax.slice_in_dim(odd, 0, half - 1, axis=axis)
        before = jnp.pad(before, [(int(i == axis), 0) for i in range(4)])
        middle = np.arange(0, n, 2)
        count = np.minimum(middle + 2, n) - np.maximum(middle - 1, 0)
        count = count.astype(np.float32).reshape([-1 if i == axis else 1 for i in range(4)])
        x = (before + even + odd) / jnp.asarray(count, x.dtype)
    return x


class UpConv(nn.Module):
    """Transposed 3×3 convolution with stride 2: twice the height and width.

    Output pixel 2i takes kernel row 1 of input i; pixel 2i+1 takes row 2 of input i and row 0 of
    input i+1 (nothing beyond the edge).  On CPUs there are two forms of it, 1.5 to 3 times as fast
    as the dilated input that XLA makes of it, and their gradients more than ten times.
    """

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b H W d"]:
        """Twice as high and wide, `features` channels."""
        kernel = self.param("kernel", _weight_init, (3, 3, x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,))
        if not on_cpu():
            y = plain_up_conv(x, kernel, (1, 0))
        elif x.shape[0] * x.shape[1] * x.shape[2] <= FEW_PIXELS:
            y = _up_by_products(x, kernel)
        else:
            y = _up_by_convolution(x, kernel)
        return y + bias[None, None, None]


def _up_by_convolution(
    x: Float[Array, "b h w c"], kernel: Float[Array, "3 3 c d"]
) -> Float[Array, "b H W d"]:
    """A 2×2 convolution that makes the four output pixels of every input pixel, interleaved."""
    nothing = jnp.zeros_like(kernel[0])
    # Axis 0: the input row (this one, the next); axis 1: the output row (even, odd).
    rows = jnp.stack(
        [jnp.stack([kernel[1], kernel[2]]), jnp.stack([nothing, kernel[0]])]
    )  # (2, 2, 3, c, d)
    nothing = jnp.zeros_like(rows[:, :, 0])
    taps = jnp.stack(
        [
            jnp.stack([rows[:, :, 1], rows[:, :, 2]], axis=2),
            jnp.stack([nothing, rows[:, :, 0]], axis=2),
        ],
        axis=1,
    )  # (input row, input column, output row, output column, c, d)
    folded = taps.transpose(0, 1, 4, 2, 3, 5).reshape(2, 2, x.shape[-1], -1)
    y = jax.lax.conv_general_dilated(
        x, folded, (1, 1), ((0, 1), (0, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return depth_to_space(y, 2)


def _up_by_products(
    x: Float[Array, "b h w c"], kernel: Float[Array, "3 3 c d"]
) -> Float[Array, "b H W d"]:
    """One product per kernel tap; sums of neighbours, interleaved."""
    taps = [[x @ kernel[i, j] for j in range(3)] for i in range(3)]

    def next_row(y):
        return jnp.pad(y[:, 1:], ((0, 0), (0, 1), (0, 0), (0, 0)))

    def next_column(y):
        return jnp.pad(y[:, :, 1:], ((0, 0), (0, 0), (0, 1), (0, 0)))

    even_columns = [row[1] for row in taps]
    odd_columns = [row[2] + next_column(row[0]) for row in taps]
    even_row, odd_row = (
        jnp.stack(columns, axis=3)  # (b, h, w, 2, d)
        for columns in (
            (even_columns[1], odd_columns[1]),
            tuple(y[2] + next_row(y[0]) for y in (even_columns, odd_columns)),
        )
    )
    b, h, w, _ = x.shape
    return jnp.stack([even_row, odd_row], axis=2).reshape(b, 2 * h, 2 * w, -1)


class ReflectConv(nn.Module):
    """Mirror padding, then a convolution that keeps the size."""

    features: int
    kernel_size: int
    kernel_init: nn.initializers.Initializer = _weight_init
    bias_init: nn.initializers.Initializer = nn.initializers.zeros_init()

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w d"]:
        """The same height and width, `features` channels."""
        k = self.kernel_size
        inits = dict(kernel_init=self.kernel_init, bias_init=self.bias_init)
        conv = Conv(self.features, (k, k), 1, **inits, name="conv")
        return conv(reflect_pad(x, k // 2))


class DownConv(nn.Module):
    """3×3 convolution with stride 2: half the height and width."""

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 d"]:
        """Half as high and wide, `features` channels."""
        return Conv(self.features, (3, 3), 2, ((1, 1), (1, 1)), _weight_init, name="conv")(x)


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions with instance norm, added to the input."""

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """The same shape as the input."""
        y = nn.relu(instance_norm(ReflectConv(x.shape[-1], 3, name="conv_0")(x)))
        return x + instance_norm(ReflectConv(x.shape[-1], 3, name="conv_1")(y))


def _normalized(layer: nn.Module, x: Float[Array, "b h w c"]) -> Float[Array, "b H W d"]:
    return nn.relu(instance_norm(layer(x)))


def _apply(layer: nn.Module, x: Float[Array, "b h w c"]) -> Float[Array, "b H W d"]:
    return layer(x)


def _stages(remat: bool):
    """How layers are applied: (with norm and ReLU, as they are).

    With `remat` (gradient checkpointing) the backward pass computes again what is within them.
    """
    return (nn.remat(_normalized), nn.remat(_apply)) if remat else (_normalized, _apply)


class GlobalFeatures(nn.Module):
    """The global generator without its output layer: features at the input's resolution."""

    width: int
    downsamplings: int
    blocks: int
    kernel_size: int = 7
    remat: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w d"]:
        """`width` channels, the same height and width (both divisible by 2^downsamplings)."""
        step = 2**self.downsamplings
        if x.shape[1] % step or x.shape[2] % step:
            raise ValueError(
                f"Height and width must be divisible by {step} here, got {x.shape[1]}×{x.shape[2]}."
            )
        normalized, plain = _stages(self.remat)
        x = normalized(ReflectConv(self.width, self.kernel_size, name="stem"), x)
        for i in range(self.downsamplings):
            x = normalized(DownConv(self.width * 2 ** (i + 1), name=f"down_{i}"), x)
        for i in range(self.blocks):
            x = plain(ResidualBlock(name=f"block_{i}"), x)
        for i in reversed(range(self.downsamplings)):
            x = normalized(UpConv(self.width * 2**i, name=f"up_{i}"), x)
        return x


class GlobalGenerator(nn.Module):
    """pix2pixHD's global generator: down, residual blocks, up."""

    width: int = 64
    # channels at full size; doubled at each downsampling
    downsamplings: int = 4
    blocks: int = 9
    out_channels: int = 3
    kernel_size: int = 7
    # of the first and the last convolution
    packing: int = 1
    # the network works on blocks of packing×packing pixels, folded into channels; 1 as published
    skip_input: bool = False
    # the last convolution also sees the input, pixel by pixel; not so as published
    blend_input: bool = False
    # the frame's own rendered face shows through, by a share per pixel; not so as published
    remat: bool = False
    # the backward pass computes activations again in place of keeping them: less memory, more time

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w o"]:
        """The frame, in (−1, 1)."""
        features = GlobalFeatures(
            self.width,
            self.downsamplings,
            self.blocks,
            self.kernel_size,
            self.remat,
            name="features",
        )
        inputs = space_to_depth(x, self.packing)
        return _output(self, features(inputs), inputs, x)


def _output(
    generator: "GlobalGenerator | LocalEnhancer",
    features: Float[Array, "b h w d"],
    inputs: Float[Array, "b h w c"],
    pictures: Float[Array, "b H W k"],
) -> Float[Array, "b H W o"]:
    """The last layer of either generator, called inside it: features to the frame.

    `inputs` are the `pictures`, folded.
    """
    if generator.skip_input:
        features = jnp.concatenate([features, inputs], axis=-1)
    channels, pixels = generator.out_channels + generator.blend_input, generator.packing**2
    blends, zeros = generator.blend_input, nn.initializers.zeros_init()
    bias_init = partial(_first_shares, channels) if blends else zeros
    kernel_init = partial(_alike_for_folded_pixels, channels)
    conv = ReflectConv(
        channels * pixels, generator.kernel_size, kernel_init, bias_init, name="output"
    )
    x = depth_to_space(conv(features), generator.packing)
    if not generator.blend_input:
        return jnp.tanh(x)
    own = pictures.shape[-1] // 2  # of 2·N_w pictures the one of this frame, N_w before it
    share = nn.sigmoid(x[..., -1:])
    rendered = 2 * pictures[..., own : own + generator.out_channels] - 1
    return share * rendered + (1 - share) * jnp.tanh(x[..., :-1])


def _alike_for_folded_pixels(channels, key, shape, dtype=jnp.float32):
    """Kernels that give all pixels of a folded block the same at first (as in ICNR, Aitken et al.
    2017): else the blocks' pattern is in the pictures until it is learnt away."""
    kernel = _weight_init(key, (*shape[:3], channels), dtype)
    return jnp.tile(kernel, shape[3] // channels)


def _first_shares(channels, key, shape, dtype=jnp.float32):
    """Biases with which nearly all of the rendered picture shows through at first.

    Of each pixel's `channels` the last is the share.
    """
    bias = np.zeros((shape[0] // channels, channels), np.float32)
    bias[:, -1] = _FIRST_SHARE
    return jnp.asarray(bias.reshape(shape), dtype)


class LocalEnhancer(nn.Module):
    """pix2pixHD's coarse-to-fine generator, the one the paper uses.

    The global generator runs on the input at half size; its features are added to those of the
    enhancer's own convolutions on the full-size input.
    """

    width: int = 32
    # channels at full size; the global part has twice as many at half size
    downsamplings: int = 4
    # of the global part
    blocks: int = 9
    # of the global part
    local_blocks: int = 3
    out_channels: int = 3
    kernel_size: int = 7
    # of the first and the last convolution
    packing: int = 1
    # the network works on blocks of packing×packing pixels, folded into channels; 1 as published
    skip_input: bool = False
    # the last convolution also sees the input, pixel by pixel; not so as published
    blend_input: bool = False
    # the frame's own rendered face shows through, by a share per pixel; not so as published
    remat: bool = False
    # the backward pass computes activations again in place of keeping them: less memory, more time

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w o"]:
        """The frame, in (−1, 1)."""
        pictures = x
        x = inputs = space_to_depth(x, self.packing)
        coarse = GlobalFeatures(
            2 * self.width,
            self.downsamplings,
            self.blocks,
            self.kernel_size,
            self.remat,
            name="global",
        )(downsample(x))
        normalized, plain = _stages(self.remat)
        x = normalized(ReflectConv(self.width, self.kernel_size, name="stem"), x)
        x = normalized(DownConv(2 * self.width, name="down"), x) + coarse
        for i in range(self.local_blocks):
            x = plain(ResidualBlock(name=f"block_{i}"), x)
        x = normalized(UpConv(self.width, name="up"), x)
        return _output(self, x, inputs, pictures)


class PatchDiscriminator(nn.Module):
    """PatchGAN: a score for every patch, and the activations on the way."""

    width: int = 64
    layers: int = 3
    max_width: int = 512

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> tuple[Float[Array, "b _ _ _"], ...]:
        """Activations of all layers, the scores (one channel, unbounded) last."""
        activations = []
        for i in range(self.layers + 1):
            stride = 2 if i < self.layers else 1
            features = min(self.width * 2**i, self.max_width)
            x = Conv(features, (4, 4), stride, ((2, 2), (2, 2)), _weight_init, name=f"conv_{i}")(x)
            x = nn.leaky_relu(instance_norm(x) if i else x, 0.2)
            activations.append(x)
        conv = Conv(1, (4, 4), 1, ((2, 2), (2, 2)), _weight_init, name="output")
        return (*activations, conv(x))


class MultiscaleDiscriminator(nn.Module):
    """The same PatchGAN at several scales, each with its own weights (3 as published)."""

    width: int = 64
    layers: int = 3
    scales: int = 3

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> tuple[tuple[Float[Array, "..."], ...], ...]:
        """The activations of every scale, the full-size one first.

        `x`: the generator's input and a frame, real or made, side by side in the channels.
        """
        outputs = []
        for i in range(self.scales):
            x = downsample(x) if i else x
            outputs.append(PatchDiscriminator(self.width, self.layers, name=f"scale_{i}")(x))
        return tuple(outputs)
