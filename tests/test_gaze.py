"""Eyes rest on places and jump between them as the person's do."""

from fractions import Fraction

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from facial_jax.face.eyes import gaze_direction
from facial_jax.gaze import (
    LARGE_SACCADE_RAD,
    Eyes,
    GazeHabits,
    eyes_arrays,
    eyes_from_arrays,
    gaze_habits,
    make_gaze,
)
from facial_jax.rendering.irises import Irises

FPS = Fraction(25)


def turning_head(count):
    pose = np.zeros((count, 6), np.float32)
    t = np.arange(count) / 25
    pose[:, 0], pose[:, 1] = 0.1 * np.sin(2 * t), 0.3 * np.sin(t)
    pose[:, 2] = 0.1 * np.cos(t)
    return pose


def in_world(gaze, pose):
    return Rotation.from_euler("xyz", pose[:, :3]).apply(gaze_direction(gaze))


def habits(targets, durations, limit=1.0):
    limits = np.array([[-limit] * 2, [limit] * 2], np.float32)
    return GazeHabits(np.array(targets, np.float32), np.array(durations, np.float32), limits)


def test_the_eyes_turn_against_the_head():
    pose, blink = turning_head(200), np.zeros(200, np.float32)
    gaze = make_gaze(habits([[0.05, -0.1]], [1.0]), pose, blink, FPS)
    expected = gaze_direction(np.array([0.05, -0.1]))
    np.testing.assert_allclose(in_world(gaze, pose), np.tile(expected, (200, 1)), atol=1e-6)
    assert np.ptp(gaze[:, 1]) > 0.5


def test_the_habits_of_what_was_made_are_those_it_was_made_with():
    own = habits([[0, 0], [0.02, 0.2], [0.1, -0.1]], [1.0, 0.4, 0.6])
    pose, blink = turning_head(3000), np.zeros(3000, np.float32)
    gaze = make_gaze(own, pose, blink, FPS, seed=3)
    found = gaze_habits(gaze, pose, FPS)
    for target in own.targets:
        assert np.linalg.norm(found.targets - target, axis=1).min() < 0.02
    rest = np.linalg.norm(found.targets[:, None] - own.targets[None], axis=-1).min(axis=1)
    assert np.median(rest) < 0.02
    assert found.durations.mean() == pytest.approx(own.durations.mean(), rel=0.35)


def test_who_rolls_their_eyes_does_not_while_they_speak():
    looks = np.zeros((400, 2), np.float32)
    looks[::2, 0] = 0.001  # slips of the measurement
    looks[100:115, 1], looks[200:230, 1], looks[300:320, 1] = 0.7, -0.8, 0.2
    found = gaze_habits(looks, np.zeros((400, 6), np.float32), FPS)
    np.testing.assert_allclose(np.unique(found.targets[:, 1].round(2)), [0, 0.2], atol=1e-6)


def test_the_same_motion_and_seed_give_the_same_gaze_and_others_another():
    own, pose = habits([[0, 0], [0, 0.3]], [0.5, 0.5]), turning_head(500)
    blink = np.zeros(500, np.float32)
    first = make_gaze(own, pose, blink, FPS, seed=1)
    np.testing.assert_array_equal(first, make_gaze(own, pose, blink, FPS, seed=1))
    assert np.abs(first - make_gaze(own, pose, blink, FPS, seed=2)).max() > 0.1


def test_large_jumps_wait_for_a_blink_that_comes_soon():
    own = habits([[0, 0], [0, 2 * LARGE_SACCADE_RAD]], [0.8, 0.8])
    pose, blink = np.zeros((4000, 6), np.float32), np.zeros(4000, np.float32)
    blink[::12] = 5.0  # one every half a second
    moves = np.abs(np.diff(make_gaze(own, pose, blink, FPS)[:, 1])) > 0.1
    frames = np.flatnonzero(moves) + 1
    assert len(frames) > 20
    hidden = (blink[frames] > 0) | (blink[frames - 1] > 0)
    assert hidden.mean() > 0.9


def test_eyes_turn_no_farther_than_they_did():
    gaze = make_gaze(habits([[0, 0]], [1.0], limit=0.1), turning_head(300), np.zeros(300), FPS)
    assert np.abs(gaze).max() <= 0.1 + 1e-6


def test_a_single_frame_has_habits():
    found = gaze_habits(np.zeros((1, 2), np.float32), np.zeros((1, 6), np.float32), FPS)
    assert len(found.targets) == 1
    gaze = make_gaze(found, np.zeros((3, 6), np.float32), np.zeros(3, np.float32), FPS)
    np.testing.assert_allclose(gaze, 0, atol=1e-6)
    with pytest.raises(ValueError, match="at least one frame"):
        gaze_habits(np.zeros((0, 2), np.float32), np.zeros((0, 6), np.float32), FPS)


def some_eyes():
    texture = np.full((2, 8, 8, 3), 7, np.uint8)
    irises = Irises(texture, np.zeros((2, 2), np.float32), np.zeros(2, np.float32))
    return Eyes(irises, habits([[0, 0.1], [0.2, 0.3]], [0.5, 1.0]))


def test_files_hold_eyes():
    arrays = eyes_arrays(some_eyes())
    for name, array in eyes_arrays(eyes_from_arrays(arrays)).items():
        np.testing.assert_array_equal(array, arrays[name])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("targets", None),
        ("targets", np.zeros((3, 2), np.float32)),
        ("durations", np.zeros(2, np.float32)),
        ("durations", np.zeros(0, np.float32)),
        ("limits", np.array([[1, 1], [0, 0]], np.float32)),
        ("limits", np.array([[np.nan, 1], [0, 0]], np.float32)),
    ],
)
def test_damaged_eyes_are_refused(name, value):
    arrays = eyes_arrays(some_eyes())
    arrays.pop(name)
    if value is not None:
        arrays[name] = value
    with pytest.raises(ValueError, match="eyes"):
        eyes_from_arrays(arrays)
