"""How near one picture is to another. Images are NHWC floats in [0, 1]."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from facial_jax.models.layers.vgg import VggFeatures

_WINDOW = 11
_DEVIATION = 1.5
_K1, _K2 = 0.01, 0.03


def psnr(a: Float[Array, "*b h w c"], b: Float[Array, "*b h w c"]) -> Float[Array, "*b"]:
    """Peak signal-to-noise ratio in dB, the peak being 1; infinite for equal pictures."""
    return -10 * jnp.log10(jnp.mean(jnp.square(a - b), axis=(-3, -2, -1)))


def ssim(a: Float[Array, "*b h w c"], b: Float[Array, "*b h w c"]) -> Float[Array, "*b"]:
    """Structural similarity (Wang et al. 2004), mean over pixels and channels; 1 for equal ones.

    Gaussian window of 11×11 pixels with a deviation of 1.5, K = 0.01 and 0.03; only windows that
    lie wholly within the picture count.

    Raises:
        ValueError: pictures of less than 11×11 pixels.
    """
    if min(a.shape[-3:-1]) < _WINDOW:
        raise ValueError(
            f"SSIM needs pictures of at least {_WINDOW}×{_WINDOW} pixels, got "
            f"{a.shape[-3]}×{a.shape[-2]}"
        )
    c1, c2 = _K1**2, _K2**2
    mean_a, mean_b = _blur(a), _blur(b)
    variance_a = _blur(a * a) - mean_a**2
    variance_b = _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    light = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * covariance + c2) / (variance_a + variance_b + c2)
    return jnp.mean(light * structure, axis=(-3, -2, -1))


def perceptual_distance(
    network: VggFeatures,
    variables: dict,
    a: Float[Array, "b h w 3"],
    b: Float[Array, "b h w 3"],
) -> Float[Array, "b"]:
    """How far apart two pictures' features are: LPIPS (Zhang et al. 2018) without learned weights.

    The channels of each of the five maps are brought to unit length at every pixel; the squared
    differences are summed over channels, and averaged over pixels and then over maps. 0 for equal
    pictures. What it is worth is the network's: say which one was used.
    """

    def unit(x):
        # A pixel whose features are all zero stays zero.
        return x * jax.lax.rsqrt(jnp.sum(x * x, axis=-1, keepdims=True) + 1e-10)

    maps = [network.apply(variables, 2 * x - 1) for x in (a, b)]
    distances = [
        jnp.sum(jnp.square(unit(x) - unit(y)), axis=-1).mean(axis=(1, 2))
        for x, y in zip(*maps, strict=True)
    ]
    return sum(distances) / len(distances)


def _blur(x: Array) -> Array:
    offset = np.arange(_WINDOW) - _WINDOW // 2
    kernel = np.exp(-0.5 * (offset / _DEVIATION) ** 2)
    kernel /= kernel.sum()
    for axis in (-3, -2):
        n = x.shape[axis] - _WINDOW + 1
        x = sum(
            np.float32(weight) * jax.lax.slice_in_dim(x, i, i + n, axis=x.ndim + axis)
            for i, weight in enumerate(kernel)
        )
    return x
