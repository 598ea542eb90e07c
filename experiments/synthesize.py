"""Speech in, talking video out: python -m experiments.synthesize --audio FILE --output talk.mp4.

A text is spoken first; what is said is known then, and need not be heard:

    python -m experiments.synthesize --text "Good morning." --output talk.mp4

A folder of recordings becomes a folder of videos; a run that was stopped continues:

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
class Arguments(MotionOptions):
    """Makes a video of a subject speaking; of a folder of recordings, one of each."""

    output: Path = Path("talk.mp4")
    """The video to write; its ending is its format: .mp4, .mov, .mkv, .webm or .gif. Of a folder of
    recordings: the folder of videos."""
    full_frame: bool = False
    """Show the head in whole frames of the reference video, in place of the one that is there, with
    background and body."""
    background: str | None = None
    """A colour like "#00b140" to be behind the person, in place of what is there (the extra
    `tracking`)."""
    chunk_frames: int = CHUNK_FRAMES
    """How many frames are made at a time."""
    sign_key: Path | None = None
    """PEM file of your private key: the video is signed with C2PA content credentials (the extra
    `c2pa`)."""
    sign_certificate: Path | None = None
    """PEM file of the key's certificate and those that lead to its authority."""


def main(arguments: Arguments) -> None:
    """Makes the video or videos, or ends with one line that says what is wrong."""
    if (arguments.sign_key is None) != (arguments.sign_certificate is None):
        sys.exit("error: sign_key, sign_certificate: expected both or neither, got one")
    if arguments.audio is not None and arguments.audio.is_dir():
        return make_many(arguments)
    video = make_video(facial_jax.synthesize, arguments, **options(arguments))
    print(f"{video.path}: {len(video)} frames, {float(len(video) / video.fps):.2f} s")


def options(arguments: Arguments) -> dict[str, Any]:
    """How videos are drawn and written."""
    signature = None
    if arguments.sign_key is not None:
        signature = facial_jax.Signature(arguments.sign_key, arguments.sign_certificate)
    return dict(
        output=arguments.output,
        full_frame=arguments.full_frame,
        background=arguments.background,
        chunk_frames=arguments.chunk_frames,
        signature=signature,
    )


def make_many(arguments: Arguments) -> None:
    """Makes the videos of a folder and prints what became of each recording."""
    facial_jax.enable_compilation_cache()
    with ends_in_one_line("the same command goes on", GIVEN_ERRORS):
        if arguments.text is not None or arguments.export is not None:
            raise ValueError("text, export: expected none beside a folder of recordings")
        outcomes = facial_jax.synthesize_folder(
            arguments.audio, subject=arguments.subject, **motion(arguments), **options(arguments)
        )
    print(outcome_table(outcomes))
    if any(outcome.error for outcome in outcomes):
        sys.exit(1)


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
