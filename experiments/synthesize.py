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
from experiments import ends_in_one_line
from facial_jax.many import outcome_table
from facial_jax.speech.spoken_text import VOICE


@dataclass(frozen=True)
class Config:
    """Makes a video of a subject speaking."""

    audio: Path | None = None
    """The speech: wav, mp3, flac, ogg, m4a, or a video with sound; or a folder of such files."""
    text: str | None = None
    """What to say, in place of speech; needs the extra `text`."""
    voice: str = VOICE
    """Who says the text: a language of espeak-ng, such as en-us, de or en-us+f2; or the file of a
    Piper voice, NAME.onnx with NAME.onnx.json beside it (the extra `piper`)."""
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
    sign_key: Path | None = None
    """PEM file of your private key: the video is signed with C2PA content credentials (the extra
    `c2pa`)."""
    sign_certificate: Path | None = None
    """PEM file of the key's certificate and those that lead to its authority."""


def main(config: Config) -> None:
    """Makes the video or videos, or ends with one line that says what is wrong."""
    facial_jax.enable_compilation_cache()
    if (config.audio is None) == (config.text is None):
        got = "neither" if config.audio is None else "both"
        sys.exit(f"error: audio, text: expected one of them, got {got}")
    if (config.sign_key is None) != (config.sign_certificate is None):
        sys.exit("error: sign_key, sign_certificate: expected both or neither, got one")
    many = config.audio is not None and config.audio.is_dir()
    end = "the same command goes on here" if many else "no video was written"
    with ends_in_one_line(end, (ValueError, OSError, ImportError)):
        run_many(config) if many else run(config)


def options(config: Config) -> dict[str, Any]:
    """What is the same for one video and for many."""
    signature = None
    if config.sign_key is not None:
        signature = facial_jax.Signature(config.sign_key, config.sign_certificate)
    return dict(
        subject=config.subject,
        output=config.output,
        fps=config.fps,
        full_frame=config.full_frame,
        signature=signature,
        chunk_frames=config.chunk_frames,
        progress=True,
    )


def run(config: Config) -> None:
    """Makes the video and says what it is."""
    speech = config.audio
    if config.text is not None:
        speech = facial_jax.speak_text(config.text, voice=config.voice)
    video = facial_jax.synthesize(speech, **options(config))
    print(f"{video.path}: {len(video)} frames, {float(len(video) / video.fps):.2f} s")


def run_many(config: Config) -> None:
    """Makes the videos and prints what became of each recording."""
    outcomes = facial_jax.synthesize_folder(config.audio, **options(config))
    print(outcome_table(outcomes))
    if any(outcome.error for outcome in outcomes):
        sys.exit(1)


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
