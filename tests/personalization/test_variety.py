import dataclasses

import numpy as np

from facial_jax.personalization import variety
from facial_jax.personalization.clip import shown_frames
from facial_jax.personalization.variety import farthest_points, varied_frames
from tests.random_clips import random_clip


def test_each_point_is_the_farthest_from_those_before():
    points = np.array([[0.0], [1.0], [2.0], [10.0], [-3.0]])
    np.testing.assert_array_equal(farthest_points(points, 3), [2, 3, 4])
    assert sorted(farthest_points(points, 9)) == [0, 1, 2, 3, 4]


def test_few_frames_are_all_taken():
    clip = random_clip("clip", "a", 100)
    np.testing.assert_array_equal(varied_frames(clip, np.arange(7, 60)), np.arange(7, 60))


def test_of_a_long_clip_what_is_rare_is_taken_in_runs(monkeypatch):
    monkeypatch.setattr(variety, "MAX_FRAMES", 60)
    clip = random_clip("clip", "a", 400)
    rng = np.random.default_rng(0)
    still = {name: np.zeros_like(getattr(clip, name)) for name in ("pose", "expression", "blink")}
    still["pose"] = rng.normal(0, 1e-3, clip.pose.shape).astype(np.float32)
    still["pose"][240:252, 1] = 0.5  # one turn of the head
    clip = dataclasses.replace(clip, **still)
    chosen = varied_frames(clip, np.arange(320))
    assert len(chosen) == 60
    assert set(range(240, 252)) <= set(chosen.tolist())
    assert (np.diff(chosen) > 0).all()
    begins = np.flatnonzero(np.diff(chosen, prepend=-2) != 1)
    assert len(begins) <= 5


def test_held_out_frames_are_all_shown(monkeypatch):
    monkeypatch.setattr(variety, "MAX_FRAMES", 24)
    valid = np.ones(200, bool)
    valid[[3, 190]] = False
    shown = shown_frames(random_clip("clip", "a", 200, valid=valid), 160)
    assert (shown < 160).sum() <= 24
    np.testing.assert_array_equal(shown[shown >= 160], np.delete(np.arange(160, 200), 30))
