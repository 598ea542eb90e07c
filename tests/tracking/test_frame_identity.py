"""An identity for every frame, fitted around the clip's."""

import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.face.procedural import procedural_face_model
from facial_jax.tracking import fitting
from facial_jax.tracking.frame_identity import FRAME_IDENTITY_DEVIATION, fit_frame_identities

FRAMES = 40


@pytest.fixture(scope="module")
def landmarks():
    return fitting.landmark_model(procedural_face_model())


def fit(landmarks, identities):
    """Of landmarks that are exact, with the mean identity and the true pitch and yaw given."""
    phase = np.linspace(0, 6, FRAMES)
    parameters = np.zeros((FRAMES, 70), np.float32)
    parameters[:, 0], parameters[:, 1] = 0.15 * np.sin(1.3 * phase), 0.2 * np.cos(phase)
    parameters[:, 5] = -3.0
    parameters[:, 6] = 0.2 + 0.2 * np.sin(4 * phase)
    seen = fitting.project_frames(landmarks, jnp.asarray(identities), jnp.asarray(parameters))
    points = np.asarray(seen)
    weights = fitting.landmark_weights(points, np.ones(FRAMES, np.float32))
    common = identities.mean(axis=0)
    start = fitting.fit_frames(landmarks, common, parameters, points, weights, parameters[:, :2])
    found, own = fit_frame_identities(landmarks, common, start, points, weights, parameters[:, :2])
    errors = (
        np.asarray(fitting.project_frames(landmarks, jnp.asarray(i), jnp.asarray(p))) - points
        for i, p in ((common, start), (found, own))
    )
    return found, [float(np.abs(error[:, 17:]).mean()) for error in errors]


def test_what_landmarks_show_of_a_changing_shape_is_found_in_part(landmarks):
    rng = np.random.default_rng(0)
    common = rng.standard_normal(80).astype(np.float32)
    direction = rng.standard_normal(80)
    amount = np.sin(np.linspace(0, 9, FRAMES))
    identities = (common + amount[:, None] * direction).astype(np.float32)
    found, (before, after) = fit(landmarks, identities)
    assert after < 0.8 * before
    along = (found - found.mean(axis=0)) @ direction / (direction @ direction)
    assert np.corrcoef(along, amount)[0, 1] > 0.9
    # The priors keep most of it back: expression, pose and identity share what is seen.
    assert 0.02 < np.polyfit(amount, along, 1)[0] < 1.0


def test_a_shape_that_does_not_change_moves_by_less_than_a_third_of_its_prior(landmarks):
    common = np.random.default_rng(1).standard_normal(80).astype(np.float32)
    found, _ = fit(landmarks, np.tile(common, (FRAMES, 1)))
    # The expression's prior holds the mouth back a little, and the shape takes up the rest.
    assert np.abs(found - common).max() < FRAME_IDENTITY_DEVIATION / 3
