"""What is heard in a recording, as rows of features for a face: phones in time, and loudness.

A recogniser trained with CTC marks each phone by a peak of a row or two, late by a constant, and is
silent in between. Three things are made of it, for 50 rows a second:

- spans: each peak, put back in time, fills the time to halfway to its neighbours, with what
  it may have been: a row adds up to 1 while somebody speaks and to 0 while nobody does;
- peaks: the probabilities themselves, put back in time and wide enough to survive resampling to a
  video's rate;
- loudness of four bands, over their means while the recording's phones last, and 0 where none is.

So rows of zeros mean that nobody speaks.
"""

import numpy as np
from jaxtyping import Float

from facial_jax.audio.lip_groups import IS_VOWEL, LIP_GROUPS

ROW_S = 0.02
LATE_S = 0.05
"""How long after a phone's middle its peak comes, on average over voices."""
BAND_EDGES_HZ = (80, 400, 1000, 2600, 7000)
"""Voice; jaw (the first formant of open vowels); the second formant; hiss."""
BANDS = len(BAND_EDGES_HZ) - 1
FEATURES = 2 * len(LIP_GROUPS) + BANDS
"""Columns of a row: spans, peaks, loudness."""
PEAK_COLUMNS = (len(LIP_GROUPS), 2 * len(LIP_GROUPS))
"""The first column of the peaks, and the first one after them."""

CLOSED_LIPS = LIP_GROUPS.index("p")
"""The column of p, b and m among the spans, and among the peaks."""

_PAUSE_S = 0.4
_CERTAINTY = 1.9  # the probabilities of an utterance's phones add up to more
_PEAK_WIDTH_ROWS = 2.0
_REACH_S = np.where(IS_VOWEL, 0.16, 0.09)  # to either side of a phone's middle, at most
_RANGE_NEPERS = 4.0
_NEAR_ROWS = 2  # to either side of a phone's, peaks and loudness are not cut off


def phone_rows(
    probabilities: Float[np.ndarray, "t groups"], band_energies: Float[np.ndarray, "t 4"]
) -> Float[np.ndarray, "t features"]:
    """Rows of a whole recording: spans and peaks of each of `LIP_GROUPS`, loudness of four bands.

    Args:
        probabilities: of the groups, row i heard at i · 0.02 s; the rest to 1 is no phone.
        band_energies: natural logarithms of the power between `BAND_EDGES_HZ`.
    """
    return rows_of_phones(*find_phones(probabilities), probabilities, band_energies)


def rows_of_phones(
    time: Float[np.ndarray, "n"],
    may_be: Float[np.ndarray, "n groups"],
    probabilities: Float[np.ndarray, "t groups"],
    band_energies: Float[np.ndarray, "t 4"],
) -> Float[np.ndarray, "t features"]:
    """Rows of phones in order of time, whatever found them.

    Args:
        time: of each phone's middle, in seconds.
        may_be: what each may have been; adds up to 1.
        probabilities: whose peaks are the phones', each `LATE_S` late.
        band_energies: as for `phone_rows`.
    """
    spans = phone_spans(time, may_be, len(probabilities))
    spoken = spans.sum(axis=1)
    near = np.lib.stride_tricks.sliding_window_view(np.pad(spoken, _NEAR_ROWS), 2 * _NEAR_ROWS + 1)
    speaking = np.minimum(near.max(axis=1), 1.0)[:, None]
    peaks = early_peaks(probabilities) * speaking
    loudness = relative_loudness(band_energies, spoken) * speaking
    return np.concatenate([spans, peaks, loudness], axis=1)


