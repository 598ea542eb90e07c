import numpy as np
import pytest

from facial_jax.tracking.blink import blink_intensity, eye_openings, relative_opening


def eyes(openness, width=20.0):
    """Landmarks (t, 68, 2) whose eyes are `width` wide and `openness` · width high."""
    openness = np.asarray(openness, np.float32)
    points = np.zeros((len(openness), 68, 2), np.float32)
    for first, middle in ((36, 100.0), (42, 160.0)):
        x = np.array([-0.5, -0.2, 0.2, 0.5, 0.2, -0.2]) * width + middle
        y = np.array([0, -0.5, -0.5, 0, 0.5, 0.5])
        points[:, first : first + 6, 0] = x
        points[:, first : first + 6, 1] = y * openness[:, None] * width
    return points


def scores(closed):
    """MediaPipe's scores as they are for an eye closed by this much."""
    return np.repeat((0.03 + 0.62 * np.asarray(closed, np.float32))[:, None], 2, axis=1)


def test_the_opening_is_height_over_width():
    np.testing.assert_allclose(eye_openings(eyes([0.3, 0.0])), [[0.3, 0.3], [0, 0]], atol=1e-6)


@pytest.mark.parametrize("own", [0.2, 0.35])
def test_open_is_0_and_closed_is_5_whatever_the_persons_eyes(own):
    closed = np.zeros(100, np.float32)
    closed[50:53] = [0.5, 1.0, 0.5]
    blink = blink_intensity(eyes(own * (1 - 0.95 * closed)), scores(closed))
    assert (blink[:49] < 0.05).all()
    assert blink[51] > 4.8
    assert 1.5 < blink[50] < 3.5


def test_the_intensity_rises_with_the_closing():
    closed = np.concatenate([np.zeros(80), np.linspace(0, 1, 20)]).astype(np.float32)
    blink = blink_intensity(eyes(0.3 * (1 - closed)), scores(closed))
    assert (np.diff(blink[80:]) >= 0).all()
    assert blink.min() >= 0
    assert blink.max() <= 5


def test_eyes_whose_landmarks_never_meet_are_closed_where_both_signs_say_so():
    closed = np.zeros(100, np.float32)
    closed[50:53] = closed[80:83] = [0.5, 0.8, 0.5]
    points = eyes(0.25 * (1 - 0.95 * closed))
    blink = blink_intensity(points, scores(closed))
    assert blink[[51, 81]].min() > 4.9
    assert 2.5 < blink[50] < 4
    # Who looks down has narrow eyes, but no closed ones.
    assert blink_intensity(points, scores(0.4 * closed))[51] < 4


def test_eyes_that_never_close_do_not_blink():
    rng = np.random.default_rng(0)
    noise = rng.uniform(-0.04, 0.04, 200).astype(np.float32)
    assert blink_intensity(eyes(0.3 * (1 + noise)), scores(np.abs(noise))).max() < 0.3


def test_frames_without_a_face_stay_unknown():
    points, score = eyes(np.full(10, 0.3)), scores(np.zeros(10))
    points[4], score[4] = np.nan, np.nan
    assert np.isnan(blink_intensity(points, score)).tolist() == [i == 4 for i in range(10)]
    assert np.isnan(relative_opening(points)).sum() == 1
