"""Scripts that train, measure and draw, and what their command lines share."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

import facial_jax
from facial_jax.curves import check_curves, write_curves
from facial_jax.interrupts import stop_on_request
from facial_jax.mediapipe_models import ModelMissingError
from facial_jax.speech.spoken_text import VOICE
from facial_jax.streamed_video import StreamedVideo

Preset = Literal["demo", "paper"]
GIVEN_ERRORS = (ValueError, OSError, ImportError, ModelMissingError)
GOES_ON = "started again with the same options, it goes on from its last checkpoint"


@dataclass(frozen=True, kw_only=True)
class MotionOptions:
    """What is said, by whom, and what moves the face: what videos and animated heads share."""

    audio: Path | None = None
    """The speech: wav, mp3, flac, ogg, m4a, or a video with sound."""
    text: str | None = None
    """What to say, in place of speech; needs the extra `text`."""
    voice: str = VOICE
    """Who says the text: a language of espeak-ng, such as en-us, de or en-us+f2; or the file of a
    Piper voice, NAME.onnx with NAME.onnx.json beside it (the extra `piper`)."""
    subject: str = "demo"
    """A bundled subject's name, or a subject's folder."""
    fps: str | None = None
    """The video's frame rate, like 25, 29.97 or 30000/1001; the subject's own if not given."""
    method: Literal["facial", "pose_gan"] = "facial"
    """What moves the face: FACIAL-GAN, or PoseGAN with PGFace, if the subject has them."""
    seed: int | None = None
    """Another take of the same speech: another motion of the head and other blinks."""
    pose_from: Path | None = None
    """Head motion of another recording: a video, which is then tracked, or a tracked clip.npz."""
    blink_from: Path | None = None
    """Blinks of another recording: a video, which is then tracked, or a tracked clip.npz."""
    head_motion: float = 1.0
    """Factor of the head's motion about its mean pose, 0 to 5."""
    export: Path | None = None
    """Write curves of ARKit's 52 blend shapes, and of the head, too: a .csv or .json file."""


_MOTION = ("fps", "method", "seed", "pose_from", "blink_from", "head_motion")


def make_video(
    make: Callable[..., StreamedVideo], options: MotionOptions, **more: Any
) -> StreamedVideo:
    """What `synthesize` or `animate` makes of these options, and the curves that are asked for.

    Ends the program with one line that says what is wrong, or that it was interrupted.
    """
    facial_jax.enable_compilation_cache()
    with ends_in_one_line("no video was written", GIVEN_ERRORS):
        if (options.audio is None) == (options.text is None):
            got = "neither" if options.audio is None else "both"
            raise ValueError(f"audio, text: expected one of them, got {got}")
        subject = facial_jax.load_subject(options.subject)
        if options.export is not None:
            check_curves(options.export, subject.face_model)
        speech = options.audio
        if options.text is not None:
            speech = facial_jax.speak_text(options.text, voice=options.voice)
        video = make(speech, subject=subject, **motion(options), **more, progress=True)
        if options.export is not None:
            write_curves(options.export, video.attributes, video.fps, subject.face_model)
    return video


def motion(options: MotionOptions) -> dict[str, Any]:
    """What moves the face, as `facial_jax.synthesize` takes it."""
    return {name: getattr(options, name) for name in _MOTION}


@dataclass(frozen=True)
class _Chosen:
    preset: Preset = "demo"


def parse_preset(
    presets: Mapping[str, Any], *, description: str | None, arguments: Sequence[str] | None = None
) -> Any:
    """The options of a command line: the preset's that `--preset` names, with what else is given.

    `presets`: an instance of the options' dataclass for each, with its name as field `preset`.
    """
    chosen, _ = tyro.cli(_Chosen, args=arguments, return_unknown_args=True, add_help=False)
    default = presets[chosen.preset]
    return tyro.cli(type(default), args=arguments, default=default, description=description)


@contextmanager
def ends_in_one_line(
    interrupted: str, errors: tuple[type[Exception], ...] = (ValueError, OSError)
) -> Iterator[None]:
    """Ends the script with one line if it was asked to stop, or if its input is wrong.

    Args:
        interrupted: the line's text if it was asked to stop.
        errors: the errors whose text is the line.
    """
    with stop_on_request() as stop:
        try:
            yield
        except BaseException as error:
            if stop.came or isinstance(error, KeyboardInterrupt):  # JAX may make another of it
                sys.exit(f"interrupted: {interrupted}")
            if isinstance(error, errors):
                sys.exit(f"error: {error}")
            raise
