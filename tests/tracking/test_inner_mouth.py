"""What a video shows between the lips, found in pictures of a known mouth."""

import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.attributes import Attributes, Identity
from facial_jax.face.procedural import EXPRESSION_NAMES, procedural_face_model
from facial_jax.rendering.camera import pinhole_camera
from facial_jax.rendering.inner_mouth import MAX_PICTURES
from facial_jax.rendering.render import render
from facial_jax.tracking.inner_mouth import apart, video_inner_mouth
from facial_jax.tracking.texture import inside_mouth

SIZE, FRAMES = 128, 8
GREEN = (0.1, 0.8, 0.1)


@pytest.fixture(scope="module")
def clip():
    """A turning head whose mouth is green inside."""
    model = procedural_face_model()
    expression = np.zeros((FRAMES, 64), np.float32)
    expression[:, EXPRESSION_NAMES.index("jaw_open")] = np.linspace(0.0, 0.8, FRAMES)
    pose = np.zeros((FRAMES, 6), np.float32)
    pose[:, 2] = np.linspace(-0.3, 0.3, FRAMES)
    attributes = Attributes(expression=expression, pose=pose, blink=np.zeros(FRAMES, np.float32))
    light = jnp.zeros((3, 9))
    identity = Identity(identity=jnp.zeros(80), texture=jnp.zeros(80), illumination=light)
    texture = np.where(inside_mouth(model)[:, None], GREEN, (0.8, 0.5, 0.5)).astype(np.float32)
    painted = model.replace(mean_texture=jnp.asarray(texture))
    camera = pinhole_camera((SIZE, SIZE))
    image = render(painted, identity, attributes, camera, (SIZE, SIZE)).image
    return model, identity, attributes, np.round(255 * np.asarray(image)).astype(np.uint8)


def test_pictures_show_the_inside_at_the_lips_that_they_were_seen_between(clip):
    model, identity, attributes, frames = clip
    mouth = video_inner_mouth(model, identity, attributes, frames)
    assert 4 <= len(mouth.pictures) < FRAMES  # the shut ones tell nothing
    gap = mouth.lips[:, 2, 1] - mouth.lips[:, 6, 1]
    assert len(np.unique(gap)) == len(mouth.lips)
    middle = mouth.pictures[gap > 0.05, 6:10, 12:20].astype(float)
    assert (middle[..., 1] > middle[..., 0] + 20).mean() > 0.95


def test_a_mouth_that_never_opens_is_dark_inside(clip):
    model, identity, attributes, frames = clip
    still = np.zeros(3, int)
    mouth = video_inner_mouth(model, identity, attributes[still], frames[still])
    assert mouth.pictures.shape[0] == 1
    assert mouth.pictures.max() < 60


def test_the_frames_that_differ_most_are_taken():
    points = np.concatenate([np.zeros((50, 2)), [[1.0, 0.0]], np.full((50, 2), 0.1)])
    np.testing.assert_array_equal(sorted(apart(points, 3).tolist()), [0, 50, 51])
    assert len(apart(points, 10)) == 3  # the others are like these
    many = np.random.default_rng(0).normal(size=(500, 2))
    assert len(np.unique(apart(many, MAX_PICTURES))) == MAX_PICTURES


def test_as_many_frames_as_attributes(clip):
    model, identity, attributes, frames = clip
    with pytest.raises(ValueError, match="expected as many as there are attributes"):
        video_inner_mouth(model, identity, attributes, frames[1:])
