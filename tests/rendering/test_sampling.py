import jax.numpy as jnp
import numpy as np
import scipy.ndimage

from facial_jax.rendering.sampling import sample_bilinear


def test_values_between_entries_are_scipys_and_outside_those_of_the_edge():
    rng = np.random.default_rng(0)
    grid = rng.integers(0, 256, (5, 7, 2), np.uint8)
    place = rng.uniform([-2.0, -2.0], [9.0, 7.0], (3, 40, 2)).astype(np.float32)
    found = sample_bilinear(jnp.asarray(grid), jnp.asarray(place))
    assert found.shape == (3, 40, 2)
    for channel in range(2):
        expected = scipy.ndimage.map_coordinates(
            grid[..., channel].astype(np.float64),
            [place[..., 1], place[..., 0]],
            order=1,
            mode="nearest",
        )
        np.testing.assert_allclose(found[..., channel], expected, atol=1e-3)


def test_entries_themselves_are_exact():
    grid = jnp.arange(12, dtype=jnp.float32).reshape(3, 4, 1)
    column, row = jnp.meshgrid(jnp.arange(4.0), jnp.arange(3.0))
    found = sample_bilinear(grid, jnp.stack([column, row], axis=-1))
    np.testing.assert_array_equal(found, grid)
