"""The frame rate of a video, from its time stamps; what the file claims only confirms it."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from jaxtyping import Float

DEFAULT_FPS = Fraction(25)
MAX_FPS = Fraction(120)
MIN_FPS = Fraction(1)
# Claims above are, more often than not, the resolution of the time stamps.
HIGHEST_CLAIM = Fraction(60)
_CLAIM_TOLERANCE = 0.005
_MOST = 0.8
_CLAIM_ROUNDING = 0.0002
_EXACT_TOLERANCE = 0.0005
_COMMON_RATES = tuple(Fraction(n) for n in (10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 120))
_WHOLE_RATES = (*(Fraction(n) for n in range(1, 121)), Fraction(15, 2), Fraction(25, 2))
_NTSC_RATES = tuple(Fraction(1000 * n, 1001) for n in (15, 24, 30, 48, 60, 120))


def frame_rate(
    times_s: Float[np.ndarray, "n"], claims: Sequence[Fraction], *, tick_s: float
) -> tuple[Fraction, bool]:
    """Frames per second to read a video at, and whether its pictures come at that rate.

    The time that a picture is usually shown, holes left out, says the rate. A claim of at most 60
    that is within half a percent of it is taken for exact. Pictures that come irregularly are read
    at the next usual rate above.

    Args:
        times_s: when pictures are shown, in seconds, rising.
        claims: the file's own rates.
        tick_s: the resolution of the times.
    """
    usable = [claim for claim in claims if MIN_FPS <= claim <= HIGHEST_CLAIM]
    steps = np.diff(np.unique(times_s))
    if not len(steps):
        return (_usual(usable[0], _CLAIM_ROUNDING) if usable else DEFAULT_FPS), True
    typical = float(np.median(steps))
    kept = steps[(steps > 0.5 * typical) & (steps < 1.5 * typical)]
    step = float(kept.mean())
    steady = bool(np.mean(np.abs(steps - step) <= 0.1 * step + 1.01 * tick_s) > 0.98)
    measured = 1 / step
    for claim in usable:
        if abs(float(claim) / measured - 1) < _CLAIM_TOLERANCE:
            return _usual(claim, _CLAIM_ROUNDING), steady
    precision = max(_EXACT_TOLERANCE, 2 * max(tick_s, float(kept.std())) / float(kept.sum()))
    rate = Fraction(measured)
    if not steady:
        if len(kept) < _MOST * len(steps):  # no time is usual: what comes fast must be seen
            measured = 1 / float(np.quantile(steps, 0.25))
        rate = next((r for r in _COMMON_RATES if float(r) > 0.99 * measured), MAX_FPS)
    return min(max(_usual(rate, precision), MIN_FPS), MAX_FPS), steady


def _usual(rate: Fraction, tolerance: float) -> Fraction:
    """The rate, or a usual one that is almost that."""
    for rates in (_WHOLE_RATES, _NTSC_RATES):
        nearest = min(rates, key=lambda usual: abs(usual - rate))
        if abs(float(nearest / rate) - 1) <= tolerance:
            return nearest
    return rate.limit_denominator(1001)
