import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.face.model import face_shape, face_texture, vertex_normals
from facial_jax.face.procedural import EXPRESSION_NAMES, landmark_targets, procedural_face_model
from facial_jax.face.procedural.statistics import component_mixing, mix_factors
from facial_jax.face.procedural.template import EYE, LOWER_LIP, UPPER_LIP, load_template


@pytest.fixture(scope="module")
def model():
    return procedural_face_model()


@pytest.fixture(scope="module")
def template():
    return load_template()


def expression(**coefficients):
    vector = np.zeros(64, np.float32)
    for name, value in coefficients.items():
        vector[EXPRESSION_NAMES.index(name)] = value
    return jnp.asarray(vector)


def shaped(model, **coefficients):
    return np.asarray(face_shape(model, jnp.zeros(80), expression(**coefficients)))


def gaps(vertices, template):
    """How far the lower lip's edge lies below the upper's, from corner to corner, in dm."""
    return (vertices[template.upper_seam] - vertices[template.lower_seam])[:, 1]


def test_has_the_promised_sizes_and_dtypes(model):
    n = model.mean_shape.shape[0]
    assert 8_000 <= n <= 12_000
    assert model.identity_basis.shape == (n, 3, 80)
    assert model.expression_basis.shape == (n, 3, 64)
    assert model.texture_basis.shape == (n, 3, 80)
    assert model.landmarks.shape == (68,)
    assert len(EXPRESSION_NAMES) == len(set(EXPRESSION_NAMES)) == 32
    for field in ("mean_shape", "mean_texture", "identity_basis", "expression_basis"):
        array = getattr(model, field)
        assert array.dtype == jnp.float32
        assert bool(jnp.isfinite(array).all())


def test_is_the_same_every_time(model):
    again = procedural_face_model.__wrapped__()
    np.testing.assert_array_equal(model.identity_basis, again.identity_basis)
    np.testing.assert_array_equal(model.texture_basis, again.texture_basis)


def test_mean_is_mirror_symmetric(model):
    values = np.concatenate([model.mean_shape, 0.1 * model.mean_texture], axis=1)
    mirrored = values * np.array([-1.0, 1, 1, 1, 1, 1], np.float32)
    squares = (values**2).sum(axis=1)
    for start in range(0, len(values), 1000):
        part = mirrored[start : start + 1000]
        squared = squares + (part**2).sum(axis=1)[:, None] - 2 * part @ values.T
        assert squared.min(axis=1).max() < 2e-3**2


def test_landmarks_lie_within_5_percent_of_the_measured_ones(model):
    found = np.asarray(model.mean_shape)[np.asarray(model.landmarks)]
    wanted = landmark_targets()
    eyes = np.linalg.norm(wanted[45] - wanted[36])

    def project(points):  # as seen from 10 dm
        return points[:, :2] * 10.0 / (10.0 - points[:, 2:])

    error = np.linalg.norm(project(found) - project(wanted), axis=1)
    assert error.max() < 0.05 * eyes
    assert error.mean() < 0.015 * eyes


def test_landmarks_are_distinct_and_mirrored(model):
    points = np.asarray(model.mean_shape)[np.asarray(model.landmarks)]
    assert len(set(np.asarray(model.landmarks).tolist())) == 68
    pairs = [(i, 16 - i) for i in range(8)] + [(17 + i, 26 - i) for i in range(5)]
    pairs += [(36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46), (48, 54), (49, 53)]
    for left, right in pairs:
        np.testing.assert_allclose(points[left] * [-1, 1, 1], points[right], atol=2e-3)


def test_triangles_form_an_oriented_surface(model):
    triangles = np.asarray(model.triangles)
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    counts = np.unique(edges, axis=0, return_counts=True)[1]
    assert counts.max() == 1  # no edge is walked twice in one direction
    assert triangles.min() == 0
    assert np.array_equal(np.unique(triangles), np.arange(model.mean_shape.shape[0]))


def test_the_front_of_the_face_faces_the_viewer(model):
    normals = vertex_normals(model.mean_shape, model.triangles, model.vertex_triangles)
    front = np.asarray(model.landmarks)[[27, 28, 29, 30, 51, 57, 8]]
    assert np.asarray(normals)[front, 2].min() > 0


@pytest.mark.parametrize("name", ["identity_basis", "texture_basis"])
def test_bases_are_orthogonal_ordered_and_of_fixed_sign(model, name):
    flat = np.asarray(getattr(model, name), np.float64).reshape(-1, 80)
    gram = flat.T @ flat
    length = np.sqrt(np.diag(gram))
    assert (np.diff(length) <= 1e-6).all()
    correlation = gram / np.outer(length, length) - np.eye(80)
    assert np.abs(correlation).max() < 2e-3
    assert (flat[np.abs(flat).argmax(axis=0), np.arange(80)] > 0).all()


def test_principal_components_explain_the_draws_covariance():
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((6, 4, 3))
    basis = mix_factors(factors, component_mixing(factors, 6)).reshape(12, 6)
    flat = factors.reshape(6, 12)
    np.testing.assert_allclose(basis @ basis.T, flat.T @ flat, atol=1e-10)


def test_principal_components_say_when_factors_are_too_few():
    with pytest.raises(ValueError, match="factors"):
        component_mixing(np.zeros((3, 4, 3)), 5)


