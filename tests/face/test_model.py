"""The face model's functions against the published implementation's numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from facial_jax.face.bfm import load_bfm
from facial_jax.face.model import (
    face_landmarks,
    face_model_from_arrays,
    face_shape,
    face_texture,
    vertex_normals,
    vertex_triangle_adjacency,
)
from facial_jax.rendering.camera import (
    camera_vertices,
    pinhole_camera,
    project_to_pixels,
    rotation_from_euler,
    transform_vertices,
)
from facial_jax.rendering.lighting import shade

TETRAHEDRON = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)
CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)


def float32(array) -> jax.Array:
    return jnp.asarray(array, jnp.float32)


@pytest.fixture(scope="module")
def reference(shared):
    expected = np.load(shared("reference/tiny_bfm_expected.npz"))
    return load_bfm(shared("reference/tiny_bfm_model_front.mat")), expected


def assert_close(got, expected):
    assert np.abs(np.asarray(got) - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("index", range(3))
def test_shape_texture_normals_camera_light_and_landmarks_match_the_published_code(
    reference, index
):
    model, expected = reference
    c = float32(expected["coefficients"][index])
    identity, expression, texture = c[:80], c[80:144], c[144:224]
    angles, illumination, translation = c[224:227], c[227:254].reshape(3, 9), c[254:257]

    shape = face_shape(model, identity, expression)
    albedo = face_texture(model, texture)
    normals = vertex_normals(shape, model.triangles, model.vertex_triangles)
    rotation = rotation_from_euler(angles)
    camera = pinhole_camera((224, 224))
    in_camera = camera_vertices(camera, transform_vertices(shape, rotation, translation))
    lit = shade(albedo, transform_vertices(normals, rotation, jnp.zeros(3)), illumination)
    landmarks = face_landmarks(model, project_to_pixels(camera, in_camera))

    assert_close(shape, expected["shape"][index])
    assert_close(albedo, expected["texture"][index])
    assert_close(normals, expected["normals"][index])
    assert_close(rotation.T, expected["rotation_applied_on_the_right"][index])
    assert_close(in_camera, expected["camera_vertices"][index])
    assert_close(lit, expected["lit_color"][index])
    # The published landmarks have y up; pixels here have y down.
    landmarks = jnp.stack([landmarks[:, 0], 224 - landmarks[:, 1]], axis=-1)
    assert_close(landmarks, expected["landmarks"][index])


def test_frames_of_a_batch_equal_single_frames(reference):
    model, expected = reference
    identity = float32(expected["coefficients"][0, :80])
    expressions = float32(expected["coefficients"][:, 80:144])
    batch = face_shape(model, identity, expressions)
    normals = vertex_normals(batch, model.triangles, model.vertex_triangles)
    nested = face_shape(model, identity, expressions.reshape(3, 1, 64))
    assert batch.shape == (3, 642, 3)
    assert nested.shape == (3, 1, 642, 3)
    np.testing.assert_allclose(nested[:, 0], batch, atol=1e-6)
    for i in range(3):
        single = face_shape(model, identity, expressions[i])
        np.testing.assert_allclose(batch[i], single, atol=1e-6)
        one = vertex_normals(single, model.triangles, model.vertex_triangles)
        np.testing.assert_allclose(normals[i], one, atol=1e-5)


def test_each_frame_may_have_an_identity_of_its_own(reference):
    model, expected = reference
    identities = float32(expected["coefficients"][:, :80])
    expressions = float32(expected["coefficients"][:, 80:144])
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
