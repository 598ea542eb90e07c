"""Frame rates as exact fractions; counting and resampling frames with them."""

import math
import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
from jaxtyping import Float

FrameRate = str | int | float | Fraction | Decimal | np.number
"""A number, or a text such as "29.97" or "30000/1001"."""
MIN_FPS, MAX_FPS = Fraction(1, 10), Fraction(240)
# 23.98 is how 24000/1001 = 23.976… is usually printed.
_PRINTED = Fraction(1, 200)
# A fraction of "1e999999999" would have as many digits.
_MOST_DIGITS = 20
_TEXT = re.compile(rf"\s*[+-]?[\d./]{{1,{3 * _MOST_DIGITS}}}(e[+-]?\d)?\s*", re.IGNORECASE)


def parse_frame_rate(rate: FrameRate) -> Fraction:
    """A frame rate in Hz as a fraction.

    Takes numbers, NumPy's as well, and texts such as "25", "29.97" and "30000/1001". Decimal
    shorthands of the NTSC rates (23.976, 23.98, 29.97, 59.94, …) mean n·1000/1001.

    Raises:
      ValueError: not a number from 0.1 to 240.
    """
    if isinstance(rate, np.generic):
        rate = rate.item()
    try:
        if isinstance(rate, str) and not _TEXT.fullmatch(rate):
            raise ValueError
        if isinstance(rate, Decimal) and abs(rate.adjusted()) > _MOST_DIGITS:
            raise ValueError
        fraction = Fraction(0) if isinstance(rate, bool) else Fraction(rate)
    except (ValueError, TypeError, OverflowError, ZeroDivisionError):
        fraction = Fraction(0)
    if not MIN_FPS <= fraction <= MAX_FPS:
        raise ValueError(
            f"fps must be a number from {float(MIN_FPS):g} to {float(MAX_FPS):g} like 25, 29.97 or "
            f"30000/1001; got {rate!r}"
        )
    ntsc = Fraction(math.ceil(fraction) * 1000, 1001)
    if fraction.denominator > 1 and abs(fraction - ntsc) <= _PRINTED:
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
