"""One person's range of movement and habits of blinking, given to their FACIAL-GAN."""

import numpy as np

from facial_jax.data.clips import ClipSource
from facial_jax.models.facial_gan.blinking import learn_blink_habits
from facial_jax.models.facial_gan.calibration import calibrate_movement
from facial_jax.models.facial_gan.generation import FacialGan, generate_attributes


def learn_habits(model: FacialGan, clips: ClipSource, others: ClipSource) -> FacialGan:
    """One person's model with their range of movement and their habits of blinking.

    Args:
        model: trained on `clips`.
        clips: all of one person.
        others: of the same person, not trained on; only their speech is used.
    """
    known, speech = ([s[i].features for i in range(len(s))] for s in (clips, others))
    model = calibrate_movement(model, speech)
    blinks = [
        clips[i].blink[begin:end]
        for i, entry in enumerate(clips.entries)
        for begin, end in entry.segments
    ]
    # Blinks are rare: all of the speech tells better how often the network asks for them.
    generated = [np.asarray(generate_attributes(model, rows).blink) for rows in known + speech]
    return model.replace(blink_habits=learn_blink_habits(blinks, generated))
