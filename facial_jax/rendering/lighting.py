"""Spherical-harmonics light: 9 coefficients per colour channel (FACIAL, Eq. 12).

The real spherical harmonics up to degree 2 (with the Condon-Shortley sign), each times a factor of
its degree, in the order and with the factors of Deep3DFaceRecon.
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from facial_jax.precision import full_precision

AMBIENT = 0.8  # added to every channel's first coefficient: zero illumination is not darkness

# Factors π, 2π/√3, 2π/√8 of the degrees times normalisations 1/√(4π), √(3/4π), 3·√(5/12π).
_DEGREE_0 = math.pi / math.sqrt(4 * math.pi)
_DEGREE_1 = (2 * math.pi / math.sqrt(3)) * math.sqrt(3 / (4 * math.pi))
_DEGREE_2 = (2 * math.pi / math.sqrt(8)) * 3 * math.sqrt(5 / (12 * math.pi))


def sh_basis(normals: Float[Array, "*b 3"]) -> Float[Array, "*b 9"]:
    """The nine basis values at unit normals: 1, −y, z, −x, xy, −yz, (3z²−1)/√12, −xz, (x²−y²)/2."""
    x, y, z = jnp.moveaxis(normals, -1, 0)
    one = jnp.ones_like(x)
    return jnp.stack(
        [
            _DEGREE_0 * one,
            -_DEGREE_1 * y,
            _DEGREE_1 * z,
            -_DEGREE_1 * x,
            _DEGREE_2 * x * y,
            -_DEGREE_2 * y * z,
            (_DEGREE_2 / math.sqrt(12)) * (3 * z * z - 1),
            -_DEGREE_2 * x * z,
            (_DEGREE_2 / 2) * (x * x - y * y),
        ],
        axis=-1,
    )


@full_precision
def irradiance(
    normals: Float[Array, "*b n 3"], illumination: Float[Array, "3 9"]
) -> Float[Array, "*b n 3"]:
    """Light arriving at unit normals, per colour channel, `AMBIENT` included."""
    coefficients = illumination + jnp.zeros((3, 9), illumination.dtype).at[:, 0].set(AMBIENT)
    return sh_basis(normals) @ coefficients.T


def shade(
    albedo: Float[Array, "*#b n 3"],
    normals: Float[Array, "*b n 3"],
    illumination: Float[Array, "3 9"],
) -> Float[Array, "*b n 3"]:
    """Lit colours albedo · light (FACIAL, Eq. 12), not clipped.

    Args:
        albedo: RGB of the surface, around [0, 1]; the same for all, or of each frame.
        normals: unit normals in world space (after the head's rotation).
        illumination: coefficients per channel, without the ambient 0.8.
    """
    return lit(albedo, irradiance(normals, illumination))


def lit(albedo: Float[Array, "*#b n 3"], light: Float[Array, "*b n 3"]) -> Float[Array, "*b n 3"]:
    """Colours of a surface of this albedo, the same for all or of each frame, in this light."""
    return albedo.reshape((1,) * (light.ndim - albedo.ndim) + albedo.shape) * light
