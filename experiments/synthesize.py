"""Speech in, talking video out: python -m experiments.synthesize --audio FILE --output talk.mp4.

A folder of recordings becomes a folder of videos; a run that was stopped goes on where it was:

    python -m experiments.synthesize --audio recordings --output videos
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

import facial_jax
from facial_jax.interrupts import stop_on_request
from facial_jax.many import outcome_table


@dataclass(frozen=True)
class Config:
    """Makes a video of a subject speaking."""

    audio: Path
    """The speech: wav, mp3, flac, ogg, m4a, or a video with sound; or a folder of such files."""
    output: Path = Path("talk.mp4")
    """The video to write; its ending is its format: .mp4, .mov, .mkv, .webm or .gif. Of a folder of
    recordings: the folder of videos."""
    subject: str = "demo"
    """A bundled subject's name, or a subject's folder."""
    fps: str | None = None
    """The video's frame rate, like 25, 29.97 or 30000/1001; the subject's own if not given."""
    full_frame: bool = False
    """Show the head in whole frames of the reference video, with background and body."""
    chunk_frames: int = facial_jax.synthesis.CHUNK_FRAMES
    """How many frames are made at a time."""


def main(config: Config) -> None:
    """Makes the video or videos, or ends with one line that says what is wrong."""
    facial_jax.enable_compilation_cache()
    with stop_on_request() as stop:
        try:
            run(config)
        except BaseException as error:
            if stop.came:  # whatever JAX made of it
                sys.exit("interrupted: no video was written" if config.audio.is_file() else STOPPED)
            if isinstance(error, ValueError | OSError):
                sys.exit(f"error: {error}")
            raise


STOPPED = "interrupted: the same command goes on here"


def run(config: Config) -> None:
    """Makes the video or videos and says what was made."""
    options = dict(
        subject=config.subject,
        output=config.output,
        fps=config.fps,
        full_frame=config.full_frame,
        chunk_frames=config.chunk_frames,
        progress=True,
    )
    if config.audio.is_dir():
        outcomes = facial_jax.synthesize_folder(config.audio, **options)
        print(outcome_table(outcomes))
        if any(outcome.error for outcome in outcomes):
            sys.exit(1)
    else:
        video = facial_jax.synthesize(config.audio, **options)
        print(f"{video.path}: {len(video)} frames, {float(len(video) / video.fps):.2f} s")


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
