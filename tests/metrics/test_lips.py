"""What lips do at the sounds that everyone sees: hand-computed cases and the built-in face."""

import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.face.procedural import EXPRESSION_NAMES, procedural_face_model
from facial_jax.face.procedural.template import UPPER_TEETH, load_template
from facial_jax.metrics import lips as metric
from facial_jax.metrics.lips import GESTURES, Lips, Phone, score_gestures

NOBODY = jnp.zeros(80, jnp.float32)


def face_with(**coefficients):
    expression = np.zeros((1, 64), np.float32)
    for name, value in coefficients.items():
        expression[0, EXPRESSION_NAMES.index(name)] = value
    return metric.face_lips(procedural_face_model(), NOBODY, jnp.asarray(expression))


def flat(gap, width=None, teeth=None):
    gap = np.asarray(gap, np.float32)
    width = np.ones_like(gap) if width is None else np.asarray(width, np.float32)
    teeth = np.full_like(gap, 0.07) if teeth is None else np.asarray(teeth, np.float32)
    return Lips(gap=gap, width=width, teeth=teeth)


def test_gap_width_and_way_to_the_teeth_of_landmarks_set_by_hand():
    neutral = np.zeros((68, 3), np.float32)
    neutral[62], neutral[66] = (0.0, 0.01, 0.2), (0.0, 0.0, 0.2)
    neutral[48], neutral[54] = (-0.25, 0, 0), (0.25, 0, 0)
    moved = neutral.copy()
    moved[66] = (0.0, -0.09, 0.2)
    moved[48], moved[54] = (-0.2, 0.0, 0.0), (0.1, 0.4, 0.0)
    found = metric.lips_from_landmarks(np.stack([neutral, moved]), neutral)
    np.testing.assert_allclose(found.gap, [0.0, 0.09], atol=1e-7)
    np.testing.assert_allclose(found.width, [1.0, 1.0], atol=1e-6)  # a 3-4-5 triangle of 0.5
    # The teeth's edge is at y = 0.01 - 0.03, z = 0.2 - 0.067.
    np.testing.assert_allclose(found.teeth, np.hypot([0.02, 0.07], 0.067), atol=1e-6)


def test_a_face_at_rest_has_its_lips_at_rest():
    found = face_with()
    assert found.gap[0] == pytest.approx(0.0, abs=1e-6)
    assert found.width[0] == pytest.approx(1.0, abs=1e-6)


def test_each_gesture_shows_in_its_channel():
    rest = face_with()
    assert face_with(jaw_open=1.0).gap[0] > 0.15
    assert face_with(jaw_open=0.5, mouth_close=0.5).gap[0] == pytest.approx(0.0, abs=1e-3)
    assert face_with(lip_round=1.0).width[0] < 0.85
    assert face_with(lower_lip_tuck=0.85, jaw_open=0.1).teeth[0] < 0.6 * rest.teeth[0]
    assert face_with(jaw_open=1.0).teeth[0] > 1.5 * rest.teeth[0]


def test_the_teeth_are_where_the_built_in_face_has_them():
    model, template = procedural_face_model(), load_template()
    teeth = np.asarray(model.mean_shape)[template.label == UPPER_TEETH]
    front = teeth[np.abs(teeth[:, 0]) < 0.01]
    edge = front[front[:, 1].argmin()]
    inner_lip = np.asarray(model.mean_shape)[model.landmarks[62]]
    np.testing.assert_allclose(edge - inner_lip, metric.UPPER_TEETH_EDGE, atol=0.01)


def test_lips_of_many_frames_are_those_of_each():
    rng = np.random.default_rng(0)
    expression = jnp.asarray(rng.normal(0, 0.3, (5, 64)), jnp.float32)
    model = procedural_face_model()
    together = metric.face_lips(model, NOBODY, expression)
    for i in range(5):
        one = metric.face_lips(model, NOBODY, expression[i : i + 1])
        np.testing.assert_allclose(together.gap[i], one.gap[0], atol=1e-6)


def test_closures_are_counted_in_the_best_of_three_frames_at_the_middle():
    gap = np.full(20, 1.0)
    gap[4] = 0.1  # one frame before that of the first p's middle
    gap[12] = 0.1  # two frames after that of the b's
    phones = [
        Phone("P", 0.2, 0.24),  # the middle, 0.22 s, is in frame 5
        Phone("B", 0.38, 0.46),  # frame 10
        Phone("AA", 0.6, 0.7),
    ]
    scores = score_gestures([flat(gap)], [phones], wide=1.0, fps=[25.0])
    assert scores["closed"].value == 0.5
    assert scores["closed"].sounds == 2
    assert scores["closed"].chance == pytest.approx(6 / 20)


