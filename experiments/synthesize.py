"""Speech in, talking video out: python -m experiments.synthesize --audio FILE --output talk.mp4."""

from dataclasses import dataclass
from pathlib import Path

import tyro

import facial_jax
from experiments import MotionOptions, make_video
from facial_jax.streamed_video import CHUNK_FRAMES


@dataclass(frozen=True, kw_only=True)
class Config(MotionOptions):
    """Makes a video of a subject speaking."""

    output: Path = Path("talk.mp4")
    """The video to write, an .mp4 file."""
    full_frame: bool = False
    """Show the head in whole frames of the reference video, with background and body."""
    chunk_frames: int = CHUNK_FRAMES
    """How many frames are made at a time."""


def main(config: Config) -> None:
    """Makes the video, or ends with one line that says what is wrong."""
    video = make_video(
        facial_jax.synthesize,
        config,
        output=config.output,
        full_frame=config.full_frame,
        chunk_frames=config.chunk_frames,
    )
    print(f"{video.path}: {len(video)} frames, {float(len(video) / video.fps):.2f} s")


if __name__ == "__main__":
    main(tyro.cli(Config))