def find_phones(
    probabilities: Float[np.ndarray, "t groups"],
) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n groups"]]:
    """When phones are spoken, in seconds, and what each may have been (adds up to 1).

    As CTC reads: neighbouring rows with the same most probable group, more probable than no phone
    at all, are one phone. Its time is that of the rows, weighted by what is heard in them, without
    the delay. Two phones or fewer between pauses are left out unless they are all but certain:
    music and doors sound like that.
    """
    some_phone = probabilities.sum(axis=1)
    best = np.where(probabilities.max(axis=1) > 1.0 - some_phone, probabilities.argmax(axis=1), -1)
    rows = np.flatnonzero(best >= 0)
    begins = np.diff(best, prepend=-1)[rows] != 0
    phone, count = np.cumsum(begins) - 1, int(begins.sum())
    weight = np.bincount(phone, some_phone[rows], count)
    time = np.bincount(phone, some_phone[rows] * rows, count) / weight * ROW_S - LATE_S
    may_be, certainty = np.zeros((count, probabilities.shape[1])), np.zeros(count)
    np.add.at(may_be, phone, probabilities[rows])
    np.maximum.at(certainty, phone, probabilities[rows].max(axis=1))
    utterance = np.cumsum(np.diff(time, prepend=-np.inf) > _PAUSE_S) - 1
    kept = np.bincount(utterance, certainty)[utterance] > _CERTAINTY if count else np.zeros(0, bool)
    return time[kept].astype(np.float32), (may_be / weight[:, None])[kept].astype(np.float32)


def phone_spans(
    time: Float[np.ndarray, "n"], may_be: Float[np.ndarray, "n groups"], rows: int
) -> Float[np.ndarray, "t groups"]:
    """How much of each row's 20 ms is filled by a phone, times what that may have been."""
    spans = np.zeros((rows, may_be.shape[1]), np.float32)
    if not len(time):
        return spans
    reach = may_be @ _REACH_S
    between = (time[:-1] + time[1:]) / 2
    start = np.maximum(time - reach, np.concatenate([[-np.inf], between])) / ROW_S + 0.5
    stop = np.minimum(time + reach, np.concatenate([between, [np.inf]])) / ROW_S + 0.5
    # Row i lasts from i to i + 1 here.
    for row in range(int(np.ceil((stop - start).max())) + 1):
        index = np.floor(start).astype(np.int64) + row
        filled = np.clip(np.minimum(stop, index + 1) - np.maximum(start, index), 0.0, 1.0)
        inside = (index >= 0) & (index < len(spans))
        np.add.at(spans, index[inside], (filled[:, None] * may_be)[inside].astype(np.float32))
    return spans


def early_peaks(probabilities: Float[np.ndarray, "t groups"]) -> Float[np.ndarray, "t groups"]:
    """The probabilities without the delay, through a triangle of ±2 rows."""
    delay, reach = LATE_S / ROW_S, int(np.ceil(LATE_S / ROW_S + _PEAK_WIDTH_ROWS))
    offsets = np.arange(-reach, reach + 1)
    weights = np.maximum(0.0, 1.0 - np.abs(offsets - delay) / _PEAK_WIDTH_ROWS) / _PEAK_WIDTH_ROWS
    padded = np.pad(probabilities, ((reach, reach), (0, 0)))
    count = len(probabilities)
    parts = (
        np.float32(weight) * padded[reach + offset : reach + offset + count]
        for offset, weight in zip(offsets, weights, strict=True)
        if weight > 0
    )
    return sum(parts, np.zeros_like(probabilities))


def relative_loudness(
    band_energies: Float[np.ndarray, "t 4"], speech: Float[np.ndarray, "t"]
) -> Float[np.ndarray, "t 4"]:
    """Loudness of each band: about 1 as in the recording's phones on average, 0 far below it.

    One unit is 4 nepers of power (17 dB). Each band has its own mean, so that neither the level nor
    the microphone's colour matters.

    Args:
        band_energies: natural logarithms of power.
        speech: 1 where a phone is, 0 where none is. Nowhere: all loudness is 0.
    """
    weight = speech[:, None].astype(np.float64)
    total = weight.sum()
    if total == 0:
        return np.zeros_like(band_energies)
    mean = (weight * band_energies).sum(axis=0) / total
    relative = (band_energies - mean) / _RANGE_NEPERS
    # Soft at the lower end, where the room is heard and not the voice.
    loudness = np.logaddexp(0.0, _RANGE_NEPERS * (relative + 1.0)) / _RANGE_NEPERS
    return loudness.astype(np.float32)
