"""Speech in, talking video out: python -m experiments.synthesize --audio FILE --output talk.mp4."""

from dataclasses import dataclass
from pathlib import Path

import tyro

import facial_jax
from experiments import ends_in_one_line


@dataclass(frozen=True)
class Config:
    """Makes a video of a subject speaking."""

    audio: Path
    """The speech: wav, mp3, flac, ogg, m4a, or a video with sound."""
    output: Path = Path("talk.mp4")
    """The video to write, an .mp4 file."""
    subject: str = "demo"
    """A bundled subject's name, or a subject's folder."""
    fps: str | None = None
    """The video's frame rate, like 25, 29.97 or 30000/1001; the subject's own if not given."""
    full_frame: bool = False
    """Show the head in whole frames of the reference video, with background and body."""
    chunk_frames: int = facial_jax.synthesis.CHUNK_FRAMES
    """How many frames are made at a time."""


def main(config: Config) -> None:
    """Makes the video, or ends with one line that says what is wrong."""
    facial_jax.enable_compilation_cache()
    with ends_in_one_line("no video was written"):
        video = facial_jax.synthesize(
            config.audio,
            subject=config.subject,
            output=config.output,
            fps=config.fps,
            full_frame=config.full_frame,
            chunk_frames=config.chunk_frames,
            progress=True,
        )
    print(f"{video.path}: {len(video)} frames, {float(len(video) / video.fps):.2f} s")


if __name__ == "__main__":
    main(tyro.cli(Config))
