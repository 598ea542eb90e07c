"""Fitting by rendering: from pictures alone, gradient descent finds what they show."""

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.bench_fitting import (
    draw,
    errors,
    fit,
    halved,
    mean_scene,
    pyramid_difference,
    random_scene,
)
from facial_jax.face.procedural import procedural_face_model
from facial_jax.rendering.camera import pinhole_camera

SIZE = (96, 96)


def test_pyramid_halves_by_means_and_sums_the_levels_differences():
    first = jnp.asarray(np.random.default_rng(0).normal(size=(1, 16, 32, 2)), jnp.float32)
    expected = np.asarray(first).reshape(1, 8, 2, 16, 2, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(halved(first), expected, atol=1e-6)
    # A constant difference is the same at each of the four scales.
    assert float(pyramid_difference(first, first + 0.5)) == pytest.approx(4 * 0.25, rel=1e-5)


def test_pose_expression_identity_and_light_are_found_from_pictures_alone():
    model, camera = procedural_face_model(), pinhole_camera(SIZE)
    truth, start = random_scene(3, seed=0), mean_scene(3)
    target = draw(model, truth, camera, SIZE)
    scene, losses = fit(model, target, camera, SIZE, 400)
    before, after = (errors(model, s, truth, camera, SIZE) for s in (start, scene))
    assert losses[-1] < 0.02 * losses[0]
    assert after.image < 0.05 * before.image
    assert before.rotation_deg > 10
    assert after.rotation_deg < 1
    assert after.neutral_mm < 0.7 * before.neutral_mm
    assert after.expression_mm < 0.4 * before.expression_mm
    assert after.light < 0.2 * before.light
