"""render(): the whole picture, on a small made-up head."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.attributes import Attributes, Identity
from facial_jax.face.model import FaceModel, face_landmarks, face_model_from_arrays, face_shape
from facial_jax.rendering.camera import (
    camera_vertices,
    pinhole_camera,
    pose_vertices,
    project_to_pixels,
)
from facial_jax.rendering.render import network_input, render

SIZE = (48, 40)


@pytest.fixture(scope="module")
def model() -> FaceModel:
    """A closed egg of 18 × 24 vertices; the eye region is a patch on the viewer's upper left."""
    rows, columns = 18, 24
    polar, around = np.meshgrid(
        np.linspace(0.02, np.pi - 0.02, rows),
        np.arange(columns) * 2 * np.pi / columns,
        indexing="ij",
    )
    x, z = np.sin(polar) * np.sin(around), np.sin(polar) * np.cos(around)
    shape = np.stack([0.7 * x, np.cos(polar), 0.8 * z], axis=-1).reshape(-1, 3)
    index = np.arange(rows * columns).reshape(rows, columns)
    right = np.roll(index, -1, axis=1)
    a, b, c, d = index[:-1], right[:-1], index[1:], right[1:]
    halves = [np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)]
    triangles = np.concatenate(halves).astype(np.int32)
    eye = (np.hypot(shape[:, 0] + 0.3, shape[:, 1] - 0.3) < 0.25) & (shape[:, 2] > 0)
    rng = np.random.default_rng(0)

    def basis(count, size):
        return size * rng.normal(size=(len(shape), 3, count))

    return face_model_from_arrays(
        mean_shape=shape,
        mean_texture=rng.uniform(0.3, 0.9, shape.shape),
        identity_basis=basis(80, 0.002),
        expression_basis=basis(64, 0.002),
        texture_basis=basis(80, 0.005),
        triangles=triangles,
        landmarks=np.arange(100, 168),
        eye_mask=eye,
    )


@pytest.fixture(scope="module")
def parameters():
    rng = np.random.default_rng(1)

    def normal(*shape):
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    identity = Identity(identity=normal(80), texture=normal(80), illumination=0.1 * normal(3, 9))
    attributes = Attributes(
        expression=normal(5, 64), pose=0.15 * normal(5, 6), blink=jnp.linspace(0.0, 5.0, 5)
    )
    return identity, attributes


@pytest.fixture(scope="module")
def rendered(model, parameters):
    return render(model, *parameters, pinhole_camera(SIZE), SIZE)


def test_pictures_have_a_face_on_black_within_zero_and_one(rendered):
    assert rendered.image.shape == (5, *SIZE, 3)
    assert rendered.attention.shape == rendered.mask.shape == (5, *SIZE, 1)
    mask = np.asarray(rendered.mask)
    assert set(np.unique(mask)) == {0.0, 1.0}
    assert 0.2 < mask.mean() < 0.9
    for picture in (rendered.image, rendered.attention):
        assert (np.asarray(picture) >= 0).all()
        assert (np.asarray(picture) <= 1).all()
        assert (np.asarray(picture * (1 - rendered.mask)) == 0).all()


def test_frames_do_not_depend_on_the_frames_rendered_with_them(model, parameters, rendered):
    identity, attributes = parameters
    camera = pinhole_camera(SIZE)
    reverse = render(model, identity, attributes[::-1], camera, SIZE)
    for name in ("image", "attention", "mask"):
        backwards = getattr(reverse, name)[::-1]
        np.testing.assert_array_equal(backwards, getattr(rendered, name))
        alone = getattr(render(model, identity, attributes[3], camera, SIZE), name)
        np.testing.assert_allclose(alone, getattr(rendered, name)[3], atol=1e-5)


def test_a_frame_with_an_identity_of_its_own_is_that_person_rendered(model, parameters, rendered):
    person, attributes = parameters
    others = jnp.stack([person.identity + 0.3 * i for i in range(5)])
    camera = pinhole_camera(SIZE)
    own = render(model, person, attributes.replace(identity=others), camera, SIZE)
    np.testing.assert_allclose(own.image[0], rendered.image[0], atol=1e-5)
    alone = render(model, person.replace(identity=others[3]), attributes[3], camera, SIZE)
    np.testing.assert_allclose(own.image[3], alone.image, atol=1e-5)
    assert np.abs(own.image[3] - rendered.image[3]).max() > 0.05


