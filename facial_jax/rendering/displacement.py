"""Where points of a head's shell are seen, beside the places that the head's pose gives them.

The shell is not quite where the hair is, hair swings, and shoulders stay behind. So its points are
displaced in the plane of the face, smoothly from one to the next. How far is a grid over that plane
(`facial_jax.tracking.displacement` finds it in a video).
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from facial_jax.rendering.sampling import sample_bilinear

SWAY_GRID = 33
"""Rows and columns over a picture, the first and the last points on its outermost pixels."""
_ITERATIONS = 2
"""Of a fixed point: displacements are small, and alike in neighbours."""


def grid_place(
    point: Float[Array, "*b 2"], extent: Float[Array, "2 2"], shape: tuple[int, ...]
) -> Float[Array, "*b 2"]:
    """Column and row, in a grid of this shape over the extent, of points in head space."""
    first, last = (end.reshape((1,) * (point.ndim - 1) + (2,)) for end in extent)
    ends = jnp.array([shape[1] - 1, shape[0] - 1], jnp.float32).reshape(first.shape)
    return (point - first) / (last - first) * ends


def without_displacement(
    displacement: Float[Array, "gh gw 2"],
    extent: Float[Array, "2 2"],
    points: Float[Array, "*b 2"],
) -> Float[Array, "*b 2"]:
    """x and y of the points of the head that are displaced to these.

    Args:
        displacement: over the extent, decimetres; beyond it as at its edge.
        extent: as `Surroundings.extent`.
        points: x and y, head space, decimetres.
    """
    found = points
    for _ in range(_ITERATIONS):
        place = grid_place(found, extent, displacement.shape)
        found = points - sample_bilinear(displacement, place)
    return found


def without_sway(
    sway: Float[Array, "sh sw 2"], places: Float[Array, "*b 2"], size: tuple[int, int]
) -> Float[Array, "*b 2"]:
    """Column and row, in pixels, of what sways to these places.

    Args:
        sway: as `SurroundingsMotion.sway`, of one frame.
        places: column and row, in pixels.
        size: (height, width) of the picture.
    """
    height, width = size
    sway = jnp.pad(sway, ((SWAY_GRID - len(sway), 0), (0, 0), (0, 0)))
    extent = jnp.array([[0.5, 0.5], [width - 0.5, height - 0.5]], jnp.float32)
    return without_displacement(height * sway, extent, places)
