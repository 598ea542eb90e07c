"""Camera: rotations, projection and clip space agree with each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.attributes import Attributes
from facial_jax.rendering.camera import (
    camera_vertices,
    clip_positions,
    pinhole_camera,
    pose_vertices,
    project_to_pixels,
    rotation_from_euler,
)


def rotation_by_hand(pitch, yaw, roll):
    def about(axis, angle):
        i, j = [(1, 2), (2, 0), (0, 1)][axis]
        matrix = np.eye(3)
        matrix[i, i] = matrix[j, j] = np.cos(angle)
        matrix[i, j], matrix[j, i] = -np.sin(angle), np.sin(angle)
        return matrix

    return about(2, roll) @ about(1, yaw) @ about(0, pitch)


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_rotation_is_rz_ry_rx_for_any_batch(batch):
    angles = np.random.default_rng(0).uniform(-1, 1, (*batch, 3)).astype(np.float32)
    got = np.asarray(rotation_from_euler(jnp.asarray(angles)))
    assert got.shape == (*batch, 3, 3)
    for index in np.ndindex(*batch):
        np.testing.assert_allclose(got[index], rotation_by_hand(*angles[index]), atol=1e-6)


def test_origin_is_seen_in_the_middle_and_up_and_right_go_up_and_right():
    camera = pinhole_camera((200, 300))
    points = jnp.array([[0, 0, 0], [1, 0, 0], [0, 1, 0.0]])
    pixels = np.asarray(project_to_pixels(camera, camera_vertices(camera, points)))
    scale = 1015 * 200 / 224 / 10
    expected = [[150, 100], [150 + scale, 100], [150, 100 - scale]]
    np.testing.assert_allclose(pixels, expected, rtol=1e-5)


@pytest.mark.parametrize("size", [(224, 224), (120, 200)])
def test_clip_space_and_pixels_are_the_same_place(size):
    camera = pinhole_camera(size)
    points = np.random.default_rng(1).uniform(-1, 1, (50, 3)).astype(np.float32)
    in_camera = camera_vertices(camera, jnp.asarray(points))
    clip = np.asarray(clip_positions(camera, in_camera, size))
    ndc = clip[:, :2] / clip[:, 3:]
    pixels = (ndc + 1) / 2 * [size[1], size[0]]
    np.testing.assert_allclose(pixels, project_to_pixels(camera, in_camera), atol=1e-3)


def test_near_and_far_are_the_ends_of_clip_depth():
    camera = pinhole_camera((64, 64))
    points = jnp.array([[0, 0, camera.near], [0, 0, camera.far]])
    clip = clip_positions(camera, points, (64, 64))
    np.testing.assert_allclose(clip[:, 2] / clip[:, 3], [-1, 1], atol=1e-6)


def test_pose_rotates_about_the_origin_and_then_translates():
    pose = jnp.array([0.1, -0.2, 0.3, 0.5, 0.6, 0.7])
    attributes = Attributes(expression=jnp.zeros(64), pose=pose, blink=jnp.zeros(()))
    points = np.random.default_rng(2).normal(size=(4, 3)).astype(np.float32)
    got = jax.jit(pose_vertices)(jnp.asarray(points), attributes)
    expected = points @ rotation_by_hand(0.1, -0.2, 0.3).T + [0.5, 0.6, 0.7]
    np.testing.assert_allclose(got, expected, atol=1e-5)
