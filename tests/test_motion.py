"""Motion from elsewhere, and another take of the same speech."""

from fractions import Fraction

import numpy as np
import pytest

from facial_jax.attributes import Attributes
from facial_jax.data.tracked_clip import save_tracked_clip
from facial_jax.models.facial_gan.blinking import BlinkHabits, blink_by_habit, find_blinks
from facial_jax.motion import forth_and_back, load_motion, take_pose
from tests.random_clips import random_clip

RATE = Fraction(25)


def moving(frames: int, yaw, *, rest=0.0) -> Attributes:
    pose = np.zeros((frames, 6), np.float32)
    pose[:, 1] = rest + np.asarray(yaw)
    return Attributes(
        expression=np.zeros((frames, 64), np.float32),
        pose=pose,
        blink=np.zeros(frames, np.float32),
    )


def test_a_head_moves_as_in_the_other_recording_about_its_own_mean():
    wave = 0.2 * np.sin(np.arange(100) / 8)
    own, other = moving(100, 0.0, rest=0.3), moving(100, wave, rest=-0.1)
    taken = take_pose(own, other, fps=RATE, motion_fps=RATE)
    np.testing.assert_allclose(taken.pose[:, 1], 0.3 + wave - wave.mean(), atol=1e-5)
    np.testing.assert_array_equal(taken.expression, own.expression)


def test_the_other_recordings_tempo_is_kept_at_any_rate():
    time = np.arange(120) / 60
    other = moving(120, 0.1 * np.sin(5 * time))
    taken = take_pose(moving(50, 0.0), other, fps=RATE, motion_fps=Fraction(60))
    expected = 0.1 * np.sin(5 * np.arange(50) / 25)
    np.testing.assert_allclose(taken.pose[:, 1] - taken.pose[0, 1], expected, atol=1e-3)


def test_a_short_recording_turns_without_a_jump_or_a_jerk():
    way = forth_and_back(100, 1000, 1.0, turn_frames=7.5)
    assert 0 <= way.min() <= way.max() <= 99
    steps = np.diff(way)
    assert np.abs(steps).max() <= 1 + 1e-5
    assert np.abs(np.diff(steps)).max() < 0.2  # the plain way back turns by 2 in one frame
    assert (np.abs(np.abs(steps) - 1) < 0.01).mean() > 0.3  # elsewhere it plays at its tempo
    assert np.ptp(way) > 80
    np.testing.assert_array_equal(
        forth_and_back(100, 60, 1.5, turn_frames=7.5), 1.5 * np.arange(60)
    )
    np.testing.assert_array_equal(forth_and_back(1, 3, 1.0, turn_frames=7.5), np.zeros(3))


def test_of_a_tracked_clip_the_longest_part_with_a_face_is_taken(tmp_path):
    valid = np.ones(40, bool)
    valid[[10, 11]] = False
    clip = random_clip("a", "anna", 40, valid=valid)
    path = save_tracked_clip(tmp_path, clip, acoustic="0" * 64)
    motion, fps = load_motion(path, "pose_from")
    assert fps == clip.frame_rate
    np.testing.assert_array_equal(motion.pose, clip.pose[12:])


def test_what_cannot_be_taken_from_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="pose_from: there is no file"):
        load_motion(tmp_path / "nowhere.mp4", "pose_from")
    (tmp_path / "broken.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"blink_from: .*broken\.npz: clip\.npz is damaged"):
        load_motion(tmp_path / "broken.npz", "blink_from")
    with pytest.raises(ValueError, match="pose: expected pitch, yaw and roll in radians"):
        load_motion((moving(3, 40.0), 25), "pose_from")


def test_drawn_blinks_are_others_but_about_as_many():
    shape = np.array([0, 0, 0.5, 2.5, 4.5, 4.5, 2.5, 0.5, 0, 0], np.float32)
    habits = BlinkHabits(
        shape=shape,
        interval=np.array([40, 120], np.float32),
        rest=np.zeros((), np.float32),
        level=np.full((), 0.5, np.float32),
    )
    rng = np.random.default_rng(0)
    smooth = np.convolve(rng.random(6100), np.hanning(21) / 10, "valid")[:6000]
    curve = (5 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.float32)
    plain = find_blinks(blink_by_habit(curve, habits))

    def drawn(seed):
        return find_blinks(blink_by_habit(curve, habits, draw=np.random.default_rng(seed)))

    for seed in range(4):
        assert len(drawn(seed)) == pytest.approx(len(plain), rel=0.2)
    same = set(drawn(0)[:, 0].tolist()) & set(drawn(1)[:, 0].tolist())
    assert len(same) < 0.8 * len(plain)
    np.testing.assert_array_equal(drawn(2), drawn(2))