def test_the_face_covers_the_pixels_its_vertices_project_to(model, parameters, rendered):
    identity, attributes = parameters
    camera = pinhole_camera(SIZE)
    shape = face_shape(model, identity.identity, attributes.expression)
    in_camera = camera_vertices(camera, pose_vertices(shape, attributes))
    projected = project_to_pixels(camera, in_camera)
    assert face_landmarks(model, projected).shape == (5, 68, 2)
    pixels = np.asarray(projected)
    mask = np.asarray(rendered.mask)[..., 0] > 0
    for frame in range(5):
        rows, columns = np.nonzero(mask[frame])
        low, high = pixels[frame].min(axis=0), pixels[frame].max(axis=0)
        limits = [[columns.min(), columns.max() + 1], [rows.min(), rows.max() + 1]]
        for axis, (first, last) in enumerate(limits):
            assert first == pytest.approx(max(low[axis], 0), abs=1.5)
            assert last == pytest.approx(min(high[axis], SIZE[1 - axis]), abs=1.5)


def test_a_closed_head_looks_the_same_with_and_without_its_inside(model, parameters, rendered):
    both = render(model, *parameters, pinhole_camera(SIZE), SIZE, cull_backfaces=False)
    different = np.abs(np.asarray(both.image - rendered.image)).max(axis=-1) > 1e-3
    assert different.mean() < 0.005


def test_attention_is_seen_at_the_eye_region_and_hidden_when_the_head_turns_away(model, parameters):
    identity, attributes = parameters
    still = dataclasses.replace(attributes[0], pose=jnp.zeros(6), expression=jnp.zeros(64))
    turned = dataclasses.replace(still, pose=jnp.array([0, np.pi, 0, 0, 0, 0], jnp.float32))
    camera = pinhole_camera(SIZE)
    attention = np.asarray(render(model, identity, still, camera, SIZE).attention)[..., 0]
    rows, columns = np.nonzero(attention > 0.5)
    assert rows.mean() < SIZE[0] / 2
    assert columns.mean() < SIZE[1] / 2
    assert not render(model, identity, turned, camera, SIZE).attention.any()


def test_network_input_scales_the_attention_map_by_the_blink(parameters, rendered):
    blink = parameters[1].blink
    pictures = np.asarray(network_input(rendered, blink))
    np.testing.assert_array_equal(pictures[..., :3], rendered.image)
    assert not pictures[0, ..., 3].any()
    np.testing.assert_allclose(pictures[2, ..., 3:], 0.5 * rendered.attention[2], atol=1e-6)
    np.testing.assert_allclose(pictures[4, ..., 3:], rendered.attention[4], atol=1e-6)


def test_antialiasing_changes_silhouettes_only(model, parameters, rendered):
    smooth = render(model, *parameters, pinhole_camera(SIZE), SIZE, antialiased=True)
    mask, hard = np.asarray(smooth.mask)[..., 0], np.asarray(rendered.mask)[..., 0]
    assert (mask >= 0).all()
    assert (mask <= 1).all()
    at_edge = np.zeros(hard.shape, bool)
    for axis in (1, 2):
        for shift in (-1, 1):
            at_edge |= np.roll(hard, shift, axis) != hard
    changed = mask != hard
    assert (at_edge | ~changed).all()
    # Not all of them: an edge whose triangle no pixel shows is not noticed.
    assert changed.sum() > 0.15 * at_edge.sum()
    # Shrinking and growing hold each other the balance.
    np.testing.assert_allclose(mask.sum(axis=(1, 2)), hard.sum(axis=(1, 2)), rtol=0.02)


def test_gradients_are_finite_and_know_where_silhouettes_move(model, parameters):
    camera = pinhole_camera(SIZE)
    of_image = jnp.asarray(np.random.default_rng(2).normal(size=(5, *SIZE, 3)), jnp.float32)

    @jax.jit
    @jax.value_and_grad
    def total(parameters, of_image, of_mask):
        seen = render(model, *parameters, camera, SIZE, antialiased=True)
        return jnp.sum(of_image * seen.image) + of_mask * jnp.sum(seen.mask)

    by_identity, by_attributes = total(parameters, of_image, 0.0)[1]
    for gradient in jax.tree.leaves((by_identity, by_attributes)):
        assert np.isfinite(gradient).all()
    for gradient in (*jax.tree.leaves(by_identity), by_attributes.expression, by_attributes.pose):
        assert np.count_nonzero(gradient) > 0.9 * gradient.size

    # The area covered, as the heads come nearer: all of it is the silhouettes' doing.
    identity, attributes = parameters

    def area(nearer):
        pose = attributes.pose.at[:, 5].add(nearer)
        moved = dataclasses.replace(attributes, pose=pose)
        return total((identity, moved), jnp.zeros_like(of_image), 1.0)

    slope = (area(0.05)[0] - area(-0.05)[0]) / 0.1
    assert slope > 100
    # Silhouettes of triangles that no pixel shows are missed, as by nvdiffrast, none is invented.
    assert 0.3 * slope < area(0.0)[1][1].pose[:, 5].sum() < 1.05 * slope


def test_unknown_rasterizers_are_refused(model, parameters):
    with pytest.raises(ValueError, match="rasterizer: expected one of"):
        render(model, *parameters, pinhole_camera(SIZE), SIZE, rasterizer="cpu")
