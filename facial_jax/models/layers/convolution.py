"""Convolutions: with gradients that are fast on CPUs, and plain ones for accelerators.

Both forms have the same parameters and numbers.  Accelerators have libraries of kernels for plain
convolutions and their gradients; every product or slice in place of one is one more program to
compile and to start.
"""

from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from facial_jax.backend import on_cpu

Padding = tuple[tuple[int, int], tuple[int, int]]
_NO_PADDING = ((0, 0), (0, 0))

FEW_PIXELS = 512
"""Up to this batch size kernels are larger than the images that they see, and products that leave
the kernels in their layout are faster on CPUs than convolutions."""


def space_to_depth(x: Float[Array, "b h w c"], size: int) -> Float[Array, "b h2 w2 d"]:
    """Every `size`×`size` block of pixels becomes one pixel with all their channels."""
    b, h, w, c = x.shape
    if h % size or w % size:
        raise ValueError(f"Height and width must be divisible by {size} here, got {h}×{w}.")
    blocks = x.reshape(b, h // size, size, w // size, size, c).transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(b, h // size, w // size, size * size * c)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv2d(
    x: Float[Array, "b h w c"], kernel: Float[Array, "y x c d"], stride: int, padding: Padding
) -> Float[Array, "b H W d"]:
    """`lax.conv_general_dilated` in NHWC; if that is faster, its gradients are products.

    Of a 3×3 convolution of one 8×8 image from 1024 to 1024 channels, XLA's gradient takes 53 ms by
    the input and 28 ms by the kernel on one CPU core; dy · kernelᵀ and shifted sums take 7 ms, and
    columnsᵀ · dy takes 16 ms. With stride 2 one product per kernel tap is up to twice as fast as
    XLA's gradient by the kernel; 4×4 kernels have faster gradients as 2×2 ones of folded pixels.
    """
    return _convolve(x, kernel, stride, padding)


def _convolve(x, kernel, stride, padding):
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def plain_conv2d(
    x: Float[Array, "b h w c"], kernel: Float[Array, "y x c d"], stride: int, padding: Padding
) -> Float[Array, "b H W d"]:
    """`lax.conv_general_dilated` in NHWC, with its own gradients.

    If its images are larger than those that it sees, these are padded first: XLA's gradient by
    the kernel would be a convolution of kernels with an image as the kernel.
    """
    growth = [sum(pad) - size + 1 for pad, size in zip(padding, kernel.shape[:2], strict=True)]
    if stride == 1 and max(growth) > 0:
        x = jax.lax.optimization_barrier(jnp.pad(x, ((0, 0), *padding, (0, 0))))
        padding = _NO_PADDING
    return _convolve(x, kernel, stride, padding)


def _forward(x, kernel, stride, padding):
    return conv2d(x, kernel, stride, padding), (x, kernel)


def _backward(stride, padding, residuals, dy):
    x, kernel = residuals
    if stride == 2 and kernel.shape[0] % 2 == kernel.shape[1] % 2 == 0:
        return jax.vjp(lambda x, kernel: _convolve_folded(x, kernel, padding), x, kernel)[1](dy)
    pixels = dy.shape[0] * dy.shape[1] * dy.shape[2]
    if stride == 1 and pixels <= FEW_PIXELS:
        dx = _input_gradient(kernel, dy, x.shape, padding)
    else:
        (dx,) = jax.vjp(lambda x: _convolve(x, kernel, stride, padding), x)[1](dy)
    if stride > 1 or pixels <= FEW_PIXELS:
        dkernel = _kernel_gradient(x, dy, kernel.shape, stride, padding)
    else:
        # Padded first: if 4×4 kernels give larger images than they see, XLA:CPU takes a hundred
        # times as long to do both at once.
        x = jax.lax.optimization_barrier(jnp.pad(x, ((0, 0), *padding, (0, 0))))
        (dkernel,) = jax.vjp(lambda kernel: _convolve(x, kernel, 1, _NO_PADDING), kernel)[1](dy)
    return dx, dkernel


