import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.attributes import Attributes
from facial_jax.face.model import face_landmarks, face_model_from_arrays, face_shape
from facial_jax.face.procedural import procedural_face_model
from facial_jax.rendering.camera import (
    camera_vertices,
    pinhole_camera,
    pose_vertices,
    project_to_pixels,
    rotation_from_euler,
)
from facial_jax.tracking import fitting, photometric

FRAMES = 40


@pytest.fixture(scope="module")
def landmarks():
    return fitting.landmark_model(procedural_face_model())


@pytest.fixture(scope="module")
def truth():
    """A person who turns, nods and opens the mouth, and the landmarks that a camera sees."""
    rng = np.random.default_rng(1)
    phase = np.linspace(0, 6, FRAMES)
    pose = np.zeros((FRAMES, 6), np.float32)
    pose[:, 0] = 0.15 * np.sin(1.3 * phase)
    pose[:, 1] = 0.3 * np.sin(phase)
    pose[:, 2] = 0.1 * np.cos(phase)
    pose[:, 3:] = [0.2, -0.1, -4.0]
    expression = np.zeros((FRAMES, 64), np.float32)
    expression[:, 0] = 0.3 + 0.3 * np.sin(4 * phase)
    identity = rng.standard_normal(80).astype(np.float32)
    return pose, expression, identity


@jax.jit
def seen_landmarks(model, pose, expression, identity):
    attributes = Attributes(
        expression=expression, pose=pose, blink=jnp.zeros(len(pose), jnp.float32)
    )
    vertices = pose_vertices(face_shape(model, identity, expression), attributes)
    camera = pinhole_camera((1, 1))
    return project_to_pixels(camera, camera_vertices(camera, face_landmarks(model, vertices)))


@pytest.fixture(scope="module")
def fitted(landmarks, truth):
    model = procedural_face_model()
    points = np.array(seen_landmarks(model, *truth))
    weights = fitting.landmark_weights(points, np.ones(FRAMES, np.float32))
    start = fitting.initial_parameters(model, points)
    average = np.zeros(80, np.float32)
    first = fitting.fit_frames(landmarks, average, start, points, weights)
    identity, chosen, _ = fitting.fit_identity(landmarks, first, points, weights)
    parameters = fitting.fit_frames(landmarks, identity, start, points, weights)
    return points, identity, chosen, parameters


def test_landmarks_are_projected_as_the_renderer_does(landmarks, truth):
    model = procedural_face_model()
    pose, expression, identity = truth
    expected = np.asarray(seen_landmarks(model, pose, expression, identity))
    parameters = np.concatenate([pose, expression], axis=1)
    projected = np.asarray(fitting.project_frames(landmarks, jnp.asarray(identity), parameters))
    np.testing.assert_allclose(projected[:, 17:], expected[:, 17:], atol=1e-5)
    # The jaw's move along the jaw, but not far.
    assert np.linalg.norm(projected[:, :17] - expected[:, :17], axis=-1).max() < 0.12


def test_pose_and_mouth_of_a_known_face_are_found(truth, fitted):
    pose, expression, _ = truth
    _, _, _, parameters = fitted
    error = np.degrees(parameters[:, :3] - pose[:, :3])
    error -= np.median(error, axis=0)
    assert np.abs(error).mean(axis=0).max() < 1.0
    assert np.corrcoef(parameters[:, 6], expression[:, 0])[0, 1] > 0.95


def test_the_shared_identity_brings_the_landmarks_nearer(landmarks, truth, fitted):
    points, identity, chosen, parameters = fitted
    assert len(set(chosen.tolist())) == len(chosen) <= fitting.KEYFRAMES
    weights = fitting.landmark_weights(points, np.ones(FRAMES, np.float32))
    average = np.zeros(80, np.float32)
    alone = fitting.fit_frames(landmarks, average, parameters, points, weights)

    def error(identity, parameters):
        seen = fitting.project_frames(landmarks, jnp.asarray(identity), parameters)
        return fitting.landmark_error(np.asarray(seen), points).mean()

    assert error(identity, parameters) < 0.9 * error(average, alone)
    assert error(identity, parameters) < 0.006


