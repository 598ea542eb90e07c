"""Phonemes to mouth shapes, with coarticulation by dominance functions (Cohen and Massaro, 1993).

Every phoneme pulls some coefficients towards its targets: fully during its own time, less and less
before and after. What is seen is the mean of all pulls, weighted by their dominance. A phoneme says
nothing about coefficients that it does not name: `h` takes the shape of its neighbours. Closures
(p, b, m) are not averaged away: the lips meet whatever the jaw does.
"""

from dataclasses import dataclass

import numpy as np

from data_specs.synthetic_talking_head.prosody import gaussian_smooth
from facial_jax.speech.espeak import Phoneme

JAW_OPEN, LIP_ROUND, LIP_SPREAD, LIP_PRESS = 0, 1, 2, 3
UPPER_LIP_RAISE, LOWER_LIP_DEPRESS, SMILE, LOWER_LIP_TUCK, LIP_FUNNEL = 4, 5, 6, 8, 9
JAW_FORWARD = 10
MOUTH_CLOSE = 31
"""Positions in the expression vector: those of the built-in face model's `EXPRESSION_NAMES`."""

SHAPED = (
    *(JAW_OPEN, LIP_ROUND, LIP_SPREAD, UPPER_LIP_RAISE, LOWER_LIP_DEPRESS, LOWER_LIP_TUCK),
    *(LIP_FUNNEL, JAW_FORWARD),
)
"""The coefficients that visemes set by dominance."""

# How long before and after its own time a phoneme is felt, in seconds: the jaw is quick, rounding
# anticipates.
_ONSET_S = {JAW_OPEN: 0.045, LIP_ROUND: 0.11, LIP_FUNNEL: 0.08, LIP_SPREAD: 0.08}
_OFFSET_S = {JAW_OPEN: 0.045, LIP_ROUND: 0.08, LIP_FUNNEL: 0.07, LIP_SPREAD: 0.08}
_DEFAULT_S = 0.05
_REST_DOMINANCE = 0.02
_JAW_LIMIT = 0.95
_CLOSURE_RAMP_S = 0.055
_CLOSURE_HALF_S = 0.03  # so that at least one frame at 25 per second sees the lips meet


@dataclass(frozen=True)
class Viseme:
    """Targets by coefficient, and how strongly they are held."""

    targets: dict[int, float]
    dominance: float = 1.0
    closes: bool = False
    # the lips meet


def _vowel(jaw, rounded=0.0, spread=0.0, dominance=1.0):
    targets = {
        JAW_OPEN: jaw,
        LIP_ROUND: rounded,
        LIP_SPREAD: spread,
        UPPER_LIP_RAISE: 0.12 * jaw,
        LOWER_LIP_DEPRESS: 0.2 * jaw,
        LOWER_LIP_TUCK: 0.0,
        LIP_FUNNEL: 0.0,
        JAW_FORWARD: 0.0,
    }
    return Viseme(targets, dominance)


_OPEN = _vowel(1.0)
_NEAR_OPEN = _vowel(0.85, spread=0.15)
_BACK_OPEN = _vowel(0.8, rounded=0.15)
_BACK_MID = _vowel(0.62, rounded=0.5)
_CENTRAL = _vowel(0.66)
_MID = _vowel(0.58, spread=0.25)
_NURSE = _vowel(0.42, rounded=0.3)
_SCHWA = _vowel(0.36, dominance=0.6)
_NEAR_CLOSE = _vowel(0.3, spread=0.35, dominance=0.8)
_CLOSE = _vowel(0.2, spread=0.6)
_FOOT = _vowel(0.28, rounded=0.65)
_GOOSE = _vowel(0.17, rounded=0.95)
_OFF_FRONT = _vowel(0.26, spread=0.45, dominance=0.8)
_OFF_BACK = _vowel(0.24, rounded=0.8, dominance=0.8)

