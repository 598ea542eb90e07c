"""What the lips do at the sounds that everyone sees, beside what they do at any moment.

Lips meet at p, b and m, open at open vowels, narrow at w, u and o, and the lower one goes to the
upper teeth at f and v. Each is measured on landmarks of the face with its head held still, at the
times of phones that are known or heard. A correlation of energy and lips does not notice a mouth
that opens and shuts with the voice's loudness but misses its sounds; this does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import flax.struct
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from facial_jax.face.lips import LOWER_INNER, UPPER_INNER
from facial_jax.face.model import FaceModel

CLOSED_GAP = 0.15
"""Lips nearer to each other than this share of a wide opening count as closed."""
WIDE_PERCENTILE = 90.0
"""Of the gaps in speech: a wide opening."""
SHUT_PERCENTILE = 5
"""How often a person who talks has the lips together, in percent of the frames."""
NEARBY_FRAMES = 1
"""Number of frames before and after a phone's middle that count with it."""
MAX_LAG_FRAMES = 3

CORNERS = (48, 54)  # the mouth's among the landmarks, in iBUG's order
# From the upper lip's inner edge at rest to the edge of the incisors, in decimetres: where the
# built-in face model has them. Teeth have no landmark.
UPPER_TEETH_EDGE = (0.0, -0.03, -0.067)
_MILLIMETRE = 0.01  # in decimetres


class Phone(NamedTuple):
    """A speech sound with its time."""

    name: str
    # in the symbols of CMU's dictionary, without stress: "AA", "P", …; others are ignored
    start_s: float
    end_s: float


@flax.struct.dataclass
class Lips:
    """What the lips do, per frame."""

    gap: Float[np.ndarray, "t"]
    # vertical distance of the lips' inner edges less that of the face at rest, in decimetres
    width: Float[np.ndarray, "t"]
    # distance of the mouth's corners over that of the face at rest
    teeth: Float[np.ndarray, "t"]
    # from the lower lip's inner edge to the edge of the upper incisors, in decimetres

    def __len__(self) -> int:
        return len(self.gap)


@dataclass(frozen=True)
class Gesture:
    """Something that the lips do at some sounds."""

    phones: frozenset[str]
    # the sounds at which it is looked for
    channel: Literal["gap", "width", "teeth"]
    # the field of `Lips` that it shows in
    extreme: Callable[..., np.ndarray]
    # which of the frames around a sound's middle counts: `np.min` or `np.max`
    closes: bool = False
    # it is there or not: the lips meet


GESTURES = {
    "closed": Gesture(frozenset({"P", "B", "M"}), "gap", np.min, closes=True),
    "opened": Gesture(frozenset({"AA", "AE", "AO", "AH", "AW", "AY"}), "gap", np.max),
    "narrowed": Gesture(frozenset({"W", "UW", "OW"}), "width", np.min),
    "to_teeth": Gesture(frozenset({"F", "V"}), "teeth", np.min),
}
"""Lips together; open vowels; w, u and o; f and v."""


@dataclass(frozen=True)
class GestureScore:
    """How far a gesture goes at its sounds, and at any moment."""

    value: float
    # closed: the share of sounds with the lips together; others: the median over sounds of the gap
    # in wide openings, of the width in widths at rest, of the way to the teeth in millimetres
    chance: float
    # the same over all frames, as if the sounds were anywhere
    sounds: int
    # how many sounds there were; with none, value is NaN


def face_lips(
    model: FaceModel,
    identity: Float[Array | np.ndarray, "80"],
    expression: Float[Array | np.ndarray, "t 64"],
) -> Lips:
    """The lips of a face that makes these expressions, its head held still.

    Only coefficients matter, so faces of one model can be compared whoever they belong to and
    wherever they look. Runs on landmarks alone: an hour of frames is some megabytes.
    """
    landmarks = np.asarray(model.landmarks)
    mean, identity_basis, basis = (
        np.asarray(array)[landmarks]
        for array in (model.mean_shape, model.identity_basis, model.expression_basis)
    )
    neutral = mean + identity_basis @ np.asarray(identity)
    offset = np.tensordot(np.asarray(expression), basis, axes=(1, 2))
    return lips_from_landmarks(neutral + offset, neutral)


