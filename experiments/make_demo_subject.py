"""Puts the built-in subject `demo` together from what was trained.

    python -m experiments.make_demo_subject --facial-gan FILE --pose-gan FILE \\
        --rendering-to-video FILE

The way to it from nothing: make_demo_video, train_acoustic, general_train, train_pose_gan and
train_rendering_to_video, each in this folder. Run update_manifest afterwards.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import tyro

from experiments.demo_person.person import REST_POSE
from facial_jax.attributes import EXPRESSION_SIZE, IDENTITY_SIZE, POSE_SIZE, Identity
from facial_jax.audio.acoustic import acoustic_model_hash, default_acoustic_model
from facial_jax.face.procedural import EXPRESSION_NAMES, procedural_face_model
from facial_jax.metrics.lips import face_lips
from facial_jax.models.facial_gan.generation import (
    FacialGan,
    generate_attributes,
    load_facial_gan,
)
from facial_jax.models.pose_gan.generation import (
    GENERATOR_FILE,
    PoseGan,
    load_pose_gan,
    save_pose_gan,
)
from facial_jax.subject import (
    BUNDLED_SUBJECTS,
    Subject,
    load_rendering_to_video,
    save_subject,
)

MOUTH_OPENING = ("jaw_open", "lower_lip_depress", "upper_lip_raise", "mouth_close")
"""The expressions that part the lips, and the one that closes them over an open jaw."""
MOUTH_FACTOR = 1.3
"""A network that closes lips where it is not sure opens them less far elsewhere: by so much."""
CLOSURE_ODDS = 6.0
"""Lips close at a seventh of a chance that they should."""
SILENT_FRAMES = 128
"""Of silence show how the lips rest."""


@dataclass(frozen=True)
class Arguments:
    """Puts the built-in subject together."""

    facial_gan: Path
    """The network that general_train wrote."""
    pose_gan: Path
    """The network that train_pose_gan wrote."""
    rendering_to_video: Path
    """The network that train_rendering_to_video wrote."""
    data: Path = Path("runs/demo")
    """The folder that make_demo_video wrote."""
    output: Path = BUNDLED_SUBJECTS / "demo"
    """The subject's folder."""
    acoustic_model: str = field(default_factory=default_acoustic_model)
    """What `facial_gan` was trained to listen with: phonemes, bundled, deepspeech, or a file."""


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


def place_pose_gan(model: PoseGan, rest_pose: np.ndarray) -> PoseGan:
    """The same PoseGAN, its head resting where this person's does."""
    return model.replace(rest_pose=model.rest_pose + rest_pose)


def main(arguments: Arguments) -> None:
    """Writes the subject's folder."""
    with np.load(arguments.data / "attributes.npz") as reference:
        person = Identity(
            **{k: jnp.asarray(reference[k]) for k in ("identity", "texture", "illumination")}
        )
        fps = Fraction(float(reference["fps"]))
    subject = Subject(
        name="demo",
        fps=fps,
        size=int(np.load(arguments.data / "frames.npy", mmap_mode="r").shape[1]),
        identity=person,
        face_model=procedural_face_model(),
        facial_gan=demo_facial_gan(load_facial_gan(arguments.facial_gan)),
        acoustic_model=arguments.acoustic_model,
        acoustic_sha256=acoustic_model_hash(arguments.acoustic_model),
        **load_rendering_to_video(arguments.rendering_to_video),
    )
    save_subject(arguments.output, subject, face_model="procedural")
    pose_gan = place_pose_gan(load_pose_gan(arguments.pose_gan), REST_POSE)
    save_pose_gan(arguments.output / GENERATOR_FILE, pose_gan, half_precision=True)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
