"""Points between vertices, and pictures in their colours, beside a mesh that really has them."""

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest

from facial_jax.face.color_mesh import at_points, color_mesh, points_within
from facial_jax.face.procedural import procedural_face_model
from facial_jax.face.topology import mesh_edges
from facial_jax.rendering.interpolate import interpolate, quartered
from facial_jax.rendering.rasterizer import rasterize

SQUARE = np.array([[0, 1, 2], [2, 1, 3]], np.int32)
CORNERS = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float32)


def test_a_square_of_two_triangles_by_hand():
    mesh = color_mesh(SQUARE, 4)
    np.testing.assert_array_equal(mesh.edges, [[0, 1], [0, 2], [1, 2], [1, 3], [2, 3]])
    first = [[0, 4, 5], [4, 1, 6], [5, 6, 2], [6, 5, 4]]
    np.testing.assert_array_equal(mesh.triangles[:4], first)
    second = [[2, 6, 8], [6, 1, 7], [8, 7, 3], [7, 8, 6]]
    np.testing.assert_array_equal(mesh.triangles[4:], second)


def test_points_are_vertices_and_then_the_middles_of_edges():
    mesh = color_mesh(SQUARE, 4)
    points = at_points(CORNERS, mesh)
    np.testing.assert_array_equal(points[:4], CORNERS)
    middles = [[0.5, 0], [0, 0.5], [0.5, 0.5], [1, 0.5], [0.5, 1]]
    np.testing.assert_array_equal(points[4:], middles)
    np.testing.assert_array_equal(at_points(CORNERS, None), CORNERS)
    batch = jnp.stack([points[:4], 2 * points[:4]])
    np.testing.assert_array_equal(at_points(batch, mesh), jnp.stack([points, 2 * points]))
    inside = points_within(np.array([True, True, False, False]), mesh)
    np.testing.assert_array_equal(np.flatnonzero(inside), [0, 1, 4])


def test_the_built_in_faces_quarters_cover_its_triangles_and_wind_the_same_way():
    model = procedural_face_model()
    triangles, shape = np.asarray(model.triangles), np.asarray(model.mean_shape)
    mesh = color_mesh(triangles, len(shape))
    np.testing.assert_array_equal(mesh.edges, mesh_edges(triangles))
    points = np.asarray(at_points(shape, mesh))

    def areas(points, triangles):
        a, b, c = np.moveaxis(points[triangles], 1, 0)
        return np.cross(b - a, c - a)

    whole, quarters = areas(shape, triangles), areas(points, mesh.triangles).reshape(-1, 4, 3)
    np.testing.assert_allclose(4 * quarters, np.repeat(whole[:, None], 4, axis=1), atol=1e-5)


@pytest.mark.parametrize("axes", [(), (1,), (2, 3)])
def test_pictures_are_those_of_a_mesh_that_has_the_points(axes):
    rng = np.random.default_rng(0)
    triangles = jnp.array([[0, 1, 2], [2, 1, 3], [2, 3, 4]])
    places = np.array([[-1, -1], [1, -1], [-1, 0.6], [0.8, 0.7], [0.1, 1]], np.float32)
    depth = rng.uniform(1, 3, (*axes, 5, 1))  # with perspective
    flat = np.broadcast_to(0.9 * places, (*axes, 5, 2)) * depth
    positions = np.concatenate([flat, 0.5 * depth, depth], axis=-1).astype(np.float32)
    mesh, size = jax.tree.map(jnp.asarray, color_mesh(triangles, 5)), (64, 48)
    colors = jnp.asarray(rng.uniform(size=(*axes, 5 + len(mesh.edges), 3)), jnp.float32)

    @jax.jit
    def coarse(positions, colors):
        rast = quartered(rasterize(positions, triangles, size))
        return rast, interpolate(colors, rast, mesh.triangles)

    rast, found = coarse(positions, colors)
    fine = rasterize(at_points(positions, mesh), mesh.triangles, size)
    expected = interpolate(colors, fine, mesh.triangles)
    same = np.asarray(rast[..., 3] == fine[..., 3])
    assert same.mean() > 0.98  # elsewhere a pixel's centre lies on the border of two
    assert (np.asarray(fine[..., 3]) > 0).mean() > 0.5
    np.testing.assert_allclose(found[same], expected[same], atol=2e-3)
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_nothing_is_drawn_where_nothing_was():
    rast = jnp.zeros((3, 4, 4)).at[0, 0].set(jnp.array([0.2, 0.2, 0.1, 5]))
    found = np.asarray(quartered(rast))
    np.testing.assert_array_equal(np.argwhere(found[..., 3]), [[0, 0]])
    # Beyond half of the third corner's weight: the third quarter of the fifth triangle.
    np.testing.assert_allclose(found[0, 0], [0.4, 0.4, 0.1, 4 * 4 + 3])


def test_gradients_reach_colours_and_barycentrics():
    mesh = jax.tree.map(jnp.asarray, color_mesh(SQUARE, 4))
    rast = jnp.array([[[0.1, 0.3, 0, 1], [0.7, 0.2, 0, 2]], [[0.3, 0.3, 0, 2], [0, 0, 0, 0]]])
    colors = jnp.asarray(np.random.default_rng(1).uniform(size=(9, 2)), jnp.float32)

    def total(colors, uv):
        of_points = jnp.concatenate([uv, rast[..., 2:]], axis=-1)
        weights = jnp.arange(8.0).reshape(2, 2, 2)
        colors = jnp.asarray(colors)  # NumPy's, where differences are finite
        return (weights * interpolate(colors, quartered(of_points), mesh.triangles)).sum()

    jax.test_util.check_grads(total, (colors, rast[..., :2]), 1, modes=["rev"], eps=1e-3)
