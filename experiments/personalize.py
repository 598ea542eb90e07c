"""A person from one video: python -m experiments.personalize --subject NAME --video FILE.

The second step of the paper's training (FACIAL, Sec. 5.1), in stages:

    track               the head in every frame: attributes, identity, crop
    facial_gan          the general FACIAL-GAN is fine-tuned on the clip
    rendering_to_video  learns the person's pictures
    evaluate            the last fifth of the clip, which neither was trained on, is made again
    report              subject folder with report.html, and a sentence spoken by the person

What a stage made is kept in the work folder with the settings that it depends on, and used again
where they are the same; a run that was stopped goes on from its last checkpoint. `--preset demo` is
for two CPU cores, `--preset paper` for a GPU. Then

    python -m experiments.synthesize --subject runs/subjects/NAME --audio FILE

With `--data FOLDER` in place of a video the person's clips are those of a data set; these have no
frames, so the subject gets no rendering-to-video network but that of `--rendering-to-video`.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro
from tqdm.auto import tqdm

from data_specs.clips import open_clips
from facial_jax.cache import enable_compilation_cache
from facial_jax.data.splits import TRAIN, VALIDATION
from facial_jax.personalization.config import PRESETS, PersonalizationConfig
from facial_jax.personalization.pipeline import personalize_clips, personalize_video
from facial_jax.tracking.landmarker import LandmarkerMissingError


@dataclass(frozen=True)
class Config(PersonalizationConfig):
    """Who is learnt, from what, and how."""

    video: Path | None = None
    """A video of the person talking, one face seen from the front; 20 seconds or more are best."""
    data: Path | None = None
    """The folder of a data set that the person is in, in place of a video."""
    prefix: str = ""
    """Before a data set's splits: `new_speakers_` for people whom the general network never
    heard."""
    preset: Literal["demo", "paper"] = "demo"
    """What the other options are by default: for two CPU cores, or as published for a GPU."""


@dataclass(frozen=True)
class _Preset:
    preset: Literal["demo", "paper"] = "demo"


def parse(arguments: Sequence[str] | None = None) -> Config:
    """The configuration of a command line: the preset's, with what else is given."""
    chosen, _ = tyro.cli(_Preset, args=arguments, return_unknown_args=True, add_help=False)
    options = vars(PRESETS[chosen.preset]) | {"subject": tyro.MISSING}
    default = Config(**options, preset=chosen.preset)
    return tyro.cli(Config, args=arguments, default=default, description=__doc__)


def main(config: Config) -> None:
    """Makes the subject, or ends with one line that says what is wrong."""
    enable_compilation_cache()
    if (config.video is None) == (config.data is None):
        got = "neither" if config.video is None else "both"
        sys.exit(f"error: video, data: expected one of them, got {got}")
    try:
        if config.video is not None:
            folder = personalize_video(config.video, config, say=tqdm.write)
        else:
            training = open_clips(config.data, config.prefix + TRAIN).of_subject(config.subject)
            validation = open_clips(config.data, config.prefix + VALIDATION)
            folder = personalize_clips(config, training, validation.of_subject(config.subject))
    except (ValueError, OSError, ImportError, LandmarkerMissingError) as error:
        sys.exit(f"error: {error}")
    print(f"{folder}: python -m experiments.synthesize --subject {folder} --audio FILE")


if __name__ == "__main__":
    main(parse())
