"""The eye region of Eq. 9."""

import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.face.eye_region import eye_region


@pytest.fixture
def plane():
    """A grid of points at z = 0 with the eyes' landmarks on little circles at x = ±0.3, y = 0.1."""
    x, y = np.meshgrid(np.linspace(-1, 1, 201), np.linspace(-1, 1, 201))
    grid = np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], axis=-1)
    angle = np.arange(6) * np.pi / 3
    circle = 0.05 * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=-1)
    eyes = [circle + np.array([x, 0.1, 0]) for x in (-0.3, 0.3)]
    vertices = np.concatenate([*eyes, grid])
    landmarks = np.full(68, 12)
    landmarks[36:48] = np.arange(12)
    return jnp.asarray(vertices, jnp.float32), jnp.asarray(landmarks, jnp.int32)


@pytest.mark.parametrize("threshold", [0.005, 0.013])
def test_region_is_an_ellipse_twice_as_wide_as_high_around_each_eye(plane, threshold):
    vertices, landmarks = plane
    region = np.asarray(eye_region(vertices, landmarks, threshold=threshold))
    inside = np.asarray(vertices)[region]
    for center in (-0.3, 0.3):
        eye = inside[np.sign(inside[:, 0]) == np.sign(center)]
        assert np.abs(eye[:, 0] - center).max() == pytest.approx(2 * threshold**0.5, abs=0.011)
        assert np.abs(eye[:, 1] - 0.1).max() == pytest.approx(threshold**0.5, abs=0.011)
        area = len(eye) * 0.01**2
        assert area == pytest.approx(2 * np.pi * threshold, rel=0.1)


def test_the_back_of_a_closed_head_is_left_out(plane):
    vertices, landmarks = plane
    behind = jnp.concatenate([vertices, vertices - jnp.array([[0, 0, 2.0]])])
    region = np.asarray(eye_region(behind, landmarks))
    assert region[: len(vertices)].any()
    assert not region[len(vertices) :].any()
