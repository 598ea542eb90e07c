"""The paper's tables on head poses, on poses whose answers are known."""

import numpy as np
import pytest

from facial_jax.face.procedural import procedural_face_model
from facial_jax.metrics.pose_correlation import (
    SpeechAndPoses,
    clip_windows,
    correlation_features,
    correlation_study,
)
from facial_jax.metrics.pose_errors import (
    PAPER,
    mean_table,
    measure_methods,
    pose_errors,
    text_table,
    whole_windows,
)
from facial_jax.metrics.pose_heat_map import draw_heat_map, landmark_heat_map
from facial_jax.metrics.pose_manner import REAL, measure_manner
from facial_jax.metrics.pose_seams import measure_seams
from facial_jax.models.pose_gan.baselines import baselines
from facial_jax.models.pose_gan.rest_frame import pose_statistics
from facial_jax.plots import svg_bars
from tests.random_clips import clip_source, random_clip


def test_correlations_are_numpys():
    rng = np.random.default_rng(0)
    rows, poses = rng.normal(size=(2, 40, 3)), rng.normal(size=(2, 40, 6))
    found = correlation_features(rows, poses)
    assert found.shape == (2, 18)
    for w in range(2):
        expected = np.corrcoef(rows[w].T, poses[w].T)[:3, 3:]
        np.testing.assert_allclose(found[w].reshape(3, 6), expected, atol=1e-6)


def test_what_does_not_change_correlates_with_nothing():
    rows = np.ones((5, 3))
    rows[:, 1] = np.arange(5)
    found = correlation_features(rows, np.arange(30.0).reshape(5, 6))
    np.testing.assert_allclose(found.reshape(3, 6)[1], 1.0)
    assert (found.reshape(3, 6)[[0, 2]] == 0).all()