def test_open_vowels_are_as_wide_as_the_widest_of_three_frames():
    gap = np.zeros(20)
    gap[[4, 11]] = 0.3, 0.1
    phones = [Phone("AA", 0.2, 0.24), Phone("AE", 0.38, 0.46), Phone("IY", 0.0, 0.8)]
    scores = score_gestures([flat(gap)], [phones], wide=0.2, fps=[25.0])
    assert scores["opened"].value == pytest.approx((1.5 + 0.5) / 2)
    assert scores["opened"].chance == 0.0


def test_narrowing_and_the_way_to_the_teeth_are_medians_at_their_sounds():
    width, teeth = np.ones(20), np.full(20, 0.07)
    width[4:7], teeth[14:17] = (0.9, 0.8, 0.9), (0.05, 0.03, 0.05)
    phones = [Phone("W", 0.2, 0.24), Phone("F", 0.6, 0.64)]
    scores = score_gestures([flat(np.zeros(20), width, teeth)], [phones], wide=1.0, fps=[25.0])
    assert scores["narrowed"].value == pytest.approx(0.8)
    assert scores["narrowed"].chance == pytest.approx(1.0)
    assert scores["to_teeth"].value == pytest.approx(3.0)  # millimetres
    assert scores["to_teeth"].chance == pytest.approx(7.0)


def test_recordings_count_together_each_at_its_own_rate_and_unseen_frames_do_not():
    closed, opened = flat(np.zeros(10)), flat(np.ones(20))
    phones = [Phone("M", 0.1, 0.14)]
    both = score_gestures([closed, opened], [phones] * 2, wide=1.0, fps=[25.0, 50.0])
    assert both["closed"].value == 0.5
    assert both["closed"].chance == pytest.approx(10 / 30)
    seen = [np.ones(10, bool), np.arange(20) > 8]  # the m is in frame 6 of the second
    one = score_gestures([closed, opened], [phones] * 2, wide=1.0, fps=[25.0, 50.0], seen=seen)
    assert one["closed"].value == 1.0
    assert one["closed"].chance == pytest.approx(10 / 21)


def test_a_sound_that_is_not_there_has_no_value():
    scores = score_gestures([flat(np.zeros(10))], [[]], wide=1.0, fps=[25.0])
    assert np.isnan([scores[name].value for name in GESTURES]).all()
    assert scores["closed"].chance == 1.0


def test_sounds_outside_the_frames_are_left_out():
    phones = [Phone("P", -0.1, -0.02), Phone("P", 0.4, 0.5), Phone("P", 0.0, 0.02)]
    assert metric.middle_frames(phones, frozenset("P"), 25.0, 10).tolist() == [0]


def test_wide_is_the_ninetieth_percentile_and_a_shut_mouth_has_none():
    assert metric.wide_opening(np.arange(101) / 100) == pytest.approx(0.9)
    with pytest.raises(ValueError, match="a mouth that opens"):
        metric.wide_opening(np.zeros(10))


def test_no_frame_is_an_error():
    with pytest.raises(ValueError, match="at least one frame"):
        score_gestures([flat([])], [[]], wide=1.0, fps=[25.0])
    unseen = [np.zeros(5, bool)]
    with pytest.raises(ValueError, match="in every recording"):
        metric.motion_correlation([np.ones(5)], [np.ones(5)], fps=[25.0], seen=unseen)


def test_the_moving_mean_is_taken_over_what_there_is():
    x = np.array([1.0, 2.0, 6.0, 3.0])
    expected = x - np.array([1.5, 3.0, 11 / 3, 4.5])
    np.testing.assert_allclose(metric.without_moving_mean(x, 3), expected)
    np.testing.assert_allclose(metric.without_moving_mean(x, 101), x - 3.0)


def test_the_best_lag_is_found_and_a_slow_drift_does_not_count():
    rng = np.random.default_rng(0)
    real = np.convolve(rng.normal(size=504), np.ones(3) / 3, "same")
    made = np.roll(real, 2)[2:-2] + np.linspace(0, 50, 500)
    value, lag = metric.motion_correlation([made], [real[2:-2]], fps=[25.0])
    assert lag == 2
    assert value > 0.98
    assert abs(np.corrcoef(made, real[2:-2])[0, 1]) < 0.2


def test_frames_that_were_not_seen_do_not_count():
    rng = np.random.default_rng(0)
    real = rng.normal(size=300)
    made, seen = real.copy(), np.arange(300) % 10 != 0
    spoilt = np.where(seen, real, np.nan)
    value, lag = metric.motion_correlation([made], [spoilt], fps=[25.0], seen=[seen])
    assert (lag, value > 0.95) == (0, True)


def test_a_mouth_that_never_moves_has_no_correlation():
    assert metric.correlation([np.zeros(9)], [np.arange(9.0)]) == 0.0
    assert metric.correlation([np.arange(9.0)], [np.arange(9.0)]) == pytest.approx(1.0)
    assert metric.correlation([np.arange(9.0)], [-np.arange(9.0)]) == pytest.approx(-1.0)
