"""Poses that a person was not seen in are drawn back to those that they were seen in."""

import numpy as np
import pytest

from facial_jax.pose_limits import (
    PoseLimits,
    limit_pose,
    pose_limits_arrays,
    pose_limits_from_arrays,
    shown_limits,
)

UNIT = PoseLimits(np.zeros(6, np.float32), np.eye(6, dtype=np.float32))


def leaning(count=2000, seed=0):
    """A head that moves to the side as far as it rolls."""
    pose = np.random.default_rng(seed).normal(size=(count, 6)) * 0.1
    pose[:, 3] = pose[:, 2] + 0.01 * pose[:, 3]
    pose[:, 5] -= 4
    return pose.astype(np.float32)


def test_poses_within_stay_and_others_come_back_softly():
    pose = np.linspace(-3, 3, 601)[:, None] * np.array([[0, 0.6, 0, 0.8, 0, 0]])
    pose = pose.astype(np.float32)
    limited = limit_pose(pose, UNIT)
    radius = np.linalg.norm(pose, axis=1)
    np.testing.assert_array_equal(limited[radius < 0.75], pose[radius < 0.75])
    assert np.linalg.norm(limited, axis=1).max() <= 1 + 1e-6
    along = limited @ np.array([0, 0.6, 0, 0.8, 0, 0])
    steps = np.diff(along)
    assert (steps >= -1e-6).all()
    assert np.abs(np.diff(steps)).max() < 1e-3  # nothing jumps, nor turns sharply
    np.testing.assert_allclose(limited[:, [0, 2, 4, 5]], 0, atol=1e-7)


def test_nine_of_ten_shown_poses_are_within():
    pose = leaning()
    shown = shown_limits(pose)
    within = np.linalg.norm((pose - shown.mean) @ shown.axes, axis=1) <= 1
    assert within.mean() == pytest.approx(0.9, abs=0.01)
    # The usual ones stay as they are.
    assert (limit_pose(pose, shown) == pose).all(axis=1).mean() > 0.5


def test_numbers_that_were_never_seen_together_are_drawn_back():
    pose = leaning()
    shown = shown_limits(pose)
    usual = pose.mean(axis=0)
    together, apart = usual.copy(), usual.copy()
    together[[2, 3]] += 0.1
    apart[[2, 3]] += (0.1, -0.1)
    stayed, back = limit_pose(np.stack([together, apart]), shown) - usual
    np.testing.assert_allclose(stayed[[2, 3]], 0.1, atol=1e-6)
    assert np.abs(back[[2, 3]]).max() < 0.02


def test_a_head_that_stood_still_stays_still():
    still = np.tile(np.array([[0.1, 0.2, 0, 0, 0, -4]], np.float32), (50, 1))
    limited = limit_pose(still + 0.5, shown_limits(still))
    np.testing.assert_allclose(limited, still, atol=2e-3)


def test_files_give_back_what_they_were_given_and_old_ones_are_read():
    shown = shown_limits(leaning())
    back = pose_limits_from_arrays(pose_limits_arrays(shown))
    np.testing.assert_array_equal(back.axes, shown.axes)
    np.testing.assert_array_equal(back.mean, shown.mean)
    old = pose_limits_from_arrays({"pose_limits": np.array([[-1.0] * 6, [3.0] * 6])})
    np.testing.assert_allclose(old.mean, 1.0)
    np.testing.assert_allclose(old.axes, np.eye(6) / 2)


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"pose_mean": np.zeros(6)},
        {"pose_mean": np.zeros(5), "pose_axes": np.eye(6)},
        {"pose_mean": np.zeros(6), "pose_axes": np.full((6, 6), np.nan)},
        {"pose_limits": np.zeros((3, 6))},
        {"pose_limits": np.full((2, 6), np.nan)},
        {"pose_limits": np.array([[1.0] * 6, [-1.0] * 6])},
    ],
)
def test_damaged_limits_are_refused(arrays):
    with pytest.raises(ValueError, match="pose limits: expected"):
        pose_limits_from_arrays(arrays)
