"""Time stamps run on over steps in them."""

from fractions import Fraction

import av
import pytest

from facial_jax.media.clock import Clock

TICK = Fraction(1, 1000)


def corrected(rows, *, steps=True, duration=40):
    """Rows of stream, dts and pts, in milliseconds; the pts that come out."""
    clock = Clock(steps=steps)
    times = []
    for stream, dts, *pts in rows:
        packet = av.Packet(b"x")
        packet.dts, packet.pts, packet.duration = dts, pts[0] if pts else dts, duration
        packet.time_base = TICK
        clock.correct(packet, stream)
        times.append(packet.pts)
    return times


def test_stamps_that_run_on_stay():
    rows = [(0, -80, 0), (0, -40, 120), (1, -64), (0, 0, 40), (1, 0)]
    assert corrected(rows) == [0, 120, -64, 40, 0]


@pytest.mark.parametrize("base", [0, 3_600_000 * 5, 90_000])
def test_streams_stay_together_over_a_new_beginning(base):
    first = [(stream, 40 * i) for i in range(100) for stream in (0, 1)]
    second = [(stream, base + 40 * i) for i in range(100) for stream in (0, 1)]
    times = corrected(first + second)
    assert times[::2] == times[1::2] == [40 * i for i in range(200)]


def test_a_packet_from_before_the_new_beginning_that_comes_late_keeps_its_place():
    rows = [(0, 5000), (1, 4960), (0, 0), (1, 5000), (1, 40), (0, 40)]
    assert corrected(rows) == [5000, 4960, 5040, 5000, 5080, 5080]


def test_a_hole_in_one_stream_stays_a_hole():
    rows = [(0, 40 * i) for i in range(1000)]
    rows.insert(10, (1, 360))
    rows.append((1, 40_000))
    assert corrected(rows)[-1] == 40_000


def test_formats_whose_clock_is_one_keep_long_holes_and_absurd_ones_are_closed():
    assert corrected([(0, 0), (0, 600_000)], steps=False) == [0, 600_000]
    assert corrected([(0, 0), (0, 10**12), (0, 10**12 + 40)], steps=False) == [0, 40, 80]
    assert corrected([(0, 0, 0), (0, 40, 10**12)], steps=False) == [0, 40]


def test_no_packet_lasts_for_days():
    rows = [(0, 10**9 * i, 10**9 * i) for i in range(4)]
    assert corrected(rows, steps=False, duration=10**9) == [0, 10_000, 20_000, 30_000]


def test_packets_without_decoding_times_are_let_through():
    packet = av.Packet(b"x")
    Clock(steps=True).correct(packet, 0)
    assert (packet.pts, packet.dts) == (None, None)