# espeak-ng's vowel mnemonics by their beginning, the longest first: one shape, or two in a row.
_VOWELS: tuple[tuple[str, tuple[Viseme, ...]], ...] = (
    ("aI@", (_OPEN, _OFF_FRONT, _SCHWA)),
    ("aI3", (_OPEN, _OFF_FRONT, _NURSE)),
    ("aU@", (_OPEN, _OFF_BACK, _SCHWA)),
    ("i@3", (_CLOSE, _NURSE)),
    ("aI", (_OPEN, _OFF_FRONT)),
    ("aU", (_OPEN, _OFF_BACK)),
    ("eI", (_MID, _OFF_FRONT)),
    ("OI", (_BACK_MID, _OFF_FRONT)),
    ("oI", (_BACK_MID, _OFF_FRONT)),
    ("oU", (_BACK_MID, _OFF_BACK)),
    ("@U", (_CENTRAL, _OFF_BACK)),
    ("A@", (_OPEN, _NURSE)),
    ("E@", (_MID, _SCHWA)),
    ("e@", (_MID, _SCHWA)),
    ("i@", (_CLOSE, _SCHWA)),
    ("I@", (_NEAR_CLOSE, _SCHWA)),
    ("O@", (_BACK_MID, _NURSE)),
    ("o@", (_BACK_MID, _NURSE)),
    ("U@", (_FOOT, _SCHWA)),
    ("@L", (_SCHWA, _SCHWA)),
    ("A", (_OPEN,)),
    ("a", (_NEAR_OPEN,)),
    ("0", (_BACK_OPEN,)),
    ("O", (_BACK_MID,)),
    ("o", (_BACK_MID,)),
    ("V", (_CENTRAL,)),
    ("E", (_MID,)),
    ("e", (_MID,)),
    ("3", (_NURSE,)),
    ("@", (_SCHWA,)),
    ("I", (_NEAR_CLOSE,)),
    ("i", (_CLOSE,)),
    ("y", (_GOOSE,)),
    ("U", (_FOOT,)),
    ("u", (_GOOSE,)),
)

_LIPS_MEET = Viseme({JAW_OPEN: 0.08, LOWER_LIP_DEPRESS: 0.0, UPPER_LIP_RAISE: 0.0}, 1.3, True)
_LIP_TO_TEETH = Viseme(
    {JAW_OPEN: 0.1, LOWER_LIP_TUCK: 0.85, UPPER_LIP_RAISE: 0.2, LOWER_LIP_DEPRESS: 0.0}, 1.3
)
_TONGUE_TO_TEETH = Viseme({JAW_OPEN: 0.2, UPPER_LIP_RAISE: 0.1, LOWER_LIP_DEPRESS: 0.2}, 0.9)
_HISS = Viseme(
    {JAW_OPEN: 0.08, LIP_SPREAD: 0.35, UPPER_LIP_RAISE: 0.2, LOWER_LIP_DEPRESS: 0.3}, 1.2
)
_HUSH = Viseme(
    {JAW_OPEN: 0.1, LIP_FUNNEL: 0.85, LIP_ROUND: 0.35, JAW_FORWARD: 0.4, LOWER_LIP_DEPRESS: 0.15},
    1.2,
)
_TONGUE_TIP = Viseme({JAW_OPEN: 0.16, LOWER_LIP_DEPRESS: 0.12}, 0.9)
_LATERAL = Viseme({JAW_OPEN: 0.26, LOWER_LIP_DEPRESS: 0.12}, 0.8)
_TONGUE_BACK = Viseme({JAW_OPEN: 0.2}, 0.7)
_RHOTIC = Viseme({JAW_OPEN: 0.2, LIP_ROUND: 0.45, LIP_FUNNEL: 0.15}, 0.9)
_GLIDE_ROUND = Viseme({JAW_OPEN: 0.12, LIP_ROUND: 1.0, LIP_SPREAD: 0.0}, 1.3)
_GLIDE_SPREAD = Viseme({JAW_OPEN: 0.17, LIP_SPREAD: 0.4}, 0.9)
_NOTHING = Viseme({}, 0.0)
_REST = Viseme(dict.fromkeys(SHAPED, 0.0), 1.6)

_CONSONANTS: tuple[tuple[str, Viseme], ...] = (
    ("tS", _HUSH),
    ("dZ", _HUSH),
    ("p", _LIPS_MEET),
    ("b", _LIPS_MEET),
    ("m", _LIPS_MEET),
    ("f", _LIP_TO_TEETH),
    ("v", _LIP_TO_TEETH),
    ("T", _TONGUE_TO_TEETH),
    ("D", _TONGUE_TO_TEETH),
    ("S", _HUSH),
    ("Z", _HUSH),
    ("s", _HISS),
    ("z", _HISS),
    ("t", _TONGUE_TIP),
    ("d", _TONGUE_TIP),
    ("n", _TONGUE_TIP),
    ("l", _LATERAL),
    ("L", _LATERAL),
    ("r", _RHOTIC),
    ("R", _RHOTIC),
    ("w", _GLIDE_ROUND),
    ("j", _GLIDE_SPREAD),
    ("k", _TONGUE_BACK),
    ("g", _TONGUE_BACK),
    ("x", _TONGUE_BACK),
    ("N", _TONGUE_BACK),
)


