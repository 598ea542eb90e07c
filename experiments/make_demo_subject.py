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

from experiments.demo_person.articulation import demo_facial_gan
from experiments.demo_person.person import REST_POSE
from facial_jax.attributes import Identity
from facial_jax.audio.acoustic import acoustic_model_hash, default_acoustic_model
from facial_jax.face.procedural import procedural_face_model
from facial_jax.models.facial_gan.generation import load_facial_gan
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