def answering(sign, seed, windows=60):
    """Somebody whose pitch follows (sign 1) or avoids (−1) the first speech feature."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(windows, 256, 4))
    poses = rng.normal(size=(windows, 256, 6))
    poses[..., 0] = sign * rows[..., 0] + 0.5 * poses[..., 0]
    return SpeechAndPoses(rows, poses)


def test_matching_poses_are_taken_for_the_persons_and_random_ones_are_not():
    train = {"a": answering(1, 0), "b": answering(-1, 1)}
    test = {"a": answering(1, 2), "b": answering(-1, 3)}
    table = correlation_study(train, test)
    for person in "ab":
        assert table[person].matching > 0.7
        assert table[person].random < 0.1
        assert table[person].preferred > 0.95
    with pytest.raises(ValueError, match="at least two people, got 1"):
        correlation_study(train, {"a": test["a"]})


def test_poses_that_answer_nothing_are_not_told_apart():
    people = {name: answering(0, seed) for seed, name in enumerate("abc")}
    later = {name: answering(0, seed + 9) for seed, name in enumerate("abc")}
    table = correlation_study(people, later)
    assert np.mean([x.preferred for x in table.values()]) == pytest.approx(0.5, abs=0.05)


def test_windows_stay_in_their_part_of_a_clip_and_off_cuts():
    valid = np.ones(100, bool)
    valid[30] = False
    clip = random_clip("a", "s", 100, valid=valid)
    found = clip_windows([clip], frames=10, stride=1, part=(0.2, 0.5))
    starts = [int(np.flatnonzero((clip.features == rows[0]).all(axis=1))[0]) for rows in found.rows]
    assert starts == [20, *range(31, 41)]
    with pytest.raises(ValueError, match="at least 70 valid frames"):
        clip_windows([clip], frames=70)


def test_errors_by_hand():
    real = np.zeros((2, 4, 6))
    real[:, :, 0] = [0, 1, 0, 1]
    table = pose_errors(real, real + 3.0)
    assert table["pose"] == pytest.approx(3.0)
    assert table["motion"] == 0
    assert table["movement"] == pytest.approx(1.0)
    still = pose_errors(real, np.zeros_like(real))
    assert still["motion"] == pytest.approx(np.sqrt(1 / 6))
    assert still["movement"] == still["motion size"] == 0


def test_random_poses_are_root_two_times_as_far_as_the_mean():
    # What the paper's numbers are told apart by: distances, not squares.
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 50, 256, 6))
    ratio = pose_errors(a, b)["pose"] / pose_errors(a, np.zeros_like(a))["pose"]
    assert ratio == pytest.approx(np.sqrt(2), rel=0.01)
    assert PAPER["random sequence"][0] / PAPER["mean pose"][0] == pytest.approx(ratio, rel=0.06)


def test_baselines_do_what_they_are_called():
    known = clip_source(random_clip("a", "s", 560, features=5))
    statistics = pose_statistics(known)
    methods = baselines(known, statistics)
    windows = whole_windows(known, statistics, stride=40)
    table = measure_methods(methods, windows)
    # Every other one of these windows is known, and its nearest neighbour is itself.
    found = np.concatenate([methods["nearest neighbour"](batch) for batch in windows])
    real = np.concatenate([batch.poses for batch in windows])
    np.testing.assert_array_equal(found, real)
    assert table["nearest neighbour"]["pose"] == 0
    assert table["mean pose"]["pose"] == pytest.approx(1.0, abs=0.05)
    assert table["mean pose"]["movement"] == 0
    assert table["random sequence"]["pose"] > 0.3
    shown = text_table(mean_table([table, table]))
    assert "0.90, 0.12" in shown


def test_windows_with_a_frame_that_is_not_valid_are_left_out():
    short = clip_source(random_clip("a", "s", 200), random_clip("b", "s", 300))
    windows = whole_windows(short, pose_statistics(short))
    assert sum(len(batch.rows) for batch in windows) == 1


def test_a_jump_at_a_border_is_seen_there_alone():
    poses = np.zeros((30, 6))
    poses[20:] += 0.5
    std = np.full(6, 0.1)
    assert measure_seams(poses, std, frames=10).largest_at_seams == pytest.approx(5.0)
    assert measure_seams(poses, std, frames=10).largest_elsewhere == 0
    assert measure_seams(poses, std, frames=15).largest_elsewhere == pytest.approx(5.0)
    with pytest.raises(ValueError, match="more than 256 frames, got 30"):
        measure_seams(poses, std)


def test_a_classifier_knows_the_person_and_doubts_what_moves_like_another():
    rng = np.random.default_rng(0)

    def swaying(period, size=1.0, windows=40):
        phase = rng.uniform(0, 7, (windows, 1, 6))
        t = np.arange(64.0)[None, :, None]
        return (size * np.sin(2 * np.pi * t / period + phase)).astype(np.float32)

    train = {"a": swaying(16), "b": swaying(40)}
    test = {
        REAL: {"a": swaying(16), "b": swaying(40)},
        "exchanged": {"a": swaying(40), "b": swaying(16)},
        "still": {"a": swaying(16, size=0.0), "b": swaying(40, size=0.0)},
    }
    table = measure_manner(train, test)
    assert table[REAL].recognized > 0.9
    assert table["exchanged"].confidence < 0.2
    # Whoever is taken for the still one, it is the same one.
    assert table["still"].recognized == 0.5


def test_landmarks_that_stay_where_they_are_make_as_many_hot_pixels():
    face = procedural_face_model()
    heat = landmark_heat_map(np.zeros((3, 6), np.float32), face)
    assert heat.sum() == pytest.approx(68)
    turned = np.zeros((40, 6), np.float32)
    turned[:, 1] = np.linspace(-0.4, 0.4, 40)
    spread = landmark_heat_map(turned, face)
    assert (spread > 0).sum() > 4 * (heat > 0).sum()
    picture = draw_heat_map(heat)
    assert picture.shape == (224, 224, 3)
    assert picture.max() == 255
    assert picture.min() == 0


def test_bars_are_as_high_as_their_values():
    svg = svg_bars("t", {"a": {"x": 1.0, "y": 2.0}, "b": {"x": 0.0, "y": 1.0}})
    heights = [float(part.split('"')[0]) for part in svg.split(' height="')[2:]]
    assert heights[1] == pytest.approx(2 * heights[0])
    assert heights[2] == 0
    assert heights[3] == heights[0]
