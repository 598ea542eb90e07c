"""The columns of FACIAL's Table 1 that motion tells, and its Fig. 8, as tables.

    python -m experiments.evaluate_motion --data FOLDER --models full FILE without_local FILE
    python -m experiments.evaluate_motion --clips runs/tracked/* --models demo FILE

On clips of a data set whose speakers were not trained on, beside baselines, or on tracked real
clips. Models are files of general_train, for Fig. 8 those of `--no-with-temporal` and
`--no-with-local`. They and MouthSync listen with `phonemes`.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from data_specs.clips import open_clips
from data_specs.synthetic_talking_head.builder import NEW_SPEAKERS
from facial_jax.audio.acoustic import PHONEMES
from facial_jax.cache import enable_compilation_cache
from facial_jax.data.splits import TEST, TRAIN
from facial_jax.data.tracked_clip import FILE_NAME, load_tracked_clip
from facial_jax.face.procedural import procedural_face_model
from facial_jax.files import write_text
from facial_jax.metrics.generated_motion import (
    baselines,
    measure_motion,
    model_speaks,
    text_table,
)
from facial_jax.metrics.personalization import read_clips
from facial_jax.models.facial_gan.generation import load_facial_gan
from facial_jax.tracking.clip import clip_with_features


@dataclass(frozen=True)
class Arguments:
    """What is measured, and on what."""

    models: dict[str, Path] = field(default_factory=dict)
    """Files that general_train or personalize wrote, by the name that the table gives them."""
    data: Path | None = None
    """The folder of a data set."""
    prefix: str = NEW_SPEAKERS
    """Prefix of the splits: `new_speakers_` for speakers that no network was trained on."""
    clips: tuple[Path, ...] = ()
    """Folders of tracked real clips, in place of a data set."""
    output: Path | None = None
    """A JSON file of the table."""


def main(arguments: Arguments) -> None:
    """Prints the table."""
    methods = {name: model_speaks(load_facial_gan(path)) for name, path in arguments.models.items()}
    if arguments.data is not None:
        train, test = (
            open_clips(arguments.data, arguments.prefix + split) for split in (TRAIN, TEST)
        )
        methods = baselines(train) | methods
        clips = read_clips(test)
    else:
        clips = [
            clip_with_features(load_tracked_clip(folder / FILE_NAME)[0], PHONEMES)
            for folder in arguments.clips
        ]
    table = measure_motion(methods, clips, procedural_face_model())
    print(f"of {len(clips)} clips those in which somebody speaks\n{text_table(table)}")
    if arguments.output is not None:
        write_text(arguments.output, json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    enable_compilation_cache()
    main(tyro.cli(Arguments, description=__doc__))
