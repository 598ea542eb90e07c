"""Distances of landmarks, eyes and faces, worked out by hand."""

import numpy as np
import pytest

from facial_jax.metrics.eyes import gaze, gaze_error, opening_error
from facial_jax.metrics.landmarks import landmark_distance, mouth_landmark_distance
from facial_jax.metrics.similarity import identity_similarity


def face(frames=4, seed=0):
    """Landmarks at random, the eyes' outer corners 10 apart."""
    points = np.random.default_rng(seed).uniform(-1, 1, (frames, 68, 2)) * 3
    points[:, 36], points[:, 45] = (-5, 0), (5, 0)
    return points


def test_identical_landmarks_have_no_distance():
    points = face()
    assert landmark_distance(points, points) == 0
    assert mouth_landmark_distance(points, points) == 0


def test_place_and_size_of_a_face_do_not_count():
    points = face()
    moved = 2.5 * points + [[[100, -40]]] + np.arange(4)[:, None, None]
    assert landmark_distance(moved, points) == pytest.approx(0, abs=1e-9)
    assert mouth_landmark_distance(moved, points) == pytest.approx(0, abs=1e-9)


def test_one_landmark_that_moved_is_its_share_of_the_distance():
    points = face()
    moved = points.copy()
    moved[1, 57] += [0, 2.0]
    # In frame 1 of 4 the mean moves by 2/68 against 67 landmarks, and 1 moved by 2 − 2/68 more.
    by_hand = (67 * 2 / 68 + (2 - 2 / 68)) / 68 / 4
    assert landmark_distance(moved, points) == pytest.approx(100 * by_hand / 10)
    of_the_mouth = (19 * 2 / 20 + (2 - 2 / 20)) / 20 / 4
    assert mouth_landmark_distance(moved, points) == pytest.approx(100 * of_the_mouth / 10)


def test_what_moves_outside_the_mouth_is_none_of_its_distance():
    points = face()
    moved = points.copy()
    moved[:, 8] += 1.0
    assert mouth_landmark_distance(moved, points) == 0
    assert landmark_distance(moved, points) > 0


def test_frames_without_a_face_do_not_count():
    points, moved = face(), face()
    moved[:, 57] += [0, 2.0]
    lacking = moved.copy()
    lacking[2] = np.nan
    assert landmark_distance(lacking, points) == pytest.approx(landmark_distance(moved, points))
    with pytest.raises(ValueError, match="a face in at least one"):
        landmark_distance(np.full_like(points, np.nan), points)


def eyes(opening, irises):
    """Eyes 4 wide from (0, 0) and (6, 0) on, open by `opening` of their width."""
    frames = len(opening)
    points = np.zeros((frames, 68, 2))
    height = 4 * np.asarray(opening)[:, None] / 2
    for first, x in ((36, 0.0), (42, 6.0)):
        points[:, first : first + 6, 0] = np.array([0, 1, 3, 4, 3, 1]) + x
        points[:, first + 1 : first + 3, 1] = -height
        points[:, first + 4 : first + 6, 1] = height
    shown = np.array([[2.0, 0.0], [8.0, 0.0]]) + np.asarray(irises)[:, None]
    return points, np.broadcast_to(shown, (frames, 2, 2))


def test_the_opening_is_over_the_persons_own():
    wide, _ = eyes([0.4, 0.4, 0.4, 0.2, 0.4], [[0, 0]] * 5)
    narrow, _ = eyes([0.3, 0.3, 0.3, 0.3, 0.3], [[0, 0]] * 5)
    assert opening_error(wide, wide) == 0
    assert opening_error(narrow, wide) == pytest.approx(0.5 / 5, abs=1e-6)


def test_gaze_is_in_widths_of_the_eye_and_turns_with_the_head():
    points, irises = eyes([0.4, 0.4], [[1.0, 0.0], [0.0, 0.2]])
    np.testing.assert_allclose(gaze(points, irises), [[0.25, 0], [0, 0.05]])
    turn = np.array([[0.8, 0.6], [-0.6, 0.8]])
    np.testing.assert_allclose(
        gaze(points @ turn, irises @ turn), [[0.25, 0], [0, 0.05]], atol=1e-9
    )
    assert gaze_error(gaze(points, irises), np.zeros((2, 2))) == pytest.approx(15)


def test_the_same_face_is_similar_and_an_orthogonal_one_is_not():
    def embed(faces):
        return faces[:, 0, 0, :2].astype(float)

    one = np.zeros((3, 4, 4, 3), np.uint8)
    one[..., 0] = 200
    other = np.zeros((2, 4, 4, 3), np.uint8)
    other[..., 1] = 10
    assert identity_similarity(embed, one, one) == pytest.approx(1)
    assert identity_similarity(embed, one, other) == pytest.approx(0)
    between = np.concatenate([one[:1], other[:1]])
    assert identity_similarity(embed, one, between) == pytest.approx(np.sqrt(0.5))
    with pytest.raises(ValueError, match="a finite vector"):
        identity_similarity(lambda faces: np.zeros((1, 2)), one, one)
