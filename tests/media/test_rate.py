"""The frame rate comes from the time stamps; claims only confirm it."""

from fractions import Fraction

import numpy as np
import pytest

from facial_jax.media.rate import frame_rate
from facial_jax.tracking.frames import open_frames
from tests.media.recordings import encoded_pictures, grey, write

NTSC = Fraction(30000, 1001)


def stamps(fps, count=250, tick_s=0.001):
    return np.round(np.arange(count) / float(fps) / tick_s) * tick_s


@pytest.mark.parametrize(
    "fps",
    [24, 25, 30, 50, 60, 15, 10, 120, Fraction(25, 2), NTSC, Fraction(24000, 1001)],
)
@pytest.mark.parametrize("claims", [[], [Fraction(1000)], [Fraction(90000), Fraction(17)]])
def test_stamps_of_a_millisecond_tell_the_rate_whatever_is_claimed(fps, claims):
    assert frame_rate(stamps(fps), claims, tick_s=0.001) == (Fraction(fps), True)


def test_a_claim_near_the_stamps_is_exact():
    assert frame_rate(stamps(30), [NTSC], tick_s=0.001) == (NTSC, True)
    assert frame_rate(stamps(25, 3), [Fraction(25)], tick_s=0.001) == (Fraction(25), True)
    assert frame_rate(stamps(Fraction("29.9")), [Fraction("29.9")], tick_s=1e-5)[0] == Fraction(
        "29.9"
    )


def test_without_stamps_a_likely_claim_counts():
    one = np.zeros(1)
    assert frame_rate(one, [Fraction(30)], tick_s=0.001) == (30, True)
    assert frame_rate(one, [Fraction(1000)], tick_s=0.001) == (25, True)
    assert frame_rate(np.zeros(0), [], tick_s=0.001) == (25, True)


def test_holes_do_not_change_the_rate():
    times = np.concatenate([stamps(30), 60 + stamps(30)])
    assert frame_rate(times, [Fraction(7)], tick_s=0.001) == (30, True)


@pytest.mark.parametrize(
    ("steps_ms", "fps"), [([29, 33, 38], 30), ([33, 42], 30), ([16, 17, 100, 500], 60)]
)
def test_pictures_that_come_irregularly_are_read_at_a_usual_rate(steps_ms, fps):
    steps = np.random.default_rng(0).choice(steps_ms, 300) / 1000
    assert frame_rate(np.cumsum(steps), [Fraction(1000)], tick_s=0.001) == (fps, False)


def test_rates_have_limits():
    assert frame_rate(stamps(1000, tick_s=1e-5), [], tick_s=1e-5)[0] == 120
    assert frame_rate(np.arange(5) * 20.0, [], tick_s=0.001)[0] == 1


def test_a_browsers_webm_is_read_at_the_rate_of_its_pictures(tmp_path):
    rng = np.random.default_rng(0)
    times = np.arange(90) / 30 + np.append(0, rng.integers(-4, 5, 89)) / 1000
    levels = 20 + 2 * np.arange(90)
    packets = encoded_pictures([grey(v) for v in levels], times, codec="libvpx")
    for packet in packets:
        packet.duration = 1
    path = write(tmp_path / "a.webm", pictures=packets, video_codec="libvpx", fps=1000)
    video = open_frames(path)
    shown = [frame[9, 9, 0] for frame in video.read()]
    assert video.fps == 30
    assert not video.constant_rate
    assert len(shown) == 90
    assert np.abs(np.array(shown, float) - levels).mean() < 4
