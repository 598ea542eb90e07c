"""One person's range of movement and habits of blinking, given to their FACIAL-GAN."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from facial_jax.data.clips import ClipSource
from facial_jax.models.facial_gan.blinking import learn_blink_habits
from facial_jax.models.facial_gan.calibration import calibrate_movement
from facial_jax.models.facial_gan.generation import FacialGan, generate_attributes


def learn_habits(
    model: FacialGan, clips: ClipSource, speech: Sequence[Float[np.ndarray, "_ features"]]
) -> FacialGan:
    """One person's model with their range of movement and their habits of blinking.

    Args:
        model: trained on `clips`.
        clips: all of one person.
        speech: speech features of recordings, best of the person's that it was not trained on.
    """
    model = calibrate_movement(model, speech)
    blinks = [
        clips[i].blink[begin:end]
        for i, entry in enumerate(clips.entries)
        for begin, end in entry.segments
    ]
    # Blinks are rare: all of the speech tells better how often the network asks for them.
    rows = [*(clip.features for clip in clips), *speech]
    generated = [np.asarray(generate_attributes(model, x).blink) for x in rows]
    return model.replace(blink_habits=learn_blink_habits(blinks, generated))