def lips_from_landmarks(
    points: Float[np.ndarray, "t 68 3"], neutral: Float[np.ndarray, "68 3"]
) -> Lips:
    """The lips from landmarks in the head's frame, decimetres, y up, and those of its rest."""
    gap = points[:, UPPER_INNER, 1] - points[:, LOWER_INNER, 1]
    rest_gap = neutral[UPPER_INNER, 1] - neutral[LOWER_INNER, 1]
    left, right = CORNERS
    width = np.linalg.norm(points[:, left] - points[:, right], axis=-1)
    teeth = neutral[UPPER_INNER] + np.array(UPPER_TEETH_EDGE, np.float32)
    return Lips(
        gap=gap - rest_gap,
        width=width / np.linalg.norm(neutral[left] - neutral[right]),
        teeth=np.linalg.norm(points[:, LOWER_INNER] - teeth, axis=-1),
    )


def lips_that_touch(lips: Lips, seen: Bool[np.ndarray, "t"]) -> Lips:
    """The same with no gap when a tracked mouth is shut: at rest it is not quite the model's.

    Args:
        lips: of a tracked person who talks.
        seen: the frames that count, one at least.
    """
    return lips.replace(gap=lips.gap - np.percentile(lips.gap[seen], SHUT_PERCENTILE))


def wide_opening(gap: Float[np.ndarray, "t"]) -> float:
    """A wide opening of speech that opens the mouth as it should: the 90th percentile of its gap.

    Raises:
        ValueError: the mouth does not open.
    """
    wide = float(np.percentile(gap, WIDE_PERCENTILE))
    if wide <= 0:
        raise ValueError(f"gap: expected a mouth that opens, got a 90th percentile of {wide:.4f}")
    return wide


def middle_frames(
    phones: Sequence[Phone], names: frozenset[str], fps: float, count: int
) -> Int[np.ndarray, "k"]:
    """The frames, of `count`, that show the middles of the phones with these names."""
    times_s = [(p.start_s + p.end_s) / 2 for p in phones if p.name in names]
    frames = np.floor(np.array(times_s, np.float64) * fps).astype(np.int64)
    return frames[(frames >= 0) & (frames < count)]


def extremes_nearby(
    x: Float[np.ndarray, "t"], extreme: Callable[..., np.ndarray]
) -> Float[np.ndarray, "t"]:
    """For each frame the extreme of it and its neighbours, at the ends of those there are."""
    index = np.arange(len(x))[:, None] + np.arange(-NEARBY_FRAMES, NEARBY_FRAMES + 1)
    return extreme(x[np.clip(index, 0, len(x) - 1)], axis=1)


def score_gestures(
    lips: Sequence[Lips],
    phones: Sequence[Sequence[Phone]],
    *,
    wide: float,
    fps: Sequence[float],
    seen: Sequence[Bool[np.ndarray, "_"]] | None = None,
) -> dict[str, GestureScore]:
    """How far each of `GESTURES` goes over several recordings together.

    Args:
        lips: of each recording.
        phones: spoken in it.
        wide: a wide opening in decimetres, see `wide_opening`.
        fps: its frames per second.
        seen: its frames that count; all by default.

    Raises:
        ValueError: there is no frame that counts.
    """
    seen = [np.ones(len(one), bool) for one in lips] if seen is None else seen
    if not sum(int(mask.sum()) for mask in seen):
        raise ValueError("lips: expected at least one frame that counts, got none")
    scores = {}
    for name, gesture in GESTURES.items():
        at_sounds, anywhere = [], []
        for one, spoken, rate, mask in zip(lips, phones, fps, seen, strict=True):
            values = extremes_nearby(getattr(one, gesture.channel), gesture.extreme)
            frames = middle_frames(spoken, gesture.phones, rate, len(values))
            at_sounds.append(values[frames[mask[frames]]])
            anywhere.append(values[mask])
        sounds, moments = np.concatenate(at_sounds), np.concatenate(anywhere)
        scores[name] = GestureScore(
            value=_summary(gesture, sounds, wide) if len(sounds) else float("nan"),
            chance=_summary(gesture, moments, wide),
            sounds=len(sounds),
        )
    return scores


