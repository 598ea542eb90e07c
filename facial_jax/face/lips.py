"""Lips are solid: they meet, and do not pass through one another."""

import numpy as np
from jaxtyping import Array, Float

from facial_jax.face.model import FaceModel

UPPER_INNER, LOWER_INNER = 62, 66
"""The lips' inner edges among the landmarks, in iBUG's order."""
PRESSED_DM = 0.02
"""Pressed lips give way by so much, in decimetres: less is not seen."""


def gap_of_expression(model: FaceModel) -> Float[np.ndarray, "64"]:
    """How much each coefficient parts the lips' inner edges, in decimetres."""
    landmarks = np.asarray(model.landmarks)[[UPPER_INNER, LOWER_INNER]]
    upper, lower = np.asarray(model.expression_basis)[landmarks, 1]
    return upper - lower


def keep_lips_apart(
    model: FaceModel,
    expression: Float[Array | np.ndarray, "t 64"],
    std: Float[Array | np.ndarray, "64"],
) -> Float[np.ndarray, "t 64"]:
    """The expressions, those opened in which the lips overlap by more than `PRESSED_DM`.

    A sound that closes the lips in one face closes them too far in another, whose mouth moves more
    widely. How far the lips' inner edges are from each other, less than at rest, is linear in the
    coefficients: of all changes that open them as far as needed, this is the least one, measured in
    standard deviations.

    Args:
        model: of the coefficients.
        expression: a row for each frame.
        std: the person's standard deviation of each coefficient.
    """
    expression = np.asarray(expression)
    of_gap, variance = gap_of_expression(model), np.square(np.asarray(std))
    opening = variance * of_gap / max(float(of_gap @ (variance * of_gap)), 1e-12)
    missing = np.maximum(-PRESSED_DM - expression @ of_gap, 0)
    return expression + missing[:, None] * opening
