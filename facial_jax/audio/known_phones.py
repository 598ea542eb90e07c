"""Rows of the acoustic model `phonemes` if what is said is known, and need not be recognised.

A synthesizer knows its phones. espeak-ng knows their times, too; a neural voice's are found in its
sound by what the recogniser hears there, with the phones given: CTC's best path through them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from facial_jax.audio.lip_groups import LIP_GROUPS
from facial_jax.audio.phone_rows import LATE_S, ROW_S, rows_of_phones

_PEAK_ROWS = 1.15
"""What the probabilities of a phone that is heard add up to, on average."""
_LEAST = 1e-4  # least probability of a phone that the recogniser missed: it was said


@dataclass(frozen=True)
class KnownPhone:
    """A phone of a group of `LIP_GROUPS`, and when it is said."""

    group: int
    # its column
    start_s: float
    end_s: float


def known_phone_rows(
    phones: Sequence[KnownPhone], band_energies: Float[np.ndarray, "t 4"]
) -> Float[np.ndarray, "t features"]:
    """Rows as `phone_rows` makes them of a recogniser that hears each of these phones for sure.

    Args:
        phones: in order of time.
        band_energies: natural logarithms of the power between `phone_rows.BAND_EDGES_HZ`.
    """
    time = np.array([(phone.start_s + phone.end_s) / 2 for phone in phones], np.float32)
    group = np.array([phone.group for phone in phones], np.int64)
    peaks = np.zeros((len(band_energies), len(LIP_GROUPS)), np.float32)
    place = (time + LATE_S) / ROW_S
    row = np.floor(place).astype(np.int64)
    for index, share in ((row, row + 1 - place), (row + 1, place - row)):
        inside = (index >= 0) & (index < len(peaks))
        amount = (_PEAK_ROWS * share[inside]).astype(np.float32)
        np.add.at(peaks, (index[inside], group[inside]), amount)
    may_be = np.eye(len(LIP_GROUPS), dtype=np.float32)[group]
    return rows_of_phones(time, may_be, peaks, band_energies)


def align_phones(
    groups: Sequence[int], probabilities: Float[np.ndarray, "t groups"]
) -> Float[np.ndarray, "n"]:
    """The middles of phones that are said one after the other, in seconds.

    The most probable path of CTC that reads these groups: between two phones may be rows of no
    phone, and between two of one group there are some. A phone's time is that of its rows, weighted
    by what is heard in them, without the recogniser's delay.

    Args:
        groups: columns of `LIP_GROUPS`, at least one.
        probabilities: of the groups, row i heard at i · 0.02 s; the rest to 1 is no phone.

    Raises:
        ValueError: there are fewer rows than the phones need.
    """
    count, rows = len(groups), len(probabilities)
    # States: none, the first phone, none, the second one, …, none.
    columns = np.append(probabilities, 1 - probabilities.sum(axis=1, keepdims=True), axis=1)
    state = np.full(2 * count + 1, probabilities.shape[1])
    state[1::2] = groups
    emitted = np.log(np.maximum(columns[:, state], _LEAST))
    may_skip = np.zeros(len(state), bool)
    may_skip[3::2] = state[3::2] != state[1:-2:2]
    score = np.full(len(state), -np.inf)
    score[:2] = emitted[0, :2]
    steps = np.zeros((rows, len(state)), np.int8)
    for row in range(1, rows):
        before = np.stack([score, _moved(score, 1), np.where(may_skip, _moved(score, 2), -np.inf)])
        steps[row] = before.argmax(axis=0)
        score = before.max(axis=0) + emitted[row]
    last = len(state) - 1 - int(score[-2] > score[-1])
    if not np.isfinite(score[last]):
        raise ValueError(f"probabilities: {rows} rows are too few for {count} phones")
    path = np.zeros(rows, np.int64)
    for row in range(rows - 1, -1, -1):
        path[row] = last
        last -= steps[row, last]
    said = path % 2 == 1
    phone = path[said] // 2
    weight = np.exp(emitted[np.arange(rows), path][said])
    total = np.bincount(phone, weight, count)
    middle = np.bincount(phone, weight * np.flatnonzero(said), count) / total
    return (middle * ROW_S - LATE_S).astype(np.float32)


def _moved(score: Float[np.ndarray, "s"], by: int) -> Float[np.ndarray, "s"]:
    return np.concatenate([np.full(by, -np.inf), score[:-by]])
