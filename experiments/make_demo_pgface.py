"""Trains the bundled subject's PGFace: python -m experiments.make_demo_pgface --data FOLDER.

`--data` is the corpus that its FACIAL-GAN is trained on (make_corpus with `--demo-style`): in it
everybody moves like the subject. Here they all get the subject's face, with soft tissue that goes
with pose and jaw. Run update_manifest afterwards.
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tyro

from data_specs.clips import open_clips
from data_specs.synthetic_talking_head.soft_tissue import frame_identities
from experiments.demo_person.person import REST_POSE
from experiments.train_pgface import PRESETS
from facial_jax.cache import enable_compilation_cache
from facial_jax.data.clips import Clip, ClipSource, clips_in_memory
from facial_jax.data.splits import TRAIN, VALIDATION
from facial_jax.face.procedural import procedural_face_model
from facial_jax.models.pgface.config import PgFaceTrainingConfig
from facial_jax.models.pgface.generation import save_pgface
from facial_jax.models.pgface.network import PgFaceGenerator
from facial_jax.models.pgface.statistics import pgface_statistics
from facial_jax.models.pgface.task import FILE, train_pgface
from facial_jax.subject import BUNDLED_SUBJECTS, load_subject

NAME = "demo"


@dataclass(frozen=True)
class Arguments:
    """Trains the bundled subject's PGFace."""

    data: Path
    """The folder of the corpus, as make_corpus prints it."""
    output: Path = Path("runs/demo_pgface")
    """The run's folder."""
    file: Path = BUNDLED_SUBJECTS / NAME / FILE
    """Where the network goes."""
    training: PgFaceTrainingConfig = field(default_factory=lambda: PRESETS["demo"].training)


def demo_clips(clips: ClipSource, identity: np.ndarray) -> ClipSource:
    """The clips as the subject's: its face, and its head where it rests."""
    return clips_in_memory(*(_demo_clip(clips[i], identity) for i in range(len(clips))))


def _demo_clip(clip: Clip, identity: np.ndarray) -> Clip:
    return dataclasses.replace(
        clip,
        subject=NAME,
        identity=identity,
        frame_identity=frame_identities(identity, clip.attributes, 1.0),
        pose=clip.pose + np.asarray(REST_POSE, np.float32),
        # Nothing listens to them, and they are most of the memory.
        waveform=np.zeros(0, np.int16),
    )


def main(arguments: Arguments) -> None:
    """Trains and writes the network."""
    identity = np.asarray(load_subject(NAME).identity.identity, np.float32)
    clips = demo_clips(open_clips(arguments.data, TRAIN), identity)
    validation = demo_clips(open_clips(arguments.data, VALIDATION), identity)
    model = train_pgface(
        arguments.training,
        PgFaceGenerator(),
        procedural_face_model(),
        clips,
        validation,
        pgface_statistics(clips),
        arguments.output,
    )
    save_pgface(arguments.file, model)


if __name__ == "__main__":
    enable_compilation_cache()
    main(tyro.cli(Arguments))
