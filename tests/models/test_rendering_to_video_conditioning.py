import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.attributes import Attributes
from facial_jax.models.rendering_to_video.conditioning import conditioning_pictures
from facial_jax.rendering.camera import pinhole_camera
from facial_jax.rendering.render import network_input, render
from facial_jax.rendering.surroundings import Surroundings, draw_surroundings, surroundings_arrays
from facial_jax.subject import load_subject, save_subject

SIZE = 64


def subject(surroundings=None):
    return dataclasses.replace(load_subject("demo"), size=SIZE, surroundings=surroundings)


def room():
    rng = np.random.default_rng(1)
    return Surroundings(
        extent=np.array([[-2.2, 2.2], [2.2, -2.6]], np.float32),
        height=np.full((12, 11), -0.8, np.float32),
        texture=rng.integers(0, 256, (60, 55, 4), np.uint8),
        background=rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8),
    )


def attributes():
    pose = np.array([[0, 0.1, 0, 0, 0, -4], [0.1, -0.3, 0.1, 0.2, 0, -4.5]], np.float32)
    zeros = np.zeros((2, 64), np.float32)
    return jax.tree.map(jnp.asarray, Attributes(zeros, pose, np.array([0, 3], np.float32)))


def rendered_on_black(attributes):
    scene = subject().scene()
    camera, size = pinhole_camera((SIZE, SIZE)), (SIZE, SIZE)
    return render(scene.face_model, scene.identity, attributes, camera, size)


def test_without_surroundings_the_network_sees_the_face_on_black():
    pictures = conditioning_pictures(subject().scene(), attributes())
    expected = network_input(rendered_on_black(attributes()), attributes().blink)
    np.testing.assert_array_equal(pictures, expected)


def test_with_them_it_sees_the_face_before_the_head_and_the_room():
    pictures = np.asarray(conditioning_pictures(subject(room()).scene(), attributes()))
    face = rendered_on_black(attributes())
    around = np.asarray(draw_surroundings(room(), attributes().pose, pinhole_camera((SIZE, SIZE))))
    outside = np.asarray(face.mask)[..., 0] == 0
    np.testing.assert_allclose(pictures[outside, :3], around[outside], atol=1e-6)
    eyes = np.asarray(face.attention)[..., 0] > 0.9
    np.testing.assert_allclose(pictures[eyes, :3], np.asarray(face.image)[eyes], atol=1e-5)
    expected = network_input(face, attributes().blink)[..., 3]
    np.testing.assert_allclose(pictures[..., 3], expected, atol=1e-6)


def test_a_subject_remembers_its_surroundings(tmp_path):
    save_subject(tmp_path / "anna", subject(room()), face_model="procedural")
    loaded = load_subject(tmp_path / "anna").surroundings
    for name, array in surroundings_arrays(room()).items():
        stored = surroundings_arrays(loaded)[name]
        assert stored.dtype == array.dtype
        np.testing.assert_allclose(stored, array, rtol=1e-3)
    assert load_subject("demo").surroundings is None


def test_a_background_of_another_size_than_the_subjects_is_refused():
    wrong = dataclasses.replace(subject(room()), size=32)
    with pytest.raises(ValueError, match="expected a background of the frames' 32×32 pixels"):
        wrong.scene()
