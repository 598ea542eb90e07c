"""The face model's functions; against published numbers in tests/test_published_numbers.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from facial_jax.face.model import (
    face_model_from_arrays,
    face_shape,
    vertex_normals,
    vertex_triangle_adjacency,
)

TETRAHEDRON = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)
CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)


def random_model(vertices=30):
    """A model of random numbers."""
    rng = np.random.default_rng(0)
    bases = {"identity_basis": 80, "expression_basis": 64, "texture_basis": 80}
    corners = [rng.choice(vertices, 3, replace=False) for _ in range(2 * vertices)]
    return face_model_from_arrays(
        mean_shape=rng.normal(size=(vertices, 3)),
        mean_texture=rng.uniform(size=(vertices, 3)),
        **{name: 0.1 * rng.normal(size=(vertices, 3, size)) for name, size in bases.items()},
        triangles=np.array(corners),
        landmarks=np.arange(68) % vertices,
    )


def coefficients(count, size):
    return jnp.asarray(np.random.default_rng(size).normal(size=(count, size)), jnp.float32)


def test_frames_of_a_batch_equal_single_frames():
    model, identity, expressions = random_model(), coefficients(1, 80)[0], coefficients(3, 64)
    batch = face_shape(model, identity, expressions)
    normals = vertex_normals(batch, model.triangles, model.vertex_triangles)
    nested = face_shape(model, identity, expressions.reshape(3, 1, 64))
    assert batch.shape == (3, 30, 3)
    assert nested.shape == (3, 1, 30, 3)
    np.testing.assert_allclose(nested[:, 0], batch, atol=1e-6)
    for i in range(3):
        single = face_shape(model, identity, expressions[i])
        np.testing.assert_allclose(batch[i], single, atol=1e-6)
        one = vertex_normals(single, model.triangles, model.vertex_triangles)
        np.testing.assert_allclose(normals[i], one, atol=1e-5)


def test_each_frame_may_have_an_identity_of_its_own():
    model, identities, expressions = random_model(), coefficients(3, 80), coefficients(3, 64)
    batch = face_shape(model, identities, expressions)
    for i in range(3):
        single = face_shape(model, identities[i], expressions[i])
        np.testing.assert_allclose(batch[i], single, atol=1e-6)
    nested = face_shape(model, identities[:, None], expressions[:, None])
    np.testing.assert_allclose(nested[:, 0], batch, atol=1e-6)


def test_tetrahedron_normals_point_outward_by_hand():
    adjacency = jnp.asarray(vertex_triangle_adjacency(TETRAHEDRON, 4))
    normals = vertex_normals(jnp.asarray(CORNERS), jnp.asarray(TETRAHEDRON), adjacency)
    np.testing.assert_allclose(normals[0], -np.ones(3) / np.sqrt(3), atol=1e-6)
    tip = np.array([1, 1, 1]) / np.sqrt(3) + np.array([0, -1, 0]) + np.array([0, 0, -1])
    np.testing.assert_allclose(normals[1], tip / np.linalg.norm(tip), atol=1e-6)


def test_adjacency_lists_every_corner_once_and_pads_with_the_triangle_count():
    triangles = np.random.default_rng(0).integers(0, 20, (50, 3))
    adjacency = vertex_triangle_adjacency(triangles, 25)
    assert adjacency.dtype == np.int32
    for vertex in range(25):
        listed = adjacency[vertex][adjacency[vertex] < 50]
        assert sorted(listed) == sorted(np.nonzero(triangles == vertex)[0])


def test_adjacency_rejects_one_based_indices():
    with pytest.raises(ValueError, match="start at 0"):
        vertex_triangle_adjacency(TETRAHEDRON + 1, 4)


def test_degenerate_triangles_and_lonely_vertices_have_zero_normals_and_finite_gradients():
    triangles = np.array([[0, 0, 1], [0, 1, 2]], np.int32)
    vertices = jnp.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [5, 5, 5.0]])
    adjacency = jnp.asarray(vertex_triangle_adjacency(triangles, 4))

    def total(v):
        return vertex_normals(v, jnp.asarray(triangles), adjacency).sum()

    np.testing.assert_array_equal(vertex_normals(vertices, jnp.asarray(triangles), adjacency), 0.0)
    assert np.isfinite(jax.grad(total)(vertices)).all()


def test_normal_gradients_match_finite_differences():
    with jax.enable_x64(True):
        adjacency = jnp.asarray(vertex_triangle_adjacency(TETRAHEDRON, 4))
        weights = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)))

        @jax.jit
        def total(v):
            return (weights * vertex_normals(v, jnp.asarray(TETRAHEDRON), adjacency)).sum()

        corners = jnp.asarray(CORNERS, jnp.float64)
        check_grads(lambda v: total(jnp.asarray(v)), (corners,), 1, modes=["rev"], eps=1e-5)


def model_arrays(**changes):
    """Those of a tetrahedron without any bases, some of them changed."""
    arrays = {
        "mean_shape": CORNERS,
        "mean_texture": np.full((4, 3), 0.5),
        "identity_basis": np.zeros((4, 3, 80)),
        "expression_basis": np.zeros((4, 3, 64)),
        "texture_basis": np.zeros((4, 3, 80)),
        "triangles": TETRAHEDRON,
        "landmarks": np.arange(68) % 4,
    }
    return arrays | changes


def test_a_model_from_arrays_has_its_tables_and_float32_whatever_it_is_made_of():
    model = face_model_from_arrays(**model_arrays(triangles=TETRAHEDRON.astype(np.uint16)))
    for name in ("mean_shape", "mean_texture", "identity_basis"):
        assert getattr(model, name).dtype == jnp.float32
    assert model.triangles.dtype == model.landmarks.dtype == jnp.int32
    # In a tetrahedron every vertex has the three triangles that do not lie opposite to it,
    # and across each edge of a triangle lies the fourth vertex.
    without = [[t for t in range(4) if v in TETRAHEDRON[t]] for v in range(4)]
    np.testing.assert_array_equal(model.vertex_triangles, without)
    fourth = 6 - TETRAHEDRON.sum(axis=1)
    np.testing.assert_array_equal(model.opposite_vertices, np.tile(fourth[:, None], 3))
    assert model.eye_mask.shape == (4,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean_texture": np.zeros((5, 3))}, r"mean_texture: expected shape \(4, 3\)"),
        ({"identity_basis": np.zeros((4, 3, 79))}, "identity_basis: expected shape"),
        ({"expression_basis": np.full((4, 3, 64), np.nan)}, "expression_basis: expected finite"),
        ({"triangles": TETRAHEDRON + 1}, "triangles: expected vertex indices"),
        ({"triangles": TETRAHEDRON.astype(float)}, "triangles: expected integer"),
        ({"triangles": TETRAHEDRON[:, :2]}, r"triangles: expected shape \(f, 3\)"),
        ({"landmarks": np.arange(67)}, "landmarks: expected shape"),
        ({"landmarks": np.arange(68)}, "landmarks: expected vertex indices"),
        ({"eye_mask": np.zeros(4)}, "eye_mask: expected bool"),
    ],
)
def test_a_model_from_wrong_arrays_is_refused_with_the_reason(changes, message):
    with pytest.raises(ValueError, match=message):
        face_model_from_arrays(**model_arrays(**changes))
