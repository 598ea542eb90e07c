"""What a person is learnt from, and how."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from facial_jax.audio.acoustic import default_acoustic_model
from facial_jax.models.facial_gan.config import PERSONALIZATION, FacialGanTrainingConfig
from facial_jax.models.rendering_to_video.config import PRESETS as VIDEO_PRESETS
from facial_jax.models.rendering_to_video.config import RenderingToVideoTrainingConfig
from facial_jax.subject import BUNDLED_SUBJECTS, FACIAL_GAN

Skippable = Literal["facial_gan", "rendering_to_video", "evaluate"]


@dataclass(frozen=True)
class PersonalizationConfig:
    """Who is learnt, from what, and how."""

    subject: str
    """The person's name."""
    size: int = 192
    """Height and width of the frames; if clips are given, that of the reference video."""
    skip: tuple[Skippable, ...] = ()
    """Stages to leave out: the general FACIAL-GAN as it is, no pictures, no numbers."""
    general: Path = BUNDLED_SUBJECTS / "demo" / FACIAL_GAN
    """The FACIAL-GAN to begin from, as general_train wrote it; its discriminator is taken from
    beside it, or begins anew if there is none."""
    rendering_to_video: Path | None = None
    """A network that train_rendering_to_video wrote, in place of training one."""
    acoustic_model: str = field(default_factory=default_acoustic_model)
    """Acoustic model of `general` and of the subject: phonemes, bundled, deepspeech, or a file."""
    face_model: Literal["procedural", "bfm"] = "procedural"
    """Face model of a data set's coefficients; a video is tracked with the procedural one."""
    output: Path | None = None
    """The subject's folder; by default runs/subjects/ and the name."""
    work_dir: Path | None = None
    """The run's folder; by default runs/personalize/ and the name."""
    training: FacialGanTrainingConfig = field(default_factory=lambda: PERSONALIZATION)
    """Training of FACIAL-GAN."""
    video_training: RenderingToVideoTrainingConfig = field(
        default_factory=lambda: VIDEO_PRESETS["demo"]
    )
    """Training of rendering-to-video; its held-out share is always the clip's last fifth."""

    @property
    def folder(self) -> Path:
        """The subject's folder."""
        return self.output or Path("runs/subjects") / self.subject

    @property
    def work(self) -> Path:
        """The run's."""
        return self.work_dir or Path("runs/personalize") / self.subject


PRESETS = {
    "demo": PersonalizationConfig(
        subject="",
        # One clip has few windows: more epochs make about 200 steps of it.
        training=dataclasses.replace(PERSONALIZATION, epochs=40.0),
        # One clip has few frames, too.
        video_training=dataclasses.replace(
            VIDEO_PRESETS["demo"], steps=1400, reconstruction_steps=900
        ),
    ),
    "paper": PersonalizationConfig(
        subject="",
        size=512,
        training=PERSONALIZATION,
        video_training=VIDEO_PRESETS["paper"],
    ),
}
"""For two CPU cores within half an hour, and as published."""
