"""Another take: the same speech performed once more, as a person would not do it twice alike.

FACIAL-GAN has no noise: it does the same for the same speech. What a take changes instead is where
it begins. The windows of 128 frames lie elsewhere in the speech, which moves the head another way
throughout and the lips hardly; the head comes from another pose of the person's, which is seen for
some seconds; and of the blinks that might come, others do.
"""

from collections.abc import Callable, Iterable

import numpy as np
from jaxtyping import Array, Float

from facial_jax.attributes import Attributes, unpack_attributes
from facial_jax.models.facial_gan.generation import WINDOW_FRAMES, FacialGan, generate_attributes


def generate_take(
    model: FacialGan,
    features: Float[Array | np.ndarray, "t features"],
    draw: np.random.Generator,
    *,
    progress: Callable[[Iterable], Iterable] = iter,
) -> Attributes:
    """`generate_attributes` from a drawn beginning.

    Args:
        model: the trained FACIAL-GAN.
        features: (t, n) speech features, one row per video frame.
        draw: the source of the take.
        progress: as in `generate_attributes`.

    Raises:
        ValueError: see `generate_attributes`.
    """
    lead = int(draw.integers(WINDOW_FRAMES))
    # Before the speech there is nothing: rows of zeros, as in training.
    rows = np.concatenate([np.zeros((lead, features.shape[1]), np.float32), features])
    whole = generate_attributes(
        model, rows, initial_state=drawn_state(model, draw), blink_draw=draw, progress=progress
    )
    return whole[lead:]


def drawn_state(model: FacialGan, draw: np.random.Generator) -> Attributes:
    """The face at rest in a pose that is as far from the mean one as the person's poses are."""
    mean, deviation = (
        np.asarray(unpack_attributes(x).pose) for x in (model.statistics.mean, model.statistics.std)
    )
    rest = unpack_attributes(np.asarray(model.initial_state))
    return rest.replace(pose=(mean + deviation * draw.standard_normal(6)).astype(np.float32))
