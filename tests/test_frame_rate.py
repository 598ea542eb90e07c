from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from facial_jax.frame_rate import count_frames, parse_frame_rate, resample_frames


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (25, Fraction(25)),
        ("25", Fraction(25)),
        ("30000/1001", Fraction(30000, 1001)),
        (Fraction(24000, 1001), Fraction(24000, 1001)),
        (29.97, Fraction(30000, 1001)),
        ("23.976", Fraction(24000, 1001)),
        ("59.94", Fraction(60000, 1001)),
        ("23.98", Fraction(24000, 1001)),
        (" 23.98 ", Fraction(24000, 1001)),
        (np.float32(25), Fraction(25)),
        (np.float32(29.97), Fraction(30000, 1001)),
        (np.int64(30), Fraction(30)),
        (Decimal("12.5"), Fraction(25, 2)),
        (0.1, Fraction(1, 10)),
        (24.5, Fraction(49, 2)),
        (12.5, Fraction(25, 2)),
        (1 / 3, Fraction(1, 3)),
    ],
)
def test_rates_are_exact_fractions(given, expected):
    assert parse_frame_rate(given) == expected


@pytest.mark.parametrize(
    "bad",
    [
        *(0, -25, "fast", float("nan"), float("inf"), "1/0", 0.0001, 1e9, "", "25 fps", "29,97"),
        *(True, np.float64("nan"), Decimal("NaN"), np.complex64(25)),
    ],
)
def test_anything_else_is_refused_with_an_example(bad):
    with pytest.raises(ValueError, match="30000/1001"):
        parse_frame_rate(bad)


def test_frame_count_is_the_rounded_product():
    assert count_frames(Fraction(10), Fraction(30000, 1001)) == 300
    assert count_frames(Fraction("0.1"), Fraction(24)) == 2
    assert count_frames(Fraction(1, 1000), Fraction(25)) == 1


@pytest.mark.parametrize("rest", [(), (6,), (2, 3)])
def test_resampling_keeps_a_straight_line_straight_and_holds_the_last_value(rest):
    line = np.broadcast_to(
        np.arange(100, dtype=np.float32).reshape(-1, *(1,) * len(rest)), (100, *rest)
    )
    new_rate = Fraction(30000, 1001)
    resampled = resample_frames(line, Fraction(25), new_rate, 130)
    expected = np.minimum(np.arange(130) * float(Fraction(25) / new_rate), 99)
    np.testing.assert_allclose(resampled.reshape(130, -1)[:, 0], expected, rtol=1e-5)
    np.testing.assert_array_equal(resample_frames(line, Fraction(25), Fraction(25), 100), line)
