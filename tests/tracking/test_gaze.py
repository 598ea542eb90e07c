"""The gaze is measured where it is drawn, and irises are found again in pictures of known ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.appearance import Appearance
from facial_jax.attributes import Attributes, Identity
from facial_jax.face.procedural import procedural_face_model
from facial_jax.gaze import Eyes, GazeHabits
from facial_jax.models.rendering_to_video.conditioning import conditioning_pictures, make_scene
from facial_jax.rendering.camera import pinhole_camera
from facial_jax.rendering.irises import TEXELS, Irises, place_irises
from facial_jax.tracking.gaze import (
    measure_gaze,
    person_eyeballs,
    video_irises,
)
from facial_jax.tracking.texture import video_texture

SIZE, FRAMES = 256, 24


@pytest.fixture(scope="module")
def motion():
    rng = np.random.default_rng(0)
    pose = rng.normal(size=(FRAMES, 6)) * [0.1, 0.2, 0.1, 0.2, 0.2, 0.5]
    gaze = rng.uniform(-0.25, 0.25, (FRAMES, 2, 2))
    gaze[:, 1] = gaze[:, 0] + [0.02, -0.05]
    return pose.astype(np.float32), gaze.astype(np.float32)


@pytest.fixture(scope="module")
def person():
    model = procedural_face_model()
    light = np.zeros((3, 9), np.float32)
    return model, Identity(jnp.zeros(80), jnp.zeros(80), jnp.asarray(light))


def seen_irises(centres, pose, gaze):
    camera = pinhole_camera((SIZE, SIZE))
    place = jax.vmap(lambda g, p: place_irises(centres, g, p, camera).middle)
    return np.array(place(jnp.asarray(gaze), jnp.asarray(pose)))


def test_what_is_drawn_is_measured(motion, person):
    pose, gaze = motion
    # Held for three frames each, so that the median over three is each one's own.
    pose, gaze = np.repeat(pose, 3, axis=0), np.repeat(gaze, 3, axis=0)
    centres = person_eyeballs(person[0], np.zeros(80, np.float32))
    irises = seen_irises(centres, pose, gaze)
    camera = pinhole_camera((SIZE, SIZE))
    measured = measure_gaze(centres, pose, irises, np.zeros(len(pose), np.float32), camera)
    np.testing.assert_allclose(measured, gaze, atol=np.radians(0.1))


def test_a_blink_and_a_lost_face_are_bridged(motion, person):
    pose, gaze = np.zeros((20, 6), np.float32), np.zeros((20, 2, 2), np.float32)
    gaze[:, :, 1] = np.linspace(-0.2, 0.2, 20)[:, None]
    centres = person_eyeballs(person[0], np.zeros(80, np.float32))
    irises, blink = seen_irises(centres, pose, gaze), np.zeros(20, np.float32)
    irises[5:8] += 30
    blink[5:8] = 4
    irises[12:14] = np.nan
    measured = measure_gaze(centres, pose, irises, blink, pinhole_camera((SIZE, SIZE)))
    np.testing.assert_allclose(measured[1:-1], gaze[1:-1], atol=np.radians(0.2))


def test_nothing_is_known_of_eyes_that_are_never_seen(person):
    centres = person_eyeballs(person[0], np.zeros(80, np.float32))
    irises, blink = np.full((30, 2, 2), np.nan, np.float32), np.zeros(30, np.float32)
    camera, pose = pinhole_camera((SIZE, SIZE)), np.zeros((30, 6), np.float32)
    assert measure_gaze(centres, pose, irises, blink, camera) is None


def test_painted_irises_are_found_and_the_rest_of_the_eye_is_white(motion, person):
    pose, gaze = motion
    model, identity = person
    painted = np.zeros((2, TEXELS, TEXELS, 3), np.uint8)
    painted[..., 2], painted[:, : TEXELS // 2, :, 1] = 200, 120
    offset = np.array([[-0.01, 0.025], [0.01, -0.025]], np.float32)
    irises = Irises(painted, offset, np.zeros(2, np.float32))
    texture = np.array(model.mean_texture)
    habits = GazeHabits(*(np.zeros(shape, np.float32) for shape in ((1, 2), (1,), (2, 2))))
    appearance = Appearance(vertex_texture=texture, eyes=Eyes(irises, habits))
    scene = make_scene(model, identity, (SIZE, SIZE), appearance)
    attributes = Attributes(
        expression=np.zeros((FRAMES, 64), np.float32),
        pose=pose,
        blink=np.zeros(FRAMES, np.float32),
        gaze=gaze.mean(axis=1),
    )
    pictures = np.asarray(jax.jit(conditioning_pictures)(scene, attributes))[..., :3]
    frames = np.round(255 * pictures).astype(np.uint8)
    usual = np.array([0.1, 0.0], np.float32)
    found = video_irises(model, identity, attributes, gaze, frames, usual_gaze=usual)
    np.testing.assert_allclose(found.offset, offset, atol=1e-3)
    np.testing.assert_array_equal(found.usual_gaze, usual)
    inner = slice(TEXELS // 4, -TEXELS // 4)
    error = np.abs(found.texture[:, inner, inner].astype(int) - painted[:, inner, inner])
    assert np.median(error) <= 3
    assert error.mean() < 12
    # Blue irises leave no blue in the texture that they are drawn on.
    own = attributes.replace(gaze=None)
    with_eyes = video_texture(model, identity, own, frames)
    white = video_texture(model, identity, own, frames, gaze=gaze)

    def blue(colors):
        return ((colors[:, 2] - colors[:, 0]) > 0.2).sum()

    assert blue(with_eyes) > 100
    assert blue(white) < 0.05 * blue(with_eyes)
