"""Makes a subject: python -m experiments.personalize --subject speaker0026 --data FOLDER.

Fine-tunes a general FACIAL-GAN on one person's clips of a data set, and writes the subject's folder
that `synthesize` loads. With `--rendering-to-video` the subject gets that network too; without one
its attributes can be made, and `synthesize` says what its frames need. A run that was stopped goes
on from its last checkpoint.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from data_specs.clips import ClipSource, open_clips
from data_specs.splits import TRAIN, VALIDATION
from data_specs.windows import subject_statistics
from experiments.facial_gan_training import (
    DISCRIMINATOR_FILE,
    Networks,
    TrainingConfig,
    train_facial_gan,
)
from facial_jax.attributes import Identity
from facial_jax.generation import load_facial_gan
from facial_jax.networks.facial_gan import SMALL_DISCRIMINATOR, FacialDiscriminator
from facial_jax.networks.parameters import load_variables, module_from_config
from facial_jax.subject import (
    BUNDLED_SUBJECTS,
    FACE_MODELS,
    FACIAL_GAN,
    GENERATORS,
    Subject,
    save_subject,
)


@dataclass(frozen=True)
class Config:
    """Who is learnt, and from what."""

    subject: str
    """The person's name in the data set."""
    data: Path
    """The folder of a data set."""
    general: Path = BUNDLED_SUBJECTS / "demo" / FACIAL_GAN
    """The FACIAL-GAN to begin from, as general_train wrote it; its discriminator is taken from
    beside it, or begins anew where there is none."""
    rendering_to_video: Path | None = None
    """A network that train_rendering_to_video wrote, if there is one."""
    size: int = 256
    """Height and width of the frames; that of the reference video."""
    face_model: Literal["procedural", "bfm"] = "procedural"
    """What the data set's coefficients are of."""
    prefix: str = ""
    """Before the splits' names: `new_speakers_` for people whom the general network never heard."""
    output: Path | None = None
    """The subject's folder; by default runs/subjects/ and the name."""
    work_dir: Path | None = None
    """The run's folder; by default runs/personalize/ and the name."""
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(batch=16, epochs=10.0, checkpoint_steps=50)
    )


def main(config: Config) -> None:
    """Fine-tunes, and writes the subject's folder."""
    clips = open_clips(config.data, config.prefix + TRAIN).of_subject(config.subject)
    validation = open_clips(config.data, config.prefix + VALIDATION).of_subject(config.subject)
    personalize(config, clips, validation)


def personalize(config: Config, clips: ClipSource, validation: ClipSource) -> Path:
    """The folder of the subject that was learnt from these clips."""
    rates = {clips[i].frame_rate for i in range(len(clips))}
    if len(rates) > 1:
        raise ValueError(
            f"data: expected all clips of {config.subject} at one frame rate, got "
            f"{', '.join(map(str, sorted(rates)))}"
        )
    model = train_facial_gan(
        config.training,
        load_networks(config.general),
        clips,
        validation,
        subject_statistics(clips),
        config.work_dir or Path("runs/personalize") / config.subject,
        resolved_config=config,
    )
    video = {}
    if config.rendering_to_video is not None:
        variables, description = load_variables(config.rendering_to_video)
        generator_class = GENERATORS[description["class"]]
        video = dict(
            rendering_to_video=module_from_config(generator_class, description["module"]),
            rendering_to_video_params=variables["params"],
            window_half=description["window_half"],
        )
    subject = Subject(
        name=config.subject,
        fps=rates.pop(),
        size=config.size,
        identity=mean_identity(clips),
        face_model=FACE_MODELS[config.face_model](),
        facial_gan=jax.tree.map(jnp.asarray, model),
        **video,
    )
    folder = config.output or Path("runs/subjects") / config.subject
    save_subject(folder, subject, face_model=config.face_model)
    return folder


def load_networks(path: Path) -> Networks:
    """The general FACIAL-GAN's generator, and its discriminator where that lies beside it."""
    model = load_facial_gan(path)
    beside = path.with_name(DISCRIMINATOR_FILE)
    if beside.is_file():
        variables, description = load_variables(beside)
        discriminator = module_from_config(FacialDiscriminator, description)
    else:
        variables = None
        small = model.generator != type(model.generator)()
        discriminator = FacialDiscriminator(**(SMALL_DISCRIMINATOR if small else {}))
    return Networks(model.generator, discriminator, model.variables, variables)


def mean_identity(clips: ClipSource) -> Identity:
    """Shape, texture and light, averaged over the clips."""
    faces = [clips[i].face for i in range(len(clips))]
    return jax.tree.map(lambda *x: jnp.asarray(np.mean(x, axis=0, dtype=np.float32)), *faces)


if __name__ == "__main__":
    main(tyro.cli(Config))
