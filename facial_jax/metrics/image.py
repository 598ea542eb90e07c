"""How near one picture is to another, in the features of a network."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from facial_jax.models.layers.vgg import VggFeatures


def perceptual_distance(
    network: VggFeatures,
    variables: dict,
    a: Float[Array, "b h w 3"],
    b: Float[Array, "b h w 3"],
) -> Float[Array, "b"]:
    """How far apart two pictures' features are: LPIPS (Zhang et al. 2018) without learned weights.

    Pictures are in [0, 1].
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
