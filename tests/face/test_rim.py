import numpy as np

from facial_jax.face.procedural import procedural_face_model
from facial_jax.face.rim import rim_opacity


def grid(n, hole=()):
    """An n×n grid of vertices with a spacing of 1, without the squares that begin at `hole`."""
    x, y = np.meshgrid(np.arange(n), np.arange(n))
    shape = np.stack([x, y, 0 * x], axis=-1).reshape(-1, 3).astype(np.float32)
    triangles = []
    for row in range(n - 1):
        for column in range(n - 1):
            a = row * n + column
            if (row, column) not in hole:
                triangles += [[a, a + n, a + 1], [a + 1, a + n, a + n + 1]]
    return shape, np.array(triangles)


def test_opacity_rises_from_the_rim_and_holes_are_no_rim():
    shape, triangles = grid(9, hole=[(3, 3), (3, 4)])
    opacity = rim_opacity(shape, triangles, fade=2.0)[:, 0].reshape(9, 9)
    assert (opacity[[0, -1]] == 0).all()
    assert (opacity[:, [0, -1]] == 0).all()
    np.testing.assert_allclose(opacity[1, 1:-1], 0.5)
    np.testing.assert_array_equal(opacity[2:-2, 2:-2], 1)  # around the hole too


def test_a_mesh_without_a_rim_is_opaque():
    tetrahedron = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])
    opacity = rim_opacity(np.eye(4, 3, dtype=np.float32), tetrahedron)
    np.testing.assert_array_equal(opacity, 1)


def test_eyes_and_lips_of_the_built_in_face_are_opaque():
    model = procedural_face_model()
    opacity = rim_opacity(np.asarray(model.mean_shape), np.asarray(model.triangles))
    landmarks = np.asarray(model.landmarks)
    assert (opacity[landmarks[17:], 0] == 1).all()
    assert (opacity[landmarks[27:48]] == 1).all()  # edge-on too: nose and eyes
    assert (opacity[landmarks[48:68], 1] > 0.5).all()
    assert 0.02 < (opacity[:, 0] < 1).mean() < 0.2


def test_cheeks_that_are_the_outline_fade_out():
    model = procedural_face_model()
    facing, edge_on = rim_opacity(np.asarray(model.mean_shape), np.asarray(model.triangles)).T
    assert (edge_on <= facing).all()
    jaw = np.asarray(model.landmarks)[[2, 3, 13, 14]]
    assert (edge_on[jaw] < 0.3).all()
