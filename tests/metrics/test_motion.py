"""Numbers of blinks and poses, and a network that tells people apart by their motion."""

import jax
import numpy as np
import pytest

from facial_jax.metrics.motion import (
    blink_statistics,
    blink_times,
    blinks_per_clip,
    distribution_distance,
    pose_spread,
)
from facial_jax.metrics.recognition import recognize, train_recognizer


def test_blinks_are_counted_over_all_recordings_and_timed_where_whole():
    one, other = np.zeros(750, np.float32), np.zeros(750, np.float32)
    one[100:105] = 4.0
    one[-3:] = 4.0
    other[300:310] = 4.0
    found = blink_statistics([one, other], 25.0)
    assert found.per_minute == pytest.approx(3.0)
    # A straight line from 4 down to 0 is at 1 after three quarters of a frame.
    assert found.duration_s == pytest.approx((4 + 9 + 2 * 1.5) / 2 / 25)


def test_eyes_that_never_blink_have_no_duration():
    found = blink_statistics([np.zeros(100, np.float32)], 25.0)
    assert found.per_minute == 0
    assert np.isnan(found.duration_s)
    with pytest.raises(ValueError, match="at least one frame"):
        blink_statistics([np.zeros(0, np.float32)], 25.0)


def test_the_spread_is_about_the_mean_of_all_recordings():
    ones = np.ones((10, 6), np.float32)
    np.testing.assert_allclose(pose_spread([ones, 3 * ones]), 1.0)


def test_people_are_told_apart_by_the_tempo_of_their_motion():
    rng = np.random.default_rng(0)

    def windows(count):
        phase = rng.uniform(0, 2 * np.pi, (count, 1))
        people = rng.integers(0, 2, count)
        t = np.arange(48)
        motion = np.sin(phase + t * np.where(people, 0.25, 0.6)[:, None])
        return motion[..., None].astype(np.float32), people

    with jax.numpy_dtype_promotion("standard"):
        recognizer = train_recognizer(*windows(64), steps=60)
    unseen, people = windows(100)
    assert (recognize(recognizer, unseen) == people).mean() > 0.9


def test_each_blink_has_its_duration_and_its_way_from_the_last_one():
    one, other = np.zeros(750, np.float32), np.zeros(750, np.float32)
    one[100:105] = one[200:205] = 4.0
    other[300:310] = 4.0
    found = blink_times([one, other], 25.0)
    np.testing.assert_allclose(found.durations_s, np.array([5.5, 5.5, 10.5]) / 25)
    np.testing.assert_allclose(found.intervals_s, [4.0])


def test_blinks_are_counted_where_they_begin_in_clips_of_four_seconds():
    blink = np.zeros(350, np.float32)
    for begin in (10, 50, 98, 240, 330):
        blink[begin : begin + 5] = 4.0
    np.testing.assert_array_equal(blinks_per_clip([blink, blink[:60]], 25.0), [3, 0, 1])


def test_distributions_are_as_far_apart_as_values_must_move():
    assert distribution_distance(np.array([1.0, 2.0]), np.array([2.0, 4.0])) == pytest.approx(1.5)
    assert np.isnan(distribution_distance(np.zeros(0), np.ones(3)))