def _summary(gesture: Gesture, values: Float[np.ndarray, "k"], wide: float) -> float:
    if gesture.closes:
        return float((values < CLOSED_GAP * wide).mean())
    unit = {"gap": wide, "width": 1.0, "teeth": _MILLIMETRE}[gesture.channel]
    return float(np.median(values) / unit)


def without_moving_mean(x: Float[np.ndarray, "t"], frames: int) -> Float[np.ndarray, "t"]:
    """`x` less its centred moving mean over `frames`; at the ends over what there is."""
    kernel = np.ones(frames)
    # "same" would be as long as the kernel if that is longer than x.
    first = (frames - 1) // 2
    total = np.convolve(x, kernel)[first : first + len(x)]
    count = np.convolve(np.ones(len(x)), kernel)[first : first + len(x)]
    return x - total / count


def motion_correlation(
    generated: Sequence[Float[np.ndarray, "_"]],
    real: Sequence[Float[np.ndarray, "_"]],
    *,
    fps: Sequence[float],
    seen: Sequence[Bool[np.ndarray, "_"]] | None = None,
) -> tuple[float, int]:
    """How alike two motions are over several recordings, in what is faster than a second.

    Both are taken less their moving mean over a second, which takes away how somebody holds the
    mouth in general.

    Args:
        made: of each recording.
        real: as many frames of it each.
        fps: its frames per second.
        seen: frames of `real` that count; all by default.

    Returns:
        The correlation at the best lag within ±3 frames, and that lag: positive if the generated
        motion comes later.

    Raises:
        ValueError: a recording has no frame that counts.
    """
    seen = [np.ones(len(one), bool) for one in real] if seen is None else seen
    if not all(mask.any() for mask in seen):
        raise ValueError("seen: expected a frame that counts in every recording")
    fast = []
    for a, b, rate, mask in zip(generated, real, fps, seen, strict=True):
        frames = np.arange(len(b))
        bridged = np.interp(frames, frames[mask], b[mask])
        second = round(rate)
        fast.append((without_moving_mean(a, second), without_moving_mean(bridged, second), mask))
    correlations = {}
    for lag in range(-MAX_LAG_FRAMES, MAX_LAG_FRAMES + 1):
        pairs = [_shifted(a, b, mask, lag) for a, b, mask in fast]
        correlations[lag] = correlation(*zip(*pairs, strict=True))
    best = max(correlations, key=correlations.__getitem__)
    return correlations[best], best


def _shifted(a, b, mask, lag: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames of `a`, and those of `b` that were `lag` frames earlier, where they count."""
    length = len(b) - abs(lag)
    here, there = slice(max(lag, 0), None), slice(max(-lag, 0), None)
    counts = mask[there][:length]
    return a[here][:length][counts], b[there][:length][counts]


def correlation(
    generated: Sequence[Float[np.ndarray, "_"]], real: Sequence[Float[np.ndarray, "_"]]
) -> float:
    """Pearson's correlation over all frames of several recordings; 0 if one never moves."""
    a, b = np.concatenate(generated), np.concatenate(real)
    deviations = float(a.std() * b.std())
    if deviations == 0.0:
        return 0.0
    return float(((a - a.mean()) * (b - b.mean())).mean() / deviations)
