"""A face that moves as widely as the person's: FACIAL-GAN's poses and expressions put to scale.

What speech does not tell about a movement averages out in a regression, and a generator without
noise, beside a discriminator that a small data set trains too well, does not bring it back:
generated faces go the right way, but not as far as real ones. The way back is one factor and one
offset per pose channel, and one factor for all of the expression, found on speech of the person.
(The paper has no such step.)
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from facial_jax.attributes import (
    POSE_SIZE,
    AttributeStatistics,
    pack_attributes,
    standardize,
)
from facial_jax.models.facial_gan.generation import (
    FacialGan,
    generate_attributes,
    with_statistics,
)
from facial_jax.models.layers.seams import SEAM_FADE_FRAMES

MAX_FACTOR = 4.0
"""What moves less than a quarter as far as it should is noise that must not be made louder."""

MAX_EXPRESSION_FACTOR = 2.0
"""The same for the expression: a wrong mouth is worse than a small one."""

BEGIN_FRAMES = round(4 * SEAM_FADE_FRAMES)
"""At a recording's beginning the head comes from the state at rest; that is no movement."""


def calibrate_movement(
    model: FacialGan, speech: Sequence[Float[np.ndarray, "_ features"]]
) -> FacialGan:
    """The same FACIAL-GAN, its head's place and its face's range of movement the person's.

    Only the statistics by which attributes are put back to their units change, so the network's
    own way through its windows stays as it was.

    Args:
        model: trained on one person; its statistics are that person's.
        speech: speech features of recordings, best ones that it was not trained with.

    Returns:
        A model whose poses for this speech have the mean and the standard deviation of
        `model.statistics`, and whose expressions deviate as much from their mean, over all
        coefficients together.

    Raises:
        ValueError: there is no recording.
    """
    if not speech:
        raise ValueError("speech: expected at least one recording's features, got none")
    mean, std = np.array(model.statistics.mean), np.array(model.statistics.std)
    packed = [
        pack_attributes(generate_attributes(model, rows))[min(BEGIN_FRAMES, len(rows) // 2) :]
        for rows in speech
    ]
    generated = np.asarray(standardize(np.concatenate(packed), model.statistics))
    pose, expression = slice(0, POSE_SIZE), slice(POSE_SIZE + 1, None)
    factor = np.minimum(1.0 / np.maximum(generated[:, pose].std(axis=0), 1e-4), MAX_FACTOR)
    mean[pose] -= generated[:, pose].mean(axis=0) * factor * std[pose]
    std[pose] *= factor
    spread = np.linalg.norm(std[expression] * generated[:, expression].std(axis=0))
    widest = MAX_EXPRESSION_FACTOR
    factor = np.clip(np.linalg.norm(std[expression]) / max(spread, 1e-6), 1.0, widest)
    # About the mean that it has: where the mouth rests is the network's.
    mean[expression] -= generated[:, expression].mean(axis=0) * (factor - 1.0) * std[expression]
    std[expression] *= factor
    return with_statistics(model, AttributeStatistics(mean=mean, std=std))
