"""A person from their video: python -m experiments.personalize --subject NAME --video FILE.

The second step of the paper's training (FACIAL, Sec. 5.1), in stages:

    track               the head in every frame: attributes, identity, crop
    facial_gan          the general FACIAL-GAN is fine-tuned on the clip
    frames              the frames that rendering-to-video is trained on
    rendering_to_video  learns the person's pictures
    evaluate            the last fifth of the clip, which neither was trained on, is made again
    report              subject folder with report.html, and a sentence spoken by the person

What a stage made is kept in the work folder with hashes of all that it depends on. Whatever has
changed is made again, what has not is kept; a run that was stopped goes on from its last
checkpoint. By default for two CPU cores; `--preset paper` is as published, for a GPU. Then

    python -m experiments.synthesize --subject runs/subjects/NAME --audio FILE

With `--data FOLDER` in place of a video the person's clips are those of a data set; these have no
frames, so the subject gets no rendering-to-video network but that of `--rendering-to-video`.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from tqdm.auto import tqdm

from experiments import GIVEN_ERRORS, Preset, ends_in_one_line, parse_preset
from facial_jax.cache import enable_compilation_cache
from facial_jax.data.splits import TRAIN, VALIDATION

try:
    from data_specs.clips import open_clips
    from facial_jax.personalization.config import PRESETS, PersonalizationConfig
    from facial_jax.personalization.pipeline import personalize_clips, personalize_video
except ImportError as error:
    sys.exit(f"error: {error}; install what it needs with pip install 'facial_jax[tracking]'")


@dataclass(frozen=True)
class Arguments(PersonalizationConfig):
    """Who is learnt, from what, and how."""

    video: tuple[Path, ...] = ()
    """A video of the person talking, one face seen from the front; 20 seconds or more are best. Of
    several, the first shows the person where they will be seen, and its last fifth is held out; the
    others may be of other places, sizes and frame rates."""
    data: Path | None = None
    """The folder of a data set that the person is in, in place of a video."""
    prefix: str = ""
    """Prefix of a data set's splits: `new_speakers_` for people whom the general network was not
    trained on."""
    preset: Preset = "demo"
    """What the other options are by default: for two CPU cores, or as published."""


def parse(arguments: Sequence[str] | None = None) -> Arguments:
    """The options of a command line."""
    presets = {
        name: Arguments(**(vars(preset) | {"subject": tyro.MISSING}), preset=name)
        for name, preset in PRESETS.items()
    }
    return parse_preset(presets, description=__doc__, arguments=arguments)


def main(arguments: Arguments) -> None:
    """Makes the subject, or ends with one line that says what is wrong."""
    enable_compilation_cache()
    if bool(arguments.video) == (arguments.data is not None):
        got = "both" if arguments.video else "neither"
        sys.exit(f"error: video, data: expected one of them, got {got}")
    with ends_in_one_line("started again, it goes on", GIVEN_ERRORS):
        if arguments.video:
            first, *further = arguments.video
            folder = personalize_video(first, arguments, further=further, say=tqdm.write)
        else:
            training = open_clips(arguments.data, arguments.prefix + TRAIN).of_subject(
                arguments.subject
            )
            validation = open_clips(arguments.data, arguments.prefix + VALIDATION)
            folder = personalize_clips(
                arguments, training, validation.of_subject(arguments.subject), say=tqdm.write
            )
    print(f"{folder}: python -m experiments.synthesize --subject {folder} --audio FILE")


if __name__ == "__main__":
    main(parse())
