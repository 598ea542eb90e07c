"""Camera: rotations, projection and clip space agree with each other."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from facial_jax.attributes import Attributes
from facial_jax.rendering.camera import (
    camera_vertices,
    clip_positions,
    euler_from_rotation,
    pinhole_camera,
    pinhole_translation,
    pose_vertices,
    project_to_pixels,
    rotation_from_euler,
    transform_vertices,
    weak_perspective_camera,
    weak_perspective_pose,
)


def rotation_by_hand(pitch, yaw, roll):
    def about(axis, angle):
        i, j = [(1, 2), (2, 0), (0, 1)][axis]
        matrix = np.eye(3)
        matrix[i, i] = matrix[j, j] = np.cos(angle)
        matrix[i, j], matrix[j, i] = -np.sin(angle), np.sin(angle)
        return matrix

    return about(2, roll) @ about(1, yaw) @ about(0, pitch)


class RotationVariants(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.parameters([()], [(1,)], [(2, 3)])
    def test_rotation_is_rz_ry_rx_for_any_batch(self, batch):
        angles = np.random.default_rng(0).uniform(-1, 1, (*batch, 3)).astype(np.float32)
        got = np.asarray(self.variant(rotation_from_euler)(jnp.asarray(angles)))
        chex.assert_shape(got, (*batch, 3, 3))
        for index in np.ndindex(*batch):
            np.testing.assert_allclose(got[index], rotation_by_hand(*angles[index]), atol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.parameters([()], [(1,)], [(2, 3)])
    def test_angles_come_back_from_their_rotation(self, batch):
        angles = np.random.default_rng(1).uniform(-1.5, 1.5, (*batch, 3)).astype(np.float32)
        got = self.variant(euler_from_rotation)(rotation_from_euler(jnp.asarray(angles)))
        np.testing.assert_allclose(got, angles, atol=2e-5)


@pytest.mark.parametrize("yaw", [-np.pi / 2, np.pi / 2])
def test_angles_are_finite_where_the_head_looks_to_the_side(yaw):
    angles = euler_from_rotation(rotation_from_euler(jnp.array([0.3, yaw, -0.2], jnp.float32)))
    assert np.isfinite(angles).all()
    assert float(angles[1]) == pytest.approx(yaw, abs=1e-3)


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


PUBLISHED_POSE = np.array([[2.0, -3.0, 3.2, 169.0, -0.6, -23.0], [-10.0, 20.0, 0.0, 90, 30, 8]])


def test_weak_perspective_pixels_are_scale_times_the_rotated_points_by_hand():
    angles, weak = weak_perspective_pose(jnp.asarray(PUBLISHED_POSE, jnp.float32), (512, 400))
    points = np.random.default_rng(3).normal(size=(5, 3)).astype(np.float32)
    turned = jnp.stack([jnp.asarray(points) @ r.T for r in rotation_from_euler(angles)])
    pixels = np.asarray(project_to_pixels(weak, camera_vertices(weak, turned)))
    for row, got in zip(PUBLISHED_POSE, pixels, strict=True):
        x, y, _ = rotation_by_hand(*np.deg2rad(row[:3])) @ points.T
        expected = np.stack([200 + row[4] + row[3] * x, 256 - row[5] - row[3] * y], axis=-1)
        np.testing.assert_allclose(got, expected, atol=2e-3)


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_weak_perspective_and_pinhole_translation_are_inverse(batch):
    camera = pinhole_camera((300, 200))
    rng = np.random.default_rng(4)
    translation = rng.uniform(-1, 1, (*batch, 3)).astype(np.float32)
    weak = weak_perspective_camera(camera, jnp.asarray(translation))
    assert weak.scale.shape == batch
    np.testing.assert_allclose(pinhole_translation(camera, weak), translation, atol=1e-4)


def test_a_converted_pose_is_seen_where_the_weak_perspective_one_was():
    """Exactly in the origin's plane; elsewhere off by z / depth, as the docstring says."""
    size = (512, 512)
    camera = pinhole_camera(size)
    angles, weak = weak_perspective_pose(jnp.asarray(PUBLISHED_POSE[0], jnp.float32), size)
    translation = pinhole_translation(camera, weak)
    points = np.random.default_rng(5).uniform(-0.7, 0.7, (40, 3)).astype(np.float32)
    turned = transform_vertices(jnp.asarray(points), rotation_from_euler(angles), jnp.zeros(3))

    def reprojection_error(points):
        moved = camera_vertices(camera, points + translation[None])
        there = project_to_pixels(weak, camera_vertices(weak, points))
        difference = project_to_pixels(camera, moved) - there
        return np.linalg.norm(difference, axis=-1), np.asarray(there)

    flat, _ = reprojection_error(turned * jnp.array([[1.0, 1.0, 0.0]]))
    assert flat.max() < 2e-3
    solid, there = reprojection_error(turned)
    z, depth = np.asarray(turned[:, 2]), float(camera.distance - translation[2])
    # The perspective stretch is about the optical axis.
    stretch = np.linalg.norm(there - 256.0, axis=-1) * np.abs(z) / (depth - z)
    np.testing.assert_allclose(solid, stretch, atol=5e-3)
    assert solid.max() < 0.1 * 0.7 * float(weak.scale)


def test_gradients_reach_the_weak_perspective_camera():
    _, weak = weak_perspective_pose(jnp.asarray(PUBLISHED_POSE[0], jnp.float32), (64, 64))
    points = jnp.asarray(np.random.default_rng(6).normal(size=(4, 3)), jnp.float32)
    gradient = jax.grad(lambda weak: project_to_pixels(weak, points).sum())(weak)
    np.testing.assert_allclose(gradient.scale, (points[:, 0] - points[:, 1]).sum(), rtol=1e-4)
    np.testing.assert_allclose(gradient.center_px, [4.0, 4.0])