def _convolve_folded(x, kernel, padding):
    """Stride 2, of 2×2 pixels folded into channels: a convolution of a quarter of the taps."""
    ky, kx, c, d = kernel.shape
    (top, bottom), (left, right) = padding
    h, w = x.shape[1] + top + bottom, x.shape[2] + left + right
    # A last row or column that is left over is seen by no kernel.
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))[:, : h // 2 * 2, : w // 2 * 2]
    kernel = kernel.reshape(ky // 2, 2, kx // 2, 2, c, d).transpose(0, 2, 1, 3, 4, 5)
    kernel = kernel.reshape(ky // 2, kx // 2, 4 * c, d)
    return _convolve(space_to_depth(x, 2), kernel, 1, _NO_PADDING)


def _input_gradient(kernel, dy, shape, padding):
    ky, kx, c, d = kernel.shape
    b, h, w, _ = dy.shape
    # Over the last axes of both: the kernel, larger than the images, is not transposed.
    columns = jnp.einsum("nd,kd->nk", dy.reshape(-1, d), kernel.reshape(-1, d))
    columns = columns.reshape(b, h, w, ky, kx, c)
    padded = sum(
        jnp.pad(columns[:, :, :, i, j], ((0, 0), (i, ky - 1 - i), (j, kx - 1 - j), (0, 0)))
        for i in range(ky)
        for j in range(kx)
    )
    top, left = padding[0][0], padding[1][0]
    return padded[:, top : top + shape[1], left : left + shape[2]]


def _kernel_gradient(x, dy, shape, stride, padding):
    ky, kx, c, d = shape
    b, h, w, _ = dy.shape
    padded, dy = jnp.pad(x, ((0, 0), *padding, (0, 0))), dy.reshape(b * h * w, d)

    def seen(i, j):
        end = (b, i + (h - 1) * stride + 1, j + (w - 1) * stride + 1, c)
        pixels = jax.lax.slice(padded, (0, i, j, 0), end, (1, stride, stride, 1))
        return pixels.reshape(b * h * w, c)

    taps = [seen(i, j) for i in range(ky) for j in range(kx)]
    if b * h * w <= FEW_PIXELS:
        return jnp.einsum("nk,nd->kd", jnp.concatenate(taps, axis=1), dy).reshape(shape)
    # Columns of large images would need much memory: one product after the other.
    return jnp.stack([jnp.einsum("nc,nd->cd", tap, dy) for tap in taps]).reshape(shape)


conv2d.defvjp(_forward, _backward)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def plain_up_conv(
    x: Float[Array, "b *hw c"], kernel: Float[Array, "*yx c d"], padding: tuple[int, int]
) -> Float[Array, "b *HW d"]:
    """Transposed convolution with stride 2 over one or two axes: each becomes twice as long.

    Input i is added, through kernel tap k, to output 2i + k − padding[0]; `padding` is what a
    convolution from the output's size back to the input's would have before and after. It is that
    convolution's gradient by its input, and its own gradients are that convolution and its
    gradient by the kernel: the three for which accelerators have kernels.
    """
    spatial, d = [2 * n for n in x.shape[1:-1]], kernel.shape[-1]
    output = jax.ShapeDtypeStruct((x.shape[0], *spatial, d), x.dtype)
    return jax.linear_transpose(lambda y: _down(y, kernel, padding), output)(x)[0]


def _down(y, kernel, padding):
    axes = "HW"[: y.ndim - 2]
    layout = (f"N{axes}C", f"{axes}OI", f"N{axes}C")
    strides, paddings = (2,) * len(axes), (padding,) * len(axes)
    return jax.lax.conv_general_dilated(y, kernel, strides, paddings, dimension_numbers=layout)


def _up_forward(x, kernel, padding):
    return plain_up_conv(x, kernel, padding), (x, kernel)


def _up_backward(padding, residuals, dy):
    x, kernel = residuals
    by_kernel = jax.linear_transpose(lambda kernel: _down(dy, kernel, padding), kernel)
    return _down(dy, kernel, padding), by_kernel(x)[0]


plain_up_conv.defvjp(_up_forward, _up_backward)


class Conv(nn.Module):
    """`nn.Conv` on images, by `conv2d` on CPUs: the same parameters and numbers."""

    features: int
    kernel_size: Sequence[int]
    stride: int
    padding: Padding = _NO_PADDING
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
    bias_init: nn.initializers.Initializer = nn.initializers.zeros_init()

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b H W d"]:
        """The convolved images, `features` channels."""
        shape = (*self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        bias = self.param("bias", self.bias_init, (self.features,))
        convolve = conv2d if on_cpu() else plain_conv2d
        return convolve(x, kernel, self.stride, self.padding) + bias[None, None, None]
