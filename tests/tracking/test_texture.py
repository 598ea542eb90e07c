"""The texture that a video shows of a face, found again in pictures of a known one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.attributes import Attributes, Identity
from facial_jax.face.color_mesh import at_points, color_mesh
from facial_jax.face.eyes import eyeball_vertices
from facial_jax.face.model import face_texture, person_face_model
from facial_jax.face.procedural import procedural_face_model
from facial_jax.face.procedural.lids import closed_lids
from facial_jax.rendering.camera import pinhole_camera
from facial_jax.rendering.color_changes import changed_albedo
from facial_jax.rendering.render import render
from facial_jax.tracking.texture import (
    blinking_frames,
    changing_texture,
    inside_mouth,
    texture_frames,
    video_texture,
)

SIZE, FRAMES = 160, 10


@pytest.fixture(scope="module")
def clip():
    model, rng = procedural_face_model(), np.random.default_rng(0)
    pose = np.zeros((FRAMES, 6), np.float32)
    pose[:, 1] = np.linspace(-0.5, 0.5, FRAMES)
    expression = np.zeros((FRAMES, 64), np.float32)
    expression[:, 0] = np.linspace(0, 1, FRAMES)
    blink = np.zeros(FRAMES, np.float32)
    attributes = Attributes(expression=expression, pose=pose, blink=blink)
    light = 0.1 * rng.normal(size=(3, 9)).astype(np.float32)
    identity = Identity(
        identity=jnp.asarray(rng.normal(size=80), jnp.float32),
        texture=jnp.zeros(80),
        illumination=jnp.asarray(light),
    )
    # Broad stripes that no coefficient of texture has.
    height = np.asarray(model.mean_shape)[:, 1:2]
    painted = np.array(model.mean_texture) * (0.75 + 0.25 * np.sin(6 * height))
    painted_model, nobody = person_face_model(model, identity, painted)
    camera = pinhole_camera((SIZE, SIZE))
    image = render(painted_model, nobody, attributes, camera, (SIZE, SIZE)).image
    frames = np.round(255 * np.asarray(image)).astype(np.uint8)
    return model, identity, attributes, frames, painted


def test_the_paint_is_found_where_the_video_shows_it(clip):
    model, identity, attributes, frames, painted = clip
    found = video_texture(model, identity, attributes, frames)
    error = np.abs(found - painted).mean(axis=1)
    front = np.asarray(model.mean_shape)[:, 2] > 0.3
    assert np.median(error[front]) < 0.01
    statistical = np.abs(np.asarray(model.mean_texture) - painted).mean(axis=1)
    assert error[front].mean() < 0.25 * statistical[front].mean()


def test_a_texture_that_changes_with_pose_and_expression_is_found(clip):
    model, identity, attributes, _, painted = clip
    count = 24
    pose = np.zeros((count, 6), np.float32)
    pose[:, 1] = 0.4 * np.sin(np.linspace(0, 9, count))
    expression = np.zeros((count, 64), np.float32)
    expression[:, 0] = 0.5 + 0.5 * np.cos(np.linspace(0, 7, count))
    attributes = Attributes(expression=expression, pose=pose, blink=np.zeros(count, np.float32))
    share = 0.8 + 0.4 * pose[:, 1] + 0.2 * expression[:, 0]
    true = painted * share[:, None, None]
    _, nobody = person_face_model(model, identity, painted)
    camera = pinhole_camera((SIZE, SIZE))
    albedo = jnp.asarray(true, jnp.float32)
    image = render(model, nobody, attributes, camera, (SIZE, SIZE), albedo=albedo).image
    frames = np.round(255 * np.asarray(image)).astype(np.uint8)
    known, others = np.arange(0, count, 2), np.arange(1, count, 2)
    texture, changes = changing_texture(model, identity, attributes[known], frames[known])
    found = np.asarray(changed_albedo(jnp.asarray(texture), changes, attributes[others]))
    found = found[:, : len(painted)]
    front = np.asarray(model.mean_shape)[:, 2] > 0.3
    error = np.abs(found - true[others])[:, front].mean()
    still = video_texture(model, identity, attributes[known], frames[known])
    assert error < 0.5 * np.abs(still - true[others])[:, front].mean()


def test_a_fold_narrower_than_the_triangles_is_found_between_vertices(clip):
    model, identity, attributes, _, _ = clip
    mesh, size = color_mesh(model.triangles, len(model.mean_shape)), (2 * SIZE, 2 * SIZE)
    mesh = jax.tree.map(jnp.asarray, mesh)
    plain = np.array(at_points(np.full_like(model.mean_texture, 0.6), mesh))
    x, y, z = np.asarray(at_points(model.mean_shape, mesh)).T
    # Across the forehead, as wide as the points are dense, half as wide as vertices are apart.
    forehead = (np.abs(x) < 0.4) & (np.abs(y - 0.7) < 0.3) & (z > 0.2)
    fold = forehead & (np.abs(np.sin(9 * x) * 0.1 + 0.7 - y) < 0.02)
    painted = np.where(fold[:, None], np.float32(0.2), plain)
    nobody = person_face_model(model, identity, painted)[1]
    albedo, camera = jnp.asarray(painted), pinhole_camera(size)
    image = render(model, nobody, attributes, camera, size, albedo=albedo, color_mesh=mesh).image
    frames = np.round(255 * np.asarray(image)).astype(np.uint8)
    texture, _ = changing_texture(model, identity, attributes, frames)
    of_vertices = at_points(video_texture(model, identity, attributes, frames), mesh)
    error, without = (
        np.abs(np.asarray(found) - painted)[forehead].mean() for found in (texture, of_vertices)
    )
    assert fold.sum() > 50
    assert error < 0.5 * without


def test_teeth_look_like_lips_unless_they_are_the_persons_own(clip):
    model, identity, attributes, frames, painted = clip
    inside = inside_mouth(model)
    lips, _ = changing_texture(model, identity, attributes, frames)
    own, _ = changing_texture(model, identity, attributes, frames, own_mouth=True)
    own, lips = own[: len(inside)], lips[: len(inside)]
    assert np.abs(own - lips)[~inside].mean() < 5e-3
    error, error_of_lips = (np.abs(x - painted)[inside].mean() for x in (own, lips))
    assert error < 0.75 * error_of_lips


def test_what_is_never_seen_keeps_the_statistical_texture(clip):
    model, identity, attributes, frames, _ = clip
    turned = attributes.replace(pose=attributes.pose + np.array([0, 0, 0, 50, 0, 0], np.float32))
    found = video_texture(model, identity, turned, frames)
    np.testing.assert_allclose(found, face_texture(model, identity.texture), atol=1e-6)


def test_frames_with_closed_eyes_tell_nothing():
    blink = np.zeros(1000, np.float32)
    blink[::3] = 5.0
    chosen = texture_frames(blink)
    assert len(chosen) == 128
    assert (np.diff(chosen) > 0).all()
    assert chosen[-1] > 990
    assert not blink[chosen].any()
    np.testing.assert_array_equal(texture_frames(np.full(3, 5, np.float32)), [0, 1, 2])


def test_frames_with_closed_eyes_tell_what_lids_look_like(clip):
    model, identity, _, _, painted = clip
    lids, count = closed_lids(model), 20
    blink = np.array([0, 5] * 10, np.float32)
    nobody = person_face_model(model, identity, painted)[1]
    attributes = Attributes(
        expression=np.zeros((count, 64), np.float32),
        pose=np.zeros((count, 6), np.float32),
        blink=blink,
    )
    moved = lids.any(axis=1, keepdims=True)
    true = painted[None] * np.where(moved[None] & (blink > 2)[:, None, None], 0.5, 1.0)
    camera = pinhole_camera((2 * SIZE, 2 * SIZE))
    albedo = jnp.asarray(true, jnp.float32)
    size = 2 * SIZE, 2 * SIZE
    image = render(model, nobody, attributes, camera, size, albedo=albedo, lids=lids).image
    frames = np.round(255 * np.asarray(image)).astype(np.uint8)
    gaze = np.zeros((count, 2, 2), np.float32)
    texture, changes = changing_texture(model, identity, attributes, frames, gaze=gaze)
    found = np.asarray(changed_albedo(jnp.asarray(texture), changes, attributes[1:2]))[0]
    vertices = slice(len(painted))
    # Skin of the upper lids, which is seen of open and of closed eyes.
    seen = moved[:, 0] & (np.abs(changes.closed[vertices]).max(axis=1) > 0.05)
    seen &= ~np.asarray(eyeball_vertices(model.mean_shape, model.landmarks))
    assert seen.sum() > 50
    error, as_open = (np.abs(x[vertices] - true[1])[seen].mean() for x in (found, texture))
    assert error < 0.5 * as_open
    assert not changes.closed[vertices][~moved[:, 0]].any()
    np.testing.assert_array_equal(blinking_frames(blink), np.arange(1, 20, 2))
    of_open, without = changing_texture(
        model, identity, attributes[blink < 1], frames[blink < 1], gaze=gaze[blink < 1]
    )
    assert without.closed is None
    np.testing.assert_array_equal(changes.lids[vertices], moved[:, 0])
    np.testing.assert_array_equal(without.lids, changes.lids)
    np.testing.assert_array_equal(of_open, texture)


def test_as_many_frames_as_attributes(clip):
    model, identity, attributes, frames, _ = clip
    with pytest.raises(ValueError, match="expected as many as there are attributes"):
        video_texture(model, identity, attributes, frames[1:])


def test_without_a_texture_the_model_stays_as_it_is(clip):
    model, identity, *_ = clip
    same_model, same_identity = person_face_model(model, identity, None)
    assert same_model is model
    assert same_identity is identity