def test_jaw_open_parts_the_lips_and_rest_keeps_them_shut(model, template):
    assert np.abs(gaps(shaped(model), template)).max() < 1e-4
    opened = gaps(shaped(model, jaw_open=1.0), template)
    middle = len(opened) // 2
    assert 0.15 < opened[middle] < 0.3  # 1.5 to 3 cm
    assert opened[0] == pytest.approx(0.0, abs=1e-6)
    half = gaps(shaped(model, jaw_open=0.5), template)
    np.testing.assert_allclose(half, 0.5 * opened, atol=1e-5)


def test_mouth_close_shuts_the_lips_of_an_open_jaw(model, template):
    opened = gaps(shaped(model, jaw_open=1.0), template)
    shut = gaps(shaped(model, jaw_open=1.0, mouth_close=1.0), template)
    assert np.abs(shut).max() < 0.03 * opened.max()


VISEMES = [
    {"jaw_open": 0.6},
    {"jaw_open": 0.2, "lip_spread": 0.8},
    {"jaw_open": 0.2, "lip_round": 1.0},
    {"jaw_open": 0.35, "lip_round": 0.6},
    {"lip_press": 1.0},
    {"jaw_open": 0.12, "lower_lip_tuck": 1.0},
    {"jaw_open": 0.1, "lip_funnel": 1.0},
    {"jaw_open": 0.15, "lower_lip_depress": 0.3},
    {"mouth_corners_up": 1.0},
    {"mouth_corners_down": 1.0},
    {"upper_lip_raise": 1.0},
    {"upper_lip_roll_in": 1.0, "lower_lip_roll_in": 1.0},
]


@pytest.mark.parametrize("shape", VISEMES, ids=lambda s: "+".join(s))
def test_lips_do_not_go_through_each_other(model, template, shape):
    rng = np.random.default_rng(0)
    for _ in range(8):
        identity = jnp.asarray(2.0 * rng.standard_normal(80), jnp.float32)
        vertices = np.asarray(face_shape(model, identity, expression(**shape)))
        assert gaps(vertices, template).min() > -0.012  # at most the softness of lips


def test_lips_at_rest_meet_without_crossing_in_random_faces(model, template):
    """Draws at two standard deviations, every vertex of both inner edges."""
    rng = np.random.default_rng(2)
    basis = np.asarray(model.identity_basis)
    upper, lower = template.upper_seam, template.lower_seam
    between = (basis[upper] - basis[lower])[:, 1]
    rest = np.asarray(model.mean_shape)[upper] - np.asarray(model.mean_shape)[lower]
    distance = rest[:, 1] + 2.0 * rng.standard_normal((200, 80)) @ between.T
    assert distance.min() > -0.003
    # And each edge goes on from corner to corner without turning back.
    for seam in (upper, lower):
        x = np.asarray(model.mean_shape)[seam, 0] + 2.0 * rng.standard_normal((200, 80)) @ (
            basis[seam, 0].T
        )
        assert np.diff(x, axis=1).min() > 0.0


def test_rounding_narrows_and_spreading_widens_the_mouth(model):
    corners = np.asarray(model.landmarks)[[48, 54]]

    def width(vertices):
        return vertices[corners[1], 0] - vertices[corners[0], 0]

    rest = width(shaped(model))
    assert width(shaped(model, lip_round=1.0)) < 0.8 * rest
    assert width(shaped(model, lip_spread=1.0)) > 1.1 * rest
    smile = shaped(model, mouth_corners_up=1.0)
    assert smile[corners, 1].min() > np.asarray(model.mean_shape)[corners, 1].max() + 0.03


def test_one_sided_components_add_up_to_the_whole(model):
    basis = np.asarray(model.expression_basis)
    index = EXPRESSION_NAMES.index
    both = basis[:, :, index("mouth_corner_up_left")] + basis[:, :, index("mouth_corner_up_right")]
    np.testing.assert_allclose(both, basis[:, :, index("mouth_corners_up")], atol=1e-6)
    left = basis[:, :, index("mouth_corner_up_left")]
    assert np.abs(left[np.asarray(model.mean_shape)[:, 0] > 0.1]).max() < 1e-6


def test_eyes_and_lids_do_not_move_with_the_expression(model, template):
    moved = np.abs(np.asarray(model.expression_basis))
    assert moved[template.label == EYE].max() == 0.0
    assert moved[np.asarray(model.landmarks)[36:48]].max() < 0.003


def test_every_component_moves_something_smoothly(model):
    basis = np.asarray(model.expression_basis)
    strongest = np.abs(basis).max(axis=(0, 1))
    assert strongest.min() > 0.005
    assert strongest.max() < 0.5


def test_textures_at_two_deviations_stay_colours(model, template):
    rng = np.random.default_rng(1)
    outside = []
    for _ in range(20):
        coefficients = jnp.asarray(2.0 * rng.standard_normal(80), jnp.float32)
        colors = np.asarray(face_texture(model, coefficients))
        outside.append(((colors < -0.05) | (colors > 1.05)).mean())
    assert np.mean(outside) < 0.05


def test_lips_are_redder_than_skin_and_the_mouth_is_dark(model, template):
    colors = np.asarray(model.mean_texture)
    lips = colors[np.isin(template.label, (UPPER_LIP, LOWER_LIP))].mean(axis=0)
    skin = colors[template.label == 0].mean(axis=0)
    assert lips[0] / lips[1] > 1.15 * skin[0] / skin[1]
    assert colors[np.isin(template.label, (4, 5))].mean() < 0.3
