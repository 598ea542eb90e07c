"""Speech in, talking video out: python -m experiments.synthesize --audio FILE --output talk.mp4.

A text is spoken first; what is said is known then, and need not be heard:

    python -m experiments.synthesize --text "Good morning." --output talk.mp4

A folder of recordings becomes a folder of videos; a run that was stopped goes on where it was:

    python -m experiments.synthesize --audio recordings --output videos
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

import facial_jax
from experiments import GIVEN_ERRORS, MotionOptions, ends_in_one_line, make_video, motion
from facial_jax.many import outcome_table
from facial_jax.streamed_video import CHUNK_FRAMES


@dataclass(frozen=True, kw_only=True)
class Config(MotionOptions):
    """Makes a video of a subject speaking; of a folder of recordings, one of each."""

    output: Path = Path("talk.mp4")
    """The video to write; its ending is its format: .mp4, .mov, .mkv, .webm or .gif. Of a folder of
    recordings: the folder of videos."""
    full_frame: bool = False
    """Show the head in whole frames of the reference video, with background and body."""
    chunk_frames: int = CHUNK_FRAMES
    """How many frames are made at a time."""
    sign_key: Path | None = None
    """PEM file of your private key: the video is signed with C2PA content credentials (the extra
    `c2pa`)."""
    sign_certificate: Path | None = None
    """PEM file of the key's certificate and those that lead to its authority."""


def main(config: Config) -> None:
    """Makes the video or videos, or ends with one line that says what is wrong."""
    if (config.sign_key is None) != (config.sign_certificate is None):
        sys.exit("error: sign_key, sign_certificate: expected both or neither, got one")
    if config.audio is not None and config.audio.is_dir():
        return make_many(config)
    video = make_video(facial_jax.synthesize, config, **options(config))
    print(f"{video.path}: {len(video)} frames, {float(len(video) / video.fps):.2f} s")


def options(config: Config) -> dict[str, Any]:
    """How videos are drawn and written."""
    signature = None
    if config.sign_key is not None:
        signature = facial_jax.Signature(config.sign_key, config.sign_certificate)
    return dict(
        output=config.output,
        full_frame=config.full_frame,
        chunk_frames=config.chunk_frames,
        signature=signature,
    )


def make_many(config: Config) -> None:
    """Makes the videos of a folder and prints what became of each recording."""
    facial_jax.enable_compilation_cache()
    with ends_in_one_line("the same command goes on here", GIVEN_ERRORS):
        if config.text is not None or config.export is not None:
            raise ValueError("text, export: expected none beside a folder of recordings")
        outcomes = facial_jax.synthesize_folder(
            config.audio, subject=config.subject, **motion(config), **options(config)
        )
    print(outcome_table(outcomes))
    if any(outcome.error for outcome in outcomes):
        sys.exit(1)


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
