"""The README's pictures of the built-in subject: python -m experiments.make_demo_pictures.

`docs/demo.webp`, the bundled sentence as a moving picture; `docs/demo.png`, its frames in one
picture.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from PIL import Image

import facial_jax
from facial_jax.pictures import contact_sheet, save_png


@dataclass(frozen=True)
class Arguments:
    """Draws the README's pictures of the built-in subject."""

    output: Path = Path("docs")
    """The folder to put them into."""
    quality: int = 60
    """Quality of WebP, 0 to 100."""


def main(arguments: Arguments) -> None:
    """Makes the frames and writes both pictures."""
    video = facial_jax.synthesize(facial_jax.sample_speech())
    frames = np.stack(list(video))
    save_png(arguments.output / "demo.png", contact_sheet(frames, columns=6, rows=2))
    moving = [Image.fromarray(frame) for frame in frames]
    moving[0].save(
        arguments.output / "demo.webp",
        save_all=True,
        append_images=moving[1:],
        duration=round(1000 / video.fps),
        loop=0,
        quality=arguments.quality,
        method=6,
    )


if __name__ == "__main__":
    main(tyro.cli(Arguments))
