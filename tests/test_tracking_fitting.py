import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.attributes import Attributes
from facial_jax.face.model import face_landmarks, face_shape
from facial_jax.face.procedural import procedural_face_model
from facial_jax.rendering.camera import (
    camera_vertices,
    pinhole_camera,
    pose_vertices,
    project_to_pixels,
)
from facial_jax.tracking import fitting

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
        own = fitting._linearised(landmarks, shape, p, points, weights)[:2]

        def residuals(p):
            return fitting.landmark_residuals(landmarks, shape, p, points, weights)

        return own, (residuals(p), jax.jacfwd(residuals)(p))

    (value, jacobian), (expected, by_ad) = both(parameters)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(jacobian, by_ad, rtol=1e-4, atol=1e-2)


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