def test_gauss_newton_uses_the_true_derivatives(landmarks, truth):
    pose, expression, identity = truth
    parameters = jnp.asarray(np.concatenate([pose[5], expression[5]]))
    shape = landmarks.mean + landmarks.identity_basis @ identity
    points, weights = jnp.full((68, 2), 0.5, jnp.float32), jnp.ones(68, jnp.float32)

    @jax.jit
    def both(p):
        own = fitting.linearised_residuals(landmarks, shape, p, points, weights)[:2]

        def residuals(p):
            return fitting.landmark_residuals(landmarks, shape, p, points, weights)

        return own, (residuals(p), jax.jacfwd(residuals)(p))

    (value, jacobian), (expected, by_ad) = both(parameters)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(jacobian, by_ad, rtol=1e-4, atol=1e-2)


def test_nods_come_from_the_turns_of_the_head_where_the_landmarks_stay_behind(
    landmarks, truth, fitted
):
    pose, _, identity = truth
    points, *_ = fitted
    # From whichever rotation the turns are counted, the angles are those of the fitted poses.
    other = np.asarray(rotation_from_euler(jnp.asarray([0.3, -0.2, 0.1], jnp.float32)))
    turns = np.asarray(rotation_from_euler(jnp.asarray(pose[:, :3]))) @ other
    turns[7] = np.nan
    some = np.arange(10, 30)
    angles = fitting.head_angles(turns, some, pose[some])
    kept = np.arange(FRAMES) != 7
    np.testing.assert_allclose(angles[kept], pose[kept, :2], atol=1e-5)
    assert np.isnan(angles[7]).all()
    # The nose's bridge follows the nods by half: so does the fit, unless the turns say more.
    stiff = points.copy()
    stiff[:, 27:31, 1] -= 0.06 * (pose[:, :1] - pose[:, :1].mean())
    weights = fitting.landmark_weights(stiff, np.ones(FRAMES, np.float32))
    start = fitting.initial_parameters(procedural_face_model(), stiff)

    def slope(*angles):
        found = fitting.fit_frames(landmarks, identity, start, stiff, weights, *angles)
        return np.polyfit(pose[:, 0], found[:, 0], 1)[0]

    assert slope() < 0.75
    assert slope(angles) > 0.85


def test_frames_without_a_face_do_not_spoil_their_neighbours(landmarks, truth, fitted):
    points, identity, _, parameters = fitted
    holed = points.copy()
    holed[10:13] = np.nan
    weights = fitting.landmark_weights(holed, np.ones(FRAMES, np.float32))
    assert not weights[10:13].any()
    start = fitting.initial_parameters(procedural_face_model(), holed)
    again = fitting.fit_frames(landmarks, identity, start, holed, weights)
    assert np.isfinite(again).all()
    kept = np.r_[0:10, 13:FRAMES]
    np.testing.assert_allclose(again[kept, :3], parameters[kept, :3], atol=2e-3)


