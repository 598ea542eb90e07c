"""Work shared out bit by bit, as on a CPU, and all at once, as elsewhere, comes to the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.face.topology import opposite_vertices
from facial_jax.rendering.antialias import antialias
from facial_jax.rendering.interpolate import interpolate
from facial_jax.rendering.mapping import add_at, fold_pixels, map_frames
from facial_jax.rendering.rasterizer import rasterize


@jax.jit
def visits(flags):
    def count(state, pixels, wanted):
        return add_at(state, pixels, wanted.astype(jnp.int32), wanted)

    return fold_pixels(flags, count, jnp.zeros(flags.shape, jnp.int32))


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
@pytest.mark.parametrize(("count", "share"), [(1, 1.0), (37, 0.3), (20_001, 0.9), (20_001, 0.001)])
def test_every_flagged_pixel_is_visited_once_and_no_other(count, share, backend, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    flags = np.random.default_rng(count).uniform(size=count) < share
    visits.clear_cache()
    np.testing.assert_array_equal(visits(jnp.asarray(flags)), flags.astype(np.int32))
    np.testing.assert_array_equal(visits(jnp.zeros(count, bool)), 0)


def test_frames_are_mapped_in_order_as_pytrees():
    pairs = {"a": jnp.arange(3), "b": jnp.arange(6).reshape(3, 2)}
    sums = map_frames(lambda pair, c: pair["a"] + pair["b"].sum() + c, pairs, jnp.ones(3, int))
    np.testing.assert_array_equal(sums, [2, 7, 12])


def test_pictures_and_gradients_are_the_same_on_other_devices(monkeypatch):
    """As if this were a GPU: all frames and pixels at once."""
    rng = np.random.default_rng(0)
    corners = rng.uniform(-1.2, 1.2, (2, 5, 4))
    corners[..., 2:] = rng.uniform([-0.5, 1.0], [0.5, 2.0], (2, 5, 2))
    corners[0, 0, 3] = -0.5  # one behind the camera
    triangles = np.array([[0, 1, 2], [2, 1, 3], [3, 4, 2]], np.int32)
    tables = jnp.asarray(triangles), jnp.asarray(opposite_vertices(triangles))
    positions = jnp.asarray(corners, jnp.float32)
    attributes, weights = (
        jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in ((2, 5, 2), (2, 12, 20, 2))
    )

    def total(positions, attributes):
        rast = rasterize(positions, tables[0], (12, 20))
        image = interpolate(attributes, rast, tables[0])
        image = antialias(image, rast, positions, *tables)
        return (weights * image).sum(), image

    def run():
        function = jax.value_and_grad(lambda *a: total(*a), argnums=(0, 1), has_aux=True)
        return jax.jit(function)(positions, attributes)

    here = run()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    elsewhere = run()
    assert np.abs(here[0][1]).max() > 0.1
    for a, b in zip(jax.tree.leaves(here), jax.tree.leaves(elsewhere), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
