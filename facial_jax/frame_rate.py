"""Frame rates as exact fractions, and counting frames with them."""

import math
from fractions import Fraction


def parse_frame_rate(rate: str | int | float | Fraction) -> Fraction:
    """A frame rate in Hz as a fraction.

    Takes numbers and texts such as "25", "29.97" and "30000/1001". Decimal shorthands of the NTSC
    rates (23.976, 29.97, 59.94, …) mean n·1000/1001.

    Raises:
      ValueError: not a positive, finite number.
    """
    try:
        fraction = Fraction(rate)
    except (ValueError, TypeError, OverflowError, ZeroDivisionError):
        fraction = Fraction(0)
    if fraction <= 0:
        raise ValueError(
            f"fps must be a positive number like 25, 29.97 or 30000/1001; got {rate!r}"
        )
    ntsc = Fraction(math.ceil(fraction) * 1000, 1001)
    if fraction.denominator > 1 and abs(fraction - ntsc) < Fraction(1, 500):
        return ntsc
    return fraction.limit_denominator(1001)


def count_frames(duration_s: Fraction, rate: Fraction) -> int:
    """round(duration · rate), and at least one frame."""
    return max(1, round(duration_s * rate))
