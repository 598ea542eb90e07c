"""A general FACIAL-GAN made the built-in person's: where the head rests, how the mouth moves."""

import jax.numpy as jnp
import numpy as np

from experiments.demo_person.person import REST_POSE
from facial_jax.attributes import EXPRESSION_SIZE, IDENTITY_SIZE, POSE_SIZE
from facial_jax.face.procedural import EXPRESSION_NAMES, procedural_face_model
from facial_jax.metrics.lips import face_lips
from facial_jax.models.facial_gan.generation import FacialGan, generate_attributes

MOUTH_OPENING = ("jaw_open", "lower_lip_depress", "upper_lip_raise", "mouth_close")
"""The expressions that part the lips, and the one that closes them over an open jaw."""
MOUTH_FACTOR = 1.3
"""A network that closes lips where it is not sure opens them less far elsewhere: by so much."""
CLOSURE_ODDS = 6.0
"""Lips close at a seventh of a chance that they should."""
SILENT_FRAMES = 128
"""Of silence show how the lips rest."""


def place_head(model: FacialGan, rest_pose: np.ndarray) -> FacialGan:
    """The same FACIAL-GAN, its poses moved to where this person's head rests."""
    offset = jnp.zeros_like(model.statistics.mean).at[:POSE_SIZE].set(rest_pose)
    statistics = model.statistics.replace(mean=model.statistics.mean + offset)
    return model.replace(statistics=statistics, initial_state=model.initial_state + offset)


def widen_mouth(model: FacialGan, factor: float) -> FacialGan:
    """The same FACIAL-GAN, the gap between its lips so many times as wide; none stays none."""
    moved = [EXPRESSION_NAMES.index(name) for name in MOUTH_OPENING]
    scale = jnp.ones_like(model.statistics.mean).at[POSE_SIZE + 1 + np.array(moved)].set(factor)
    statistics = model.statistics.replace(
        mean=model.statistics.mean * scale, std=model.statistics.std * scale
    )
    return model.replace(statistics=statistics, initial_state=model.initial_state * scale)


def close_at_rest(model: FacialGan) -> FacialGan:
    """The same FACIAL-GAN, its lips all the time so much nearer that they meet in silence."""
    face_model, silence = procedural_face_model(), np.zeros((SILENT_FRAMES, model.speech_features))
    expression = generate_attributes(model, silence.astype(np.float32)).expression
    close = np.zeros((1, EXPRESSION_SIZE), np.float32)
    close[:, EXPRESSION_NAMES.index("mouth_close")] = 1.0
    nobody = np.zeros(IDENTITY_SIZE, np.float32)
    gap = face_lips(face_model, nobody, expression).gap.mean()
    moved = -gap / face_lips(face_model, nobody, close).gap[0]
    at = POSE_SIZE + 1 + EXPRESSION_NAMES.index("mouth_close")
    statistics = model.statistics.replace(mean=model.statistics.mean.at[at].add(moved))
    return model.replace(statistics=statistics, initial_state=model.initial_state.at[at].add(moved))


def demo_facial_gan(model: FacialGan) -> FacialGan:
    """A general FACIAL-GAN as this person's: the head where it rests, and their articulation."""
    model = model.replace(generator=model.generator.clone(closure_odds=CLOSURE_ODDS))
    return close_at_rest(widen_mouth(place_head(model, REST_POSE), MOUTH_FACTOR))