def visemes_of(phoneme: Phoneme) -> tuple[Viseme, ...]:
    """The shapes that a phoneme goes through; unknown ones leave the mouth to their neighbours."""
    if phoneme.is_pause:
        return (_REST,)
    name = phoneme.name
    for beginning, shapes in _VOWELS:
        if name.startswith(beginning):
            return shapes
    for beginning, shape in _CONSONANTS:
        if name.startswith(beginning):
            return (shape,)
    return (_NOTHING,)


def mouth_shapes(
    phonemes: tuple[Phoneme, ...],
    loudness: np.ndarray,
    times_s: np.ndarray,
    *,
    articulation: float = 1.0,
    lips: float = 1.0,
) -> np.ndarray:
    """Expression coefficients of the mouth on the animator's grid.

    Args:
        phonemes: in order of time.
        loudness: (t,) 0 to 1; louder speech opens the jaw wider.
        times_s: (t,) the grid, `GRID_HZ` per second.
        articulation: scales how far the jaw goes, and what the lips do with it.
        lips: scales how far the lips go round, spread and rise of their own.

    Returns:
        (t, 64) float64.
    """
    pull = np.zeros((len(times_s), 64))
    total = np.full((len(times_s), 64), _REST_DOMINANCE)
    closure = np.zeros(len(times_s))
    for phoneme in phonemes:
        shapes = visemes_of(phoneme)
        emphasis = (0.85, 1.0, 1.12)[phoneme.stress]
        edges = np.linspace(phoneme.start_s, phoneme.end_s, len(shapes) + 1)
        for shape, start, end in zip(shapes, edges[:-1], edges[1:], strict=True):
            low, high = np.searchsorted(times_s, (start - 0.6, end + 0.6))
            t = times_s[low:high]
            for channel, target in shape.targets.items():
                before = np.maximum(start - t, 0) / _ONSET_S.get(channel, _DEFAULT_S)
                after = np.maximum(t - end, 0) / _OFFSET_S.get(channel, _DEFAULT_S)
                dominance = shape.dominance * np.exp(-before - after)
                pull[low:high, channel] += dominance * target * emphasis
                total[low:high, channel] += dominance
            if shape.closes:
                half = max((end - start) / 2, _CLOSURE_HALF_S)
                outside = np.abs(t - (start + end) / 2) - half
                bump = np.clip(1 - outside / _CLOSURE_RAMP_S, 0, 1)
                closure[low:high] = np.maximum(closure[low:high], bump * bump * (3 - 2 * bump))
    shapes = gaussian_smooth(pull / total, 0.015)
    # Voice and jaw go together: a vowel at full voice opens wide, a whispered one hardly.
    effort = 0.6 + 0.75 * gaussian_smooth(loudness, 0.02)
    shapes[:, [JAW_OPEN, LOWER_LIP_DEPRESS, UPPER_LIP_RAISE]] *= effort[:, None]
    shapes[:, [JAW_OPEN, LOWER_LIP_DEPRESS, LOWER_LIP_TUCK, JAW_FORWARD]] *= articulation
    shapes[:, [LIP_ROUND, LIP_SPREAD, UPPER_LIP_RAISE, LIP_FUNNEL]] *= lips
    shapes[:, JAW_OPEN] = _JAW_LIMIT * np.tanh(shapes[:, JAW_OPEN] / _JAW_LIMIT)
    shapes[:, MOUTH_CLOSE] = closure * shapes[:, JAW_OPEN]
    shapes[:, LIP_PRESS] = 0.3 * closure
    opened = 1 - closure
    shapes[:, LOWER_LIP_DEPRESS] *= opened
    shapes[:, UPPER_LIP_RAISE] *= opened
    return shapes


def mouth_opening(expression: np.ndarray) -> np.ndarray:
    """Distance between the lips that the coefficients make, (…,): 0 = shut, about 1 = wide."""
    e = expression
    opening = e[..., JAW_OPEN] - e[..., MOUTH_CLOSE] - 0.2 * e[..., LIP_PRESS]
    opening = opening + 0.15 * (e[..., LOWER_LIP_DEPRESS] + e[..., UPPER_LIP_RAISE])
    return np.maximum(opening - 0.15 * e[..., LOWER_LIP_TUCK] - 0.05 * e[..., LIP_ROUND], 0.0)
