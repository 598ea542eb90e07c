"""Blinks: when the eyes close, and how.

Eyes blink when they are due and an occasion comes: a blink is rarely in the middle of a word. After
a blink the next one becomes due little by little; a phrase's end takes one early, an accent later,
and long after it is due it comes of its own.
"""

import numpy as np

from data_specs.synthetic_talking_head.head_motion import rise
from data_specs.synthetic_talking_head.prosody import accents, phrases
from data_specs.synthetic_talking_head.style import Style
from facial_jax.attributes import MAX_BLINK
from facial_jax.speech.espeak import Utterance

OVERDUE = 1.7
"""Intervals after which the eyes blink without an occasion."""
MIN_GAP_S = 0.7
_MISSED = 0.07
_PARTIAL = 0.08


def blink_curve(
    utterance: Utterance, style: Style, times_s: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Intensity of AU45 on the animator's grid, (t,), 0 to 5."""
    blink = np.zeros(len(times_s))
    for time in blink_times(utterance, style, times_s[0], times_s[-1], rng):
        scale = np.clip(rng.normal(1.0, 0.1), 0.75, 1.3)
        closing, closed, opening = scale * np.array(
            [style.blink_closing_s, style.blink_closed_s, style.blink_opening_s]
        )
        peak = style.blink_peak * rng.normal(1.0, 0.05)
        if rng.random() < _PARTIAL:
            peak *= rng.uniform(0.5, 0.75)
        lag = times_s - time
        shape = rise(lag, closing) * (1 - rise(lag - closing - closed, opening))
        blink = np.maximum(blink, peak * shape)
    return np.clip(blink, 0.0, MAX_BLINK)


def blink_times(
    utterance: Utterance, style: Style, start_s: float, end_s: float, rng: np.random.Generator
) -> list[float]:
    """When the blinks begin, in order."""
    occasions = [(end_s + 2 * OVERDUE * style.blink_interval_s, np.inf)]
    for phrase in phrases(utterance):
        # The longer the pause, the more of an occasion.
        due = style.blink_end * (1.0 - 0.3 * min(phrase.pause_s / 0.5, 1.0))
        occasions.append((phrase.end_s + style.blink_lag_s, due))
        occasions.append((phrase.start_s - 0.1 + style.blink_lag_s, style.blink_start))
    occasions += [
        (accent.time_s + style.blink_lag_s, style.blink_accent) for accent in accents(utterance)
    ]

    def interval():
        return style.blink_interval_s * np.exp(rng.normal(0.0, 0.15))

    times: list[float] = []
    last, length = start_s - rng.uniform(0.0, 1.0) * style.blink_interval_s, interval()
    for time, due in sorted(occasions):
        while last + OVERDUE * length < min(time, end_s):
            last, length = last + OVERDUE * length, interval()
            times.append(last)
        waited = time - last
        if waited >= max(due * length, MIN_GAP_S) and rng.random() >= _MISSED:
            last, length = time + rng.normal(0.0, 0.015), interval()
            times.append(last)
    return times
