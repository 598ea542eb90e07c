"""Values of a grid between its entries."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped


def sample_bilinear(
    grid: Shaped[Array, "h w c"], place: Float[Array, "*b 2"]
) -> Float[Array, "*b c"]:
    """The grid's values, as float32, interpolated at these places; outside, those of its edge.

    Args:
        grid: of any type, at least 2×2 entries.
        place: column and row, 0 at the first entry's centre.
    """
    rows, columns, channels = grid.shape
    across = jnp.clip(place[..., 0], 0.0, columns - 1.0)
    down = jnp.clip(place[..., 1], 0.0, rows - 1.0)
    column = jnp.minimum(across.astype(jnp.int32), columns - 2)
    row = jnp.minimum(down.astype(jnp.int32), rows - 2)
    right = (across - column.astype(across.dtype))[..., None]
    low = (down - row.astype(down.dtype))[..., None]
    index, flat = row * columns + column, grid.reshape(-1, channels)

    def at(step):
        return flat.at[index + step].get(mode="clip").astype(jnp.float32)

    above = at(0) * (1 - right) + at(1) * right
    below = at(columns) * (1 - right) + at(columns + 1) * right
    return above * (1 - low) + below * low
