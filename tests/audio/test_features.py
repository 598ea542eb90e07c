from fractions import Fraction

import numpy as np
import pytest

from facial_jax.audio.features import feature_windows, given_features, speech_features
from facial_jax.audio.mfcc import log_mel
from facial_jax.audio.waveform import AudioSource
from facial_jax.frame_rate import resample_frames


class Passing:
    """An acoustic model that passes two bands through."""

    feature_count = 2

    def __call__(self, blocks, *, progress=iter) -> np.ndarray:
        return log_mel(blocks)[:, :2]


def test_windows_hold_8_rows_before_and_7_after():
    rows = np.arange(1, 41, dtype=np.float32).reshape(20, 2)
    windows = feature_windows(rows)
    assert windows.shape == (20, 16, 2)
    np.testing.assert_array_equal(windows[10], rows[2:18])
    np.testing.assert_array_equal(windows[0, :8], 0.0)
    np.testing.assert_array_equal(windows[0, 8:], rows[:8])
    np.testing.assert_array_equal(windows[19, 9:], 0.0)
    np.testing.assert_array_equal(windows[:, 8], rows)


@pytest.mark.parametrize("fps", [Fraction(30), Fraction(25), Fraction(30000, 1001), Fraction(100)])
def test_interpolation_agrees_with_numpys(fps):
    rows = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    count = 29
    got = resample_frames(rows, Fraction(50), fps, count)
    for column, expected_rows in zip(got.T, rows.T, strict=True):
        expected = np.interp(np.arange(count) / float(fps), np.arange(50) / 50, expected_rows)
        np.testing.assert_allclose(column, expected, atol=1e-5)


@pytest.mark.parametrize("seconds", [Fraction(1, 10), Fraction(1), Fraction(1237, 500)])
@pytest.mark.parametrize("fps", [Fraction(25), Fraction(24000, 1001), Fraction(30)])
def test_there_is_a_row_for_every_frame(seconds, fps):
    sound = np.random.default_rng(0).normal(size=round(seconds * 16000)).astype(np.float32)
    features = speech_features(AudioSource((sound, 16000)), Passing(), fps)
    assert features.shape == (round(seconds * fps), 2)
    assert np.isfinite(features).all()


def test_one_sample_gives_one_row():
    features = speech_features(AudioSource((np.ones(1, np.float32), 8000)), Passing(), 25.0)
    assert features.shape == (1, 2)


def test_rows_lie_at_their_time():
    sound = np.zeros(32000, np.float32)
    sound[16000:16400] = np.random.default_rng(0).normal(size=400)
    features = speech_features(AudioSource((sound, 16000)), Passing(), Fraction(25))
    assert np.argmax(features[:, 0]) == 25


def test_a_frame_rate_of_zero_is_refused():
    with pytest.raises(ValueError, match="positive frame rate"):
        speech_features(AudioSource((np.ones(9), 16000)), Passing(), 0.0)


def test_given_features_are_brought_to_the_videos_rate():
    source = AudioSource((np.zeros(32000, np.float32), 16000))
    rows = np.arange(100, dtype=np.float32)[:, None] * np.ones((1, 3), np.float32)
    made = given_features(rows, Fraction(50), source, Fraction(25))
    np.testing.assert_allclose(made[:, 0], np.arange(50) * 2)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros(100), r"expected finite numbers \(rows, features\), got shape \(100,\)"),
        (np.full((100, 3), np.nan), "expected finite numbers"),
        (np.zeros((60, 3)), r"60 rows at 50 per second last 1\.20 s, the sound 2\.00 s"),
    ],
)
def test_given_features_that_do_not_fit_the_sound_are_refused(rows, message):
    source = AudioSource((np.zeros(32000, np.float32), 16000))
    with pytest.raises(ValueError, match=message):
        given_features(rows, Fraction(50), source, Fraction(25))
