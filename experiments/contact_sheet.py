"""Frames of a video in one picture: python -m experiments.contact_sheet talk.mp4 sheet.png."""

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import tyro


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


def main(config: Config) -> None:
    """Reads the video and writes the picture."""
    with av.open(str(config.video)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    index = np.linspace(0, len(frames) - 1, config.columns * config.rows).round().astype(int)
    height, width, _ = frames[0].shape
    grid = np.stack([frames[i] for i in index]).reshape(
        config.rows, config.columns, height, width, 3
    )
    sheet = grid.transpose(0, 2, 1, 3, 4).reshape(config.rows * height, config.columns * width, 3)
    with av.open(str(config.output), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        stream.height, stream.width, stream.pix_fmt = *sheet.shape[:2], "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(sheet, format="rgb24")))
        container.mux(stream.encode(None))


if __name__ == "__main__":
    main(tyro.cli(Config))
