"""Frame rates as exact fractions; counting and resampling frames with them."""

import math
from fractions import Fraction

import numpy as np
from jaxtyping import Float


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


def resample_frames(
    values: Float[np.ndarray, "old *rest"], old_rate: Fraction, new_rate: Fraction, count: int
) -> Float[np.ndarray, "count *rest"]:
    """`count` rows at another rate, linear between the given ones; past the last, the last is held.

    Row i of either stands for the time i / rate.
    """
    position = np.arange(count) * float(old_rate / new_rate)
    last = len(values) - 1
    low = np.minimum(position.astype(np.int64), last)
    high = np.minimum(low + 1, last)
    weight = np.clip(position - low, 0, 1).astype(np.float32).reshape(-1, *(1,) * (values.ndim - 1))
    return values[low] * (1 - weight) + values[high] * weight
