"""The lower face, which PGFace's losses weigh ten times."""

import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.face.lower_face import lower_face
from facial_jax.face.procedural import procedural_face_model

MOUTH, CHIN = range(48, 68), range(6, 11)
BROWS_AND_EYES, BRIDGE = (*range(17, 27), *range(36, 48)), range(27, 31)


def region(model):
    return np.asarray(lower_face(model.mean_shape, model.landmarks))


@pytest.fixture(scope="module")
def built_in():
    return procedural_face_model()


def test_mouth_and_chin_belong_to_it_and_eyes_brows_and_nose_do_not(built_in):
    inside = region(built_in)[np.asarray(built_in.landmarks)]
    assert inside[[*MOUTH, *CHIN]].all()
    assert not inside[[*BROWS_AND_EYES, *BRIDGE]].any()


def test_both_halves_of_the_built_in_face_have_the_same_part_in_it(built_in):
    inside, x = region(built_in), np.asarray(built_in.mean_shape)[:, 0]
    assert inside[x < 0].mean() == pytest.approx(inside[x > 0].mean(), rel=0.02)
    assert 0.2 < inside.mean() < 0.6


def test_it_is_found_by_landmarks_on_another_mesh_of_another_size_and_place(built_in):
    rng = np.random.default_rng(0)
    landmarks = np.asarray(built_in.landmarks)
    chosen = np.concatenate([landmarks, rng.permutation(len(built_in.mean_shape))[:500]])
    moved = 1.3 * built_in.mean_shape[chosen] + jnp.array([[0.2, -3.0, 1.0]])
    found = np.asarray(lower_face(moved, jnp.arange(68)))
    np.testing.assert_array_equal(found, region(built_in)[chosen])


def test_throat_and_neck_are_left_out(built_in):
    shape, landmarks = np.asarray(built_in.mean_shape), built_in.landmarks
    chin = shape[np.asarray(landmarks)[8]]
    further = np.stack([chin - [0.0, 0.05, 0.0], chin - [0.0, 0.5, 0.0], chin - [0.0, 0.0, 1.0]])
    vertices = jnp.asarray(np.concatenate([shape, further]), jnp.float32)
    assert np.asarray(lower_face(vertices, landmarks))[-3:].tolist() == [True, False, False]
