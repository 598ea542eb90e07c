"""Whether head poses go with speech, Table 1 of the paper on head poses.

    python -m experiments.evaluate_pose_correlation --data FOLDER
    python -m experiments.evaluate_pose_correlation --tracked FOLDER --frames 64

Of a data set, the test clips are asked about; of tracked clips, one for each person, each clip's
last two fifths.
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from data_specs.clips import open_clips
from facial_jax.data.splits import TEST, TRAIN
from facial_jax.data.tracked_clip import FILE_NAME, load_tracked_clip
from facial_jax.files import write_text
from facial_jax.metrics.pose_correlation import (
    SpeechAndPoses,
    clip_windows,
    correlation_study,
    text_table,
)
from facial_jax.models.pose_gan.generation import WINDOW_FRAMES
from facial_jax.plots import svg_bars

TRAIN_SHARE = 0.6


@dataclass(frozen=True)
class Arguments:
    """What is measured, and on what."""

    data: Path | None = None
    """The folder of a data set."""
    tracked: Path | None = None
    """A folder of tracked clips, one for each person, instead."""
    frames: int = WINDOW_FRAMES
    """A window's length; the paper's is 256, but short clips have few of those."""
    output: Path = Path("runs/pose_correlation.svg")
    """The plot."""


def main(arguments: Arguments) -> None:
    """Prints the table and saves the plot."""
    if (arguments.data is None) == (arguments.tracked is None):
        raise SystemExit("Give either --data or --tracked.")
    train, test = tracked_parts(arguments) if arguments.tracked else data_set(arguments)
    table = correlation_study(train, test)
    print(text_table(table))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    bars = {who: {"matching": x.matching, "random": x.random} for who, x in table.items()}
    write_text(arguments.output, svg_bars("taken for the person's own poses", bars))


Windows = dict[str, SpeechAndPoses]


def data_set(arguments: Arguments) -> tuple[Windows, Windows]:
    """Windows to learn from and to ask about, of a data set's people."""

    def windows(split: str) -> Windows:
        clips = open_clips(arguments.data, split)
        people = {}
        for person in clips.subjects:
            own = clips.of_subject(person)
            people[person] = clip_windows(own, frames=arguments.frames)
        return people

    return windows(TRAIN), windows(TEST)


def tracked_parts(arguments: Arguments) -> tuple[Windows, Windows]:
    """The same of tracked clips, of each its beginning and its end."""
    clips = [
        load_tracked_clip(path)[0] for path in sorted(arguments.tracked.glob(f"*/{FILE_NAME}"))
    ]

    def windows(*part: float) -> Windows:
        return {
            clip.clip: clip_windows([clip], frames=arguments.frames, stride=2, part=part)
            for clip in clips
        }

    return windows(0.0, TRAIN_SHARE), windows(TRAIN_SHARE, 1.0)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
