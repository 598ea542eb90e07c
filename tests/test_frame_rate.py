from fractions import Fraction

import pytest

from facial_jax.frame_rate import count_frames, parse_frame_rate


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
        (12.5, Fraction(25, 2)),
        (1 / 3, Fraction(1, 3)),
    ],
)
def test_rates_are_exact_fractions(given, expected):
    assert parse_frame_rate(given) == expected


@pytest.mark.parametrize("bad", [0, -25, "fast", float("nan"), float("inf"), "1/0"])
def test_anything_else_is_refused_with_an_example(bad):
    with pytest.raises(ValueError, match="30000/1001"):
        parse_frame_rate(bad)


def test_frame_count_is_the_rounded_product():
    assert count_frames(Fraction(10), Fraction(30000, 1001)) == 300
    assert count_frames(Fraction("0.1"), Fraction(24)) == 2
    assert count_frames(Fraction(1, 1000), Fraction(25)) == 1
