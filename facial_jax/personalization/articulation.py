"""A person's own articulation: where lips go as the general network hears it, by their own means.

What a tracker sees of lips is noisy: seconds of it do not tell which sound moves them how, but do
tell how this person opens, widens and tucks them. So a regression on the person's frames finds the
expressions that go with each place of the lips, and the general network tells the place. How lips
stand is linear in the coefficients, so the lips stand exactly where they are told to. (The paper
learns all of it from the clip.)
"""

import numpy as np
from jaxtyping import Bool, Float

from facial_jax.attributes import ATTRIBUTE_SIZE, AttributeStatistics
from facial_jax.face.lips import gap_of_expression
from facial_jax.face.model import FaceModel
from facial_jax.metrics.lips import WIDE_PERCENTILE
from facial_jax.models.facial_gan.lips import lip_places

OPENINGS = 0.7, 1.4
"""By how much less and more the person's lips part than the general network's, at most."""
SPREADS = np.array([0.5, 1.0, 1.0]), 1.5
"""The same for their width and the lower lip's height and depth, beyond what goes with the gap.

Of a lower lip that goes behind the teeth a tracker sees too little to make it less.
"""
_STILL = 0.1
"""In wide openings: who parts the lips by less does not tell what goes with it."""
_GAP = 0
_LEAST_HEARD = 0.2
"""Of how widely the lips part in a sentence: less is no speech."""


def personal_articulation(
    face_model: FaceModel,
    tracked: Float[np.ndarray, "t 64"],
    general: Float[np.ndarray, "t 64"],
    others: Float[np.ndarray, "t 64"],
    seen: Bool[np.ndarray, "t"],
    sentence: Float[np.ndarray, "s 64"],
) -> Float[np.ndarray, "t 64"]:
    """The general network's articulation as the person makes it.

    Lips that meet keep meeting, and in a sentence they part as widely as the person's do. Width and
    place of the lower lip are those that the person's have at such a gap. The general network's
    deviation from its own at its gap is added, as wide as the person's deviation.

    Args:
        face_model: of all coefficients.
        tracked: the person's expressions.
        general: the general network's for the same speech, in its own units.
        others: what the expressions are that do not move the lips.
        seen: the frames in which the person was; of the others `tracked` says nothing.
        sentence: the general network's for a spoken sentence. A clip may be silent for a while,
            and much of what lips do in it need not be speech: it does not tell how widely the
            network parts them.
    """
    same = AttributeStatistics(
        mean=np.zeros(ATTRIBUTE_SIZE, np.float32), std=np.ones(ATTRIBUTE_SIZE, np.float32)
    )
    places = lip_places(face_model, same)
    tracked = np.asarray(tracked[seen], np.float64)
    own, heard, spoken = (np.asarray(places(x), np.float64) for x in (tracked, general, sentence))
    wide, usual = (max(np.percentile(x[:, _GAP], WIDE_PERCENTILE), 1e-6) for x in (own, spoken))
    by_usual_gap = _by_gap(spoken, np.zeros(3), 1e-6)
    by_gap = _by_gap(own, by_usual_gap[1], _STILL)
    deviation, usual_deviation = (
        (x[:, 1:] - _at_gap(x, by)).std(axis=0) for x, by in ((own, by_gap), (spoken, by_usual_gap))
    )
    spread = np.clip(deviation / np.maximum(usual_deviation, 1e-6), *SPREADS)
    wanted = np.clip(wide / usual, *OPENINGS) * heard
    wanted[:, 1:] = _at_gap(wanted, by_gap) + spread * (heard[:, 1:] - _at_gap(heard, by_usual_gap))
    known, told = (np.c_[np.ones(len(x)), x] for x in (own, wanted))
    means, *_ = np.linalg.lstsq(known, tracked)
    moves_lips = np.any(np.abs(np.asarray(places.of_expression)) > 1e-3, axis=1)
    return np.where(moves_lips, told @ means, others).astype(np.float32)


def _by_gap(
    places: Float[np.ndarray, "t 4"], usual: Float[np.ndarray, "3"], still: float
) -> Float[np.ndarray, "2 3"]:
    """What else the lips do where they meet, and per gap: by least squares. The latter is drawn to
    `usual` as far as the gap varies by no more than `still`."""
    gap, rest = places[:, _GAP] - places[:, _GAP].mean(), places[:, 1:]
    per_gap = (gap @ rest / len(gap) + still**2 * usual) / (gap.var() + still**2)
    return np.stack([rest.mean(axis=0) - places[:, _GAP].mean() * per_gap, per_gap])


def _at_gap(
    places: Float[np.ndarray, "t 4"], by_gap: Float[np.ndarray, "2 3"]
) -> Float[np.ndarray, "t 3"]:
    return by_gap[0] + places[:, _GAP, None] * by_gap[1]


def is_heard(
    face_model: FaceModel, general: Float[np.ndarray, "t 64"], sentence: Float[np.ndarray, "s 64"]
) -> bool:
    """Whether somebody speaks: the general network parts the lips at least a fifth as widely as in
    a spoken sentence. In silence, noise and music it keeps them still.
    """
    of_gap = gap_of_expression(face_model)
    heard, spoken = ((x @ of_gap).std() for x in (general, sentence))
    return bool(heard >= _LEAST_HEARD * spoken)


def at_rest(
    face_model: FaceModel,
    tracked: Float[np.ndarray, "t 64"],
    general: Float[np.ndarray, "t 64"],
    sentence: Float[np.ndarray, "s 64"],
) -> Float[np.ndarray, "64"]:
    """What makes the general network's expressions those of a person who is not heard speaking.

    It speaks around their face at rest. Its lips meet as before, also if theirs are open at rest.

    Args:
        face_model: of all coefficients.
        tracked: the person's expressions.
        general: the general network's for the sound of these frames.
        sentence: the general network's for a spoken sentence.
    """
    rest = np.median(tracked, axis=0) - general.mean(axis=0)
    of_gap, off = gap_of_expression(face_model), sentence - sentence.mean(axis=0)
    gap = off @ of_gap
    parting = gap @ off / max(float(gap @ gap), 1e-12)
    return (rest - (rest @ of_gap) * parting).astype(np.float32)
