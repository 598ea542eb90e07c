"""Late and trembling landmarks, corrected by what the pictures show of a painted face."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.attributes import Attributes, Identity
from facial_jax.editing import gaussian_filter
from facial_jax.face.model import person_face_model
from facial_jax.face.procedural import procedural_face_model
from facial_jax.rendering.camera import pinhole_camera
from facial_jax.rendering.render import landmark_pixels, render
from facial_jax.tracking.alignment import SIZE_PX, align, smooth_as_known
from facial_jax.tracking.fitting import landmark_model, landmark_weights

FRAMES, FPS = 24, 25.0
SIZE = SIZE_PX, SIZE_PX


def place(model, identity, attributes):
    attributes = jax.tree.map(jnp.asarray, attributes)
    return np.asarray(landmark_pixels(model, identity.identity, attributes, pinhole_camera(SIZE)))


@pytest.fixture(scope="module")
def clip():
    """A painted face that moves quickly, and what landmarks that are late say of it."""
    model, rng = procedural_face_model(), np.random.default_rng(3)
    time = np.arange(FRAMES) / FPS
    pose = np.zeros((FRAMES, 6), np.float32)
    pose[:, 0] = 0.1 * np.sin(2 * np.pi * 1.1 * time)
    pose[:, 1] = 0.2 * np.sin(2 * np.pi * 0.8 * time)
    pose[:, 3] = 0.15 * np.sin(2 * np.pi * 1.5 * time)
    expression = gaussian_filter(rng.normal(size=(FRAMES, 64)).astype(np.float32), 2.0)
    expression = 0.3 * expression * np.asarray(landmark_model(model).expression_deviation)
    identity = Identity(
        identity=jnp.asarray(0.5 * rng.normal(size=80), jnp.float32),
        texture=jnp.zeros(80),
        illumination=jnp.asarray(0.05 * rng.normal(size=(3, 9)), jnp.float32),
    )
    shape = np.asarray(model.mean_shape)
    paint = np.sin(7 * shape[:, :1] + 1) * np.sin(6 * shape[:, 1:2])
    painted, nobody = person_face_model(
        model, identity, np.array(model.mean_texture) * (0.8 + 0.2 * paint)
    )
    blink = np.zeros(FRAMES, np.float32)
    truth = Attributes(expression=expression, pose=pose, blink=blink)
    camera = pinhole_camera(SIZE)
    image = np.asarray(render(painted, nobody, truth, camera, SIZE).image)
    frames = np.round(255 * np.clip(image, 0, 1)).astype(np.uint8)
    late = np.concatenate([pose[:1], pose[:-1]])
    late[:, 3:5] += 0.01 * rng.normal(size=(FRAMES, 2))
    landmarks = Attributes(expression=expression, pose=late, blink=blink)
    points = place(model, identity, landmarks) / SIZE_PX
    return model, identity, truth, landmarks, points.astype(np.float32), frames


def errors_px(model, identity, attributes, truth):
    off = place(model, identity, attributes) - place(model, identity, truth)
    return np.linalg.norm(off, axis=-1)[:, 17:].mean(axis=1)


def aligned(clip, seen):
    model, identity, _, landmarks, points, frames = clip
    points = np.where(seen[:, None, None], points, np.nan).astype(np.float32)

    def read(numbers):
        return iter(frames if numbers is None else frames[numbers])

    result = align(
        model,
        landmark_model(model),
        identity,
        np.concatenate([landmarks.pose, landmarks.expression], axis=1),
        points,
        landmark_weights(points, np.ones(FRAMES, np.float32)),
        np.zeros(FRAMES, np.float32),
        seen,
        FPS,
        read,
    )
    return Attributes(expression=result[:, 6:], pose=result[:, :6], blink=landmarks.blink)


def test_frames_are_where_their_pictures_show_them(clip):
    model, identity, truth, landmarks, *_ = clip
    before = errors_px(model, identity, landmarks, truth)
    after = errors_px(model, identity, aligned(clip, np.ones(FRAMES, bool)), truth)
    assert before.mean() > 1.0
    assert after.mean() < 0.35 * before.mean()
    assert after.max() < before.mean()


def test_frames_without_a_face_stay_between_their_neighbours(clip):
    model, identity, truth, landmarks, *_ = clip
    seen = np.ones(FRAMES, bool)
    seen[10:13] = False
    result = aligned(clip, seen)
    np.testing.assert_array_equal(result.expression[10:13], landmarks.expression[10:13])
    assert np.isfinite(result.pose).all()
    before = errors_px(model, identity, landmarks, truth)
    assert errors_px(model, identity, result, truth)[10:13].max() < before.mean()


def test_what_is_known_well_stays_and_the_rest_becomes_smooth():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, 2)).astype(np.float32)
    information = np.tile(np.diag([1e6, 1e-2]), (50, 1, 1))
    result = smooth_as_known(values, information, np.array([0.1, 0.1]))
    np.testing.assert_allclose(result[:, 0], values[:, 0], atol=1e-2)
    assert np.abs(np.diff(result[:, 1], 2)).max() < 0.01 * np.abs(np.diff(values[:, 1], 2)).max()


def test_one_or_two_frames_have_nothing_to_be_smoothed_by():
    values = np.ones((2, 6), np.float32)
    np.testing.assert_array_equal(
        smooth_as_known(values, np.tile(np.eye(6), (2, 1, 1)), np.ones(6)), values
    )
