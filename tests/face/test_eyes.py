"""Eyeballs are found by landmarks, and gazes are angles."""

import jax.numpy as jnp
import numpy as np

from facial_jax.face.eyes import (
    EYEBALL_RADIUS_DM,
    eyeball_centres,
    eyeball_vertices,
    gaze_angles,
    gaze_direction,
)
from facial_jax.face.procedural import procedural_face_model
from facial_jax.rendering.camera import rotation_from_euler


def test_gaze_angles_and_directions_are_each_others_inverse():
    gaze = np.random.default_rng(0).uniform(-1.2, 1.2, (50, 2))
    direction = gaze_direction(gaze)
    np.testing.assert_allclose(np.linalg.norm(direction, axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(gaze_angles(3 * direction), gaze, atol=1e-12)
    np.testing.assert_allclose(gaze_angles(jnp.asarray(direction)), gaze, atol=1e-5)


def test_a_gaze_turns_as_the_head_does():
    pitch, yaw = 0.3, -0.4
    turned = rotation_from_euler(jnp.array([pitch, yaw, 0.0])) @ jnp.array([0.0, 0.0, 1.0])
    # The head's yaw comes after its pitch: the pitch alone is the same, and so is the yaw.
    for head, gaze in (((pitch, 0, 0), (pitch, 0)), ((0, yaw, 0), (0, yaw))):
        turned = rotation_from_euler(jnp.array(head, jnp.float32)) @ jnp.array([0.0, 0.0, 1.0])
        np.testing.assert_allclose(turned, gaze_direction(np.array(gaze)), atol=1e-6)


def test_eyeballs_lie_behind_the_lids_and_are_seen_between_them():
    model = procedural_face_model()
    shape, landmarks = np.asarray(model.mean_shape), np.asarray(model.landmarks)
    centres = np.asarray(eyeball_centres(model.mean_shape, model.landmarks))
    between = np.asarray(eyeball_vertices(model.mean_shape, model.landmarks))
    assert 50 < between.sum() < 1500
    for eye, first in zip(centres, (36, 42), strict=True):
        corners = shape[landmarks[[first, first + 3]], 0]
        assert corners.min() < eye[0] < corners.max()
        near = between & (np.abs(shape[:, 0] - eye[0]) < 0.2)
        # What is between the lids lies about on a ball of this size.
        away = np.linalg.norm(shape[near] - eye, axis=1)
        assert np.abs(np.median(away) - EYEBALL_RADIUS_DM) < 0.03
    np.testing.assert_allclose(centres[0] * [-1, 1, 1], centres[1], atol=0.01)