@pytest.fixture(scope="module")
def another_model():
    """A face model as people bring them: other vertices, dense random bases, other units of
    expression; half an egg with a nose."""
    rng = np.random.default_rng(5)
    across, up = np.meshgrid(np.radians(np.linspace(-100, 100, 48)), np.linspace(-1.2, 1.2, 56))
    shape = np.stack(
        [
            0.85 * np.sin(across) * np.cos(up),
            1.15 * np.sin(up),
            0.9 * np.cos(across) * np.cos(up) - 0.4,
        ],
        axis=-1,
    ).reshape(-1, 3)
    x, y, _ = shape.T
    shape[:, 2] += 0.25 * np.exp(-((x / 0.12) ** 2) - ((y + 0.1) / 0.2) ** 2)
    builtin = procedural_face_model()
    wanted = np.array(np.asarray(builtin.mean_shape)[np.asarray(builtin.landmarks)][:, :2])
    wanted[60:65, 1] += 0.03
    wanted[65:68, 1] -= 0.03
    front = np.where(shape[:, 2] > -0.45, 0.0, 9.0)
    distance = np.linalg.norm(wanted[:, None] - shape[None, :, :2], axis=-1) + front
    lips = wanted[60:68, 1].mean()

    def smooth(count, size):
        wave = rng.uniform(-2, 2, (count, 3)) @ shape.T + rng.uniform(0, 6, (count, 1))
        return (np.sin(wave).T[:, None] * rng.normal(0, size, (3, count))).astype(np.float32)

    expression = smooth(64, 0.004)
    jaw = 1 / (1 + np.exp((y - lips) / 0.015)) * np.exp(-((x / 0.4) ** 2))
    expression[:, :, 0] = jaw[:, None] * [0.0, -0.08, -0.02]
    row, column = np.meshgrid(np.arange(55), np.arange(47), indexing="ij")
    corner = (row * 48 + column).reshape(-1)
    triangles = np.concatenate(
        [
            np.stack([corner, corner + 1, corner + 49], -1),
            np.stack([corner, corner + 49, corner + 48], -1),
        ]
    )
    return face_model_from_arrays(
        mean_shape=shape,
        mean_texture=np.full(shape.shape, 0.5),
        identity_basis=smooth(80, 0.005),
        expression_basis=expression,
        texture_basis=smooth(80, 0.01),
        triangles=triangles,
        landmarks=distance.argmin(axis=1),
    )


def test_any_face_model_is_fitted(another_model, truth):
    pose, _, identity = truth
    expression = np.zeros((FRAMES, 64), np.float32)
    expression[:, 0] = 1.2 + 1.2 * np.sin(np.linspace(0, 24, FRAMES))
    points = np.array(seen_landmarks(another_model, pose, expression, identity))
    landmarks = fitting.landmark_model(another_model)
    true = np.concatenate([pose, expression], axis=1)
    outline = fitting.project_frames(landmarks, jnp.asarray(identity), true)[:, :17]
    points[:, :17] = np.asarray(outline)  # a detector sees the jaw where the face ends
    weights = fitting.landmark_weights(points, np.ones(FRAMES, np.float32))
    start = fitting.initial_parameters(another_model, points)
    first = fitting.fit_frames(landmarks, np.zeros(80, np.float32), start, points, weights)
    own, _, _ = fitting.fit_identity(landmarks, first, points, weights)
    parameters = fitting.fit_frames(landmarks, own, start, points, weights)
    error = np.degrees(parameters[:, :3] - pose[:, :3])
    error -= np.median(error, axis=0)
    assert np.abs(error).mean(axis=0).max() < 1.0
    assert np.corrcoef(parameters[:, 6], expression[:, 0])[0, 1] > 0.95
    seen = np.asarray(fitting.project_frames(landmarks, jnp.asarray(own), parameters))
    assert fitting.landmark_error(seen, points).mean() < 0.01
    skin = photometric.skin_vertices(another_model)
    assert 0.05 < skin.mean() < 0.7


def test_closed_eyelids_lose_their_weight():
    points = np.zeros((2, 68, 2), np.float32)
    open_eyes, closed = fitting.landmark_weights(points, np.array([1.0, 0.0], np.float32))
    lids, corners = [37, 41, 44, 46], [36, 39, 42, 45]
    assert (closed[lids] < 0.1 * open_eyes[lids]).all()
    np.testing.assert_array_equal(closed[corners], open_eyes[corners])


def test_the_farthest_points_come_first():
    rows = np.array([[0.0], [0.1], [-0.1], [5.0], [-9.0]], np.float32)
    np.testing.assert_array_equal(fitting.farthest_points(rows, 3), [0, 4, 3])
    assert len(fitting.farthest_points(rows, 9)) == 5


def test_rows_that_are_all_the_same_are_taken_once():
    rows = np.ones((30, 4), np.float32)
    np.testing.assert_array_equal(fitting.farthest_points(rows, 8), [0])
    rows[20] = 2
    assert len(fitting.farthest_points(rows, 8)) == 2
