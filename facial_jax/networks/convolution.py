"""A convolution whose gradients are fast on CPUs."""

from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Padding = tuple[tuple[int, int], tuple[int, int]]

# Up to so many output pixels in a batch, products beat XLA's own gradients; from there on, of
# convolutions with stride 1, they lose by the memory that their columns need.
_FEW_FOR_INPUT_GRADIENT = 512
_FEW_FOR_KERNEL_GRADIENT = 4096


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv2d(
    x: Float[Array, "b h w c"], kernel: Float[Array, "y x c d"], stride: int, padding: Padding
) -> Float[Array, "b H W d"]:
    """`lax.conv_general_dilated` in NHWC; where that is faster, its gradients are products.

    XLA makes the kernel's gradient a convolution with an image-sized kernel.  Of a 4×4 convolution
    of four 33×33 images from 64 to 128 channels that takes 1.3 s of CPU; one product per kernel tap
    takes 10 ms in all.  The input's gradient of small images with many channels is one product,
    dy · kernelᵀ, and shifted sums: half the time of XLA's.
    """
    return _convolve(x, kernel, stride, padding)


def _convolve(x, kernel, stride, padding):
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _forward(x, kernel, stride, padding):
    return conv2d(x, kernel, stride, padding), (x, kernel)


def _backward(stride, padding, residuals, dy):
    x, kernel = residuals
    pixels = dy.shape[0] * dy.shape[1] * dy.shape[2]
    if stride == 1 and pixels <= _FEW_FOR_INPUT_GRADIENT:
        dx = _input_gradient(kernel, dy, x.shape, padding)
    else:
        (dx,) = jax.vjp(lambda x: _convolve(x, kernel, stride, padding), x)[1](dy)
    if stride > 1 or pixels <= _FEW_FOR_KERNEL_GRADIENT:
        dkernel = _kernel_gradient(x, dy, kernel.shape, stride, padding)
    else:
        (dkernel,) = jax.vjp(lambda kernel: _convolve(x, kernel, stride, padding), kernel)[1](dy)
    return dx, dkernel


def _input_gradient(kernel, dy, shape, padding):
    ky, kx, c, d = kernel.shape
    b, h, w, _ = dy.shape
    columns = dy.reshape(-1, d) @ kernel.transpose(3, 0, 1, 2).reshape(d, -1)
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

    def tap(i, j):
        seen = jax.lax.slice(
            padded,
            (0, i, j, 0),
            (b, i + (h - 1) * stride + 1, j + (w - 1) * stride + 1, c),
            (1, stride, stride, 1),
        )
        return jnp.einsum("nc,nd->cd", seen.reshape(b * h * w, c), dy)

    return jnp.stack([tap(i, j) for i in range(ky) for j in range(kx)]).reshape(shape)


conv2d.defvjp(_forward, _backward)


class Conv(nn.Module):
    """`nn.Conv` on images by `conv2d`: the same parameters and numbers."""

    features: int
    kernel_size: Sequence[int]
    stride: int
    padding: Padding = ((0, 0), (0, 0))
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b H W d"]:
        """The convolved images, `features` channels."""
        shape = (*self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,))
        return conv2d(x, kernel, self.stride, self.padding) + bias[None, None, None]
