"""Frames of a video in one picture: python -m experiments.contact_sheet talk.mp4 sheet.png."""

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import tyro

from facial_jax.pictures import save_png


@dataclass(frozen=True)
class Config:
    """Puts evenly spaced frames of a video in one picture."""

    video: tyro.conf.Positional[Path]
    """The video."""
    output: tyro.conf.Positional[Path]
    """The .png file to write."""
    columns: int = 6
    """Frames side by side."""
    rows: int = 4
    """Frames on top of each other."""


def contact_sheet(frames: np.ndarray, *, columns: int, rows: int) -> np.ndarray:
    """Evenly spaced frames of (t, h, w, 3), first and last among them, in one picture."""
    index = np.linspace(0, len(frames) - 1, columns * rows).round().astype(int)
    height, width = frames.shape[1:3]
    grid = frames[index].reshape(rows, columns, height, width, 3)
    return grid.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, 3)


def read_frames(video: Path) -> np.ndarray:
    """(t, h, w, 3) uint8 RGB, all of them."""
    with av.open(str(video)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


def main(config: Config) -> None:
    """Reads the video and writes the picture."""
    sheet = contact_sheet(read_frames(config.video), columns=config.columns, rows=config.rows)
    save_png(config.output, sheet)


if __name__ == "__main__":
    main(tyro.cli(Config))
