"""Antialiasing: coverage varies smoothly with the vertices, and so do gradients at silhouettes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.face.topology import opposite_vertices
from facial_jax.rendering.antialias import antialias
from facial_jax.rendering.interpolate import interpolate
from facial_jax.rendering.rasterizer import rasterize

SIZE = (16, 20)
SQUARE = np.array([[0, 1, 2], [0, 2, 3]], np.int32)


def square(left, right, top, bottom, depth=0.0):
    """Clip-space corners of a rectangle given in pixels."""
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)
    xy = corners / [SIZE[1] / 2, SIZE[0] / 2] - 1
    return np.concatenate([xy, np.full((4, 1), depth), np.ones((4, 1))], axis=-1)


@jax.jit
def draw(positions, attributes, triangles, opposite):
    """An image without and with antialiasing."""
    rast = rasterize(positions, triangles, SIZE)
    image = interpolate(attributes, rast, triangles)
    return image, antialias(image, rast, positions, triangles, opposite)


def tables(triangles):
    """Triangles and their opposite vertices, padded to four triangles to share a compilation."""
    none = np.zeros((4 - len(triangles), 3), np.int32)
    padded = [np.concatenate([t, none]) for t in (triangles, opposite_vertices(triangles))]
    return jnp.asarray(padded[0]), jnp.asarray(padded[1])


def coverage(positions, triangles=SQUARE):
    positions = jnp.concatenate([positions, jnp.tile(positions[:1], (8 - len(positions), 1))])
    return draw(positions, jnp.ones((8, 2), positions.dtype), *tables(triangles))[1][..., 0]


def test_opposite_vertices_by_hand():
    # Triangle (0, 1, 2): edges 1-2 and 0-1 are rims; across edge 2-0 lies vertex 3.
    # Triangle (0, 2, 3): across edge 0-2 lies vertex 1; the others are rims.
    np.testing.assert_array_equal(opposite_vertices(SQUARE), [[0, 3, 2], [0, 2, 1]])


@pytest.mark.parametrize(("left", "right"), [(4.5, 12.2), (4.7, 12.9), (4.0, 12.5), (4.25, 11.75)])
def test_pixels_are_covered_as_much_as_an_upright_rectangle_covers_them(left, right):
    got = np.asarray(coverage(jnp.asarray(square(left, right, 3.3, 10.6), jnp.float32)))
    columns, rows = np.arange(SIZE[1]), np.arange(SIZE[0])
    across = np.clip(np.minimum(columns + 1, right) - np.maximum(columns, left), 0, 1)
    down = np.clip(np.minimum(rows + 1, 10.6) - np.maximum(rows, 3.3), 0, 1)
    exact = np.outer(down, across)
    # Away from the corners, where both directions blend.
    np.testing.assert_allclose(got[down == 1], exact[down == 1], atol=1e-4)
    np.testing.assert_allclose(got[:, across == 1], exact[:, across == 1], atol=1e-4)


def test_inner_edges_and_flat_colours_are_left_alone():
    positions = jnp.asarray(np.tile(square(-5, 30, -5, 30), (2, 1)), jnp.float32)
    attributes = jnp.asarray(np.random.default_rng(0).normal(size=(8, 2)), jnp.float32)
    plain, smooth = draw(positions, attributes, *tables(SQUARE))
    np.testing.assert_allclose(smooth, plain, atol=1e-6)


def test_a_nearer_silhouette_is_blended_with_what_is_behind_it():
    near, far = square(4, 10.3, -5, 30, depth=-0.5), square(-5, 30, -5, 30, depth=0.5)
    positions = jnp.asarray(np.concatenate([near, far]), jnp.float32)
    triangles = np.concatenate([SQUARE, SQUARE + 4])
    attributes = jnp.asarray([[1.0, 0.0]] * 4 + [[0.2, 0.0]] * 4)
    row = draw(positions, attributes, *tables(triangles))[1][8, :, 0]
    np.testing.assert_allclose(row[9:12], [1, 0.3 + 0.7 * 0.2, 0.2], atol=1e-4)


def test_moving_an_edge_changes_the_covered_area_by_its_length():
    def area(moved):
        corners = jnp.asarray(square(4.8, 12.8, 3, 11), jnp.float32)
        return coverage(corners.at[1:3, 0].add(moved * 2 / SIZE[1])).sum()

    slope = jax.jit(jax.grad(area))(0.0)
    assert slope == pytest.approx(8, rel=0.02)


def test_slanted_squares_grow_by_the_area_that_they_sweep():
    @jax.jit
    @jax.value_and_grad
    def area(scale, corners):
        center = np.array([[10.13, 8.29]], np.float32)
        xy = 2 * (scale * corners + center) / np.array([SIZE[::-1]], np.float32) - 1
        return coverage(jnp.concatenate([xy, jnp.zeros((4, 1)), jnp.ones((4, 1))], axis=-1)).sum()

    for angle in (0.2, 0.5, 0.7):
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        corners = 4.6 * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) @ turn
        covered, slope = area(1.0, jnp.asarray(corners, jnp.float32))
        assert covered == pytest.approx(9.2**2, rel=0.01)
        assert slope == pytest.approx(2 * 9.2**2, rel=0.1)


def test_gradients_match_finite_differences_with_silhouettes():
    """In x64 on rotated squares before a background; no pixel of the sum is left out."""
    rng = np.random.default_rng(3)
    with jax.enable_x64(True):
        near = square(5, 12, 4, 11, depth=-0.4)
        angle = 0.37
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        near[:, :2] = near[:, :2] @ turn
        near *= np.array([1.0, 1.5, 2.0, 1.2])[:, None]  # perspective
        far = square(-2.1, 13.2, 5.7, 17.9, depth=0.4)
        positions = jnp.asarray(np.concatenate([near, far]))
        triangles = np.concatenate([SQUARE, SQUARE + 4])
        attributes = jnp.asarray(rng.normal(size=(8, 2)))
        weights = jnp.asarray(rng.normal(size=(*SIZE, 2)))
        direction = jnp.asarray(rng.normal(size=(8, 4)))

        @jax.jit
        @jax.value_and_grad
        def total(p):
            return (weights * draw(p, attributes, *tables(triangles))[1]).sum()

        gradient = total(positions)[1]
        step = 1e-6
        ends = [total(positions + moves * direction)[0] for moves in (-step, step)]
        slope = (ends[1] - ends[0]) / (2 * step)
        np.testing.assert_allclose((gradient * direction).sum(), slope, rtol=1e-5)


def test_gradients_are_finite_with_vertices_behind_the_camera_and_empty_meshes_pass():
    positions = jnp.array([[0, 0, 0, 1], [3, 0, 0, -1.0], [0, 3, 0, 0], [-3, -3, 0.5, 1]])
    triangles = np.array([[0, 1, 2], [0, 1, 3], [0, 0, 3]], np.int32)

    def total(p):
        return coverage(p, triangles).sum()

    assert np.isfinite(jax.jit(jax.grad(total))(positions)).all()
    image = jnp.ones((2, 4, 4, 1))
    empty = jnp.zeros((0, 3), jnp.int32)
    same = antialias(image, jnp.zeros((2, 4, 4, 4)), jnp.zeros((2, 3, 4)), empty, empty)
    np.testing.assert_array_equal(same, image)
    assert opposite_vertices(np.zeros((0, 3), np.int32)).shape == (0, 3)
