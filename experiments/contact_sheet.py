"""Frames of a video in one picture: python -m experiments.contact_sheet talk.mp4 sheet.png."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from facial_jax.pictures import contact_sheet, save_png
from facial_jax.video import read_frames


@dataclass(frozen=True)
class Arguments:
    """Puts evenly spaced frames of a video in one picture."""

    video: tyro.conf.Positional[Path]
    """The video."""
    output: tyro.conf.Positional[Path]
    """The .png file to write."""
    columns: int = 6
    """Frames side by side."""
    rows: int = 4
    """Frames on top of each other."""


def main(arguments: Arguments) -> None:
    """Reads the video and writes the picture."""
    sheet = contact_sheet(
        read_frames(arguments.video), columns=arguments.columns, rows=arguments.rows
    )
    save_png(arguments.output, sheet)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
