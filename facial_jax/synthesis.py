"""Speech in, a video of a talking person out: the whole way on one page.

    speech ─▶ features ─▶ FACIAL-GAN ─▶ attributes ─▶ rendered face, eye attention ─▶ frames ─▶ mp4

Everything is computed in pieces of constant size: memory does not grow with the length of the
speech, and neither the pieces' size nor their seams show in the numbers.
"""

import base64
import functools
import html
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import jax
import numpy as np
from jaxtyping import UInt8
from tqdm.auto import tqdm

from facial_jax.attributes import Attributes
from facial_jax.audio.acoustic import GIVEN, PHONEMES, load_acoustic_model
from facial_jax.audio.features import given_features
from facial_jax.audio.features import speech_features as speech_features_of
from facial_jax.audio.known_phones import KnownPhone
from facial_jax.audio.phonemes import KnownPhonesModel
from facial_jax.audio.waveform import AudioSource
from facial_jax.cache import enable_compilation_cache
from facial_jax.editing import check_attributes, gaussian_filter
from facial_jax.frame_rate import FrameRate, count_frames, parse_frame_rate, resample_frames
from facial_jax.full_frame import full_frame_chunks
from facial_jax.models.facial_gan.generation import blink_when_due, generate_attributes
from facial_jax.models.rendering_to_video.frames import frame_chunks
from facial_jax.speech.spoken_text import SpokenText
from facial_jax.subject import Subject, load_subject
from facial_jax.video import check_output, write_video

CHUNK_FRAMES = 32
PROGRESS_DELAY_S = 1.0
POSE_SMOOTHING_S = 0.06  # standard deviation of the Gaussian filter
SAMPLE_SPEECH = Path(__file__).parent / "assets" / "speech" / "sample.flac"
MAX_INLINE_BYTES = 64 * 2**20
MAX_INLINE_S = 30
MAX_CHUNK_FRAMES = 1024


def synthesize(
    audio: str | os.PathLike | tuple[np.ndarray, int] | SpokenText,
    *,
    subject: str | os.PathLike | Subject = "demo",
    output: str | os.PathLike | None = None,
    fps: FrameRate | None = None,
    speech_features: tuple[np.ndarray, FrameRate] | None = None,
    attributes: Attributes | None = None,
    full_frame: bool = False,
    chunk_frames: int = CHUNK_FRAMES,
    progress: bool = True,
) -> "TalkingVideo":
    """Makes a subject speak (FACIAL, Fig. 2).

    Args:
      audio: a file with sound (wav, mp3, flac, ogg, m4a, a video, …), or a pair of
        samples, (n,) or (n, channels), floats in [-1, 1] or integers, and their rate in Hz; or what
        `facial_jax.speak_text` made of a text.
      subject: a bundled subject's name, a subject's folder, or a loaded subject.
      output: the file to write, of the format of its ending (see `facial_jax.video`): .mp4, .mov,
        .mkv, .webm or .gif; without it, frames are made when they are asked for.
      fps: the video's frame rate, like 25, "29.97" or "30000/1001"; default: the subject's.
      speech_features: rows (t, n) of your own acoustic model and how many there are per second, for
        a subject whose FACIAL-GAN was trained with them; default: the subject's acoustic model
        listens.
      attributes: what the face does, a row for each of the video's round(duration · fps) frames,
        such as another video's attributes after `facial_jax.editing`; default: FACIAL-GAN's.
      full_frame: show the head in whole frames of the subject's reference video, with background
        and body; default: the head alone.
      chunk_frames: how many frames are made at a time, 1 to 1024; changes speed and memory, not the
        frames.
      progress: show progress bars for what takes longer than a second.

    Returns:
      The video: its attributes, its frames as an iterator, and its path where it was written.

    Raises:
      FileNotFoundError: no such audio file, subject or output folder.
      PermissionError: nothing can be written in the output folder.
      ValueError: audio without sound, samples that are not finite, a bad rate, a damaged subject,
        features or attributes that do not fit or are not finite or in other units, full frames of a
        subject that has none, an output that is the audio itself.
    """
    enable_compilation_cache()
    check_chunk_frames(chunk_frames)
    output = None if output is None else check_output(output, read=[audio])
    subject = subject if isinstance(subject, Subject) else load_subject(subject)
    if output is not None:
        subject.check_renders()
    if full_frame:
        subject.check_full_frame()
    fps = subject.fps if fps is None else parse_frame_rate(fps)
    phones = audio.phones if isinstance(audio, SpokenText) else None
    source = audio.audio if isinstance(audio, SpokenText) else AudioSource(audio)
    if attributes is None:
        attributes = attributes_from_speech(
            source,
            subject,
            fps=fps,
            speech_features=speech_features,
            phones=phones,
            progress=progress,
        )
    else:
        check_attributes(attributes)
        if len(attributes) != (count := count_frames(source.duration, fps)):
            raise ValueError(
                f"attributes: expected one row for each of the {count} frames of "
                f"{float(source.duration):.2f} s at {float(fps):g} per second, got "
                f"{len(attributes)}"
            )
    video = TalkingVideo(
        attributes, fps, subject, source, chunk_frames=chunk_frames, full_frame=full_frame
    )
    if output is not None:
        video.save(output, progress=progress)
    return video


def sample_speech() -> Path:
    """A bundled sentence to try things with, spoken by a machine."""
    return SAMPLE_SPEECH


def attributes_from_speech(
    source: AudioSource,
    subject: Subject,
    *,
    fps: Fraction,
    speech_features: tuple[np.ndarray, FrameRate] | None = None,
    phones: Sequence[KnownPhone] | None = None,
    progress: bool = False,
) -> Attributes:
    """What the face does while this speech sounds: round(duration · fps) frames.

    FACIAL-GAN runs at the rate that it was trained at; its attributes are then resampled.
    `speech_features`: see `synthesize`. `phones`: all that is said, for a subject that listens with
    `phonemes`; they need not be heard then. Other subjects listen.
    """
    if speech_features is not None:
        rows, rows_fps = speech_features
        features = given_features(rows, parse_frame_rate(rows_fps), source, subject.fps)
    elif subject.acoustic_model == GIVEN:
        raise ValueError(
            f"speech_features: subject {subject.name} was trained with features of your own, "
            f"{subject.facial_gan.speech_features} a row; give this recording's (rows, per second)"
        )
    else:
        model = load_acoustic_model(subject.acoustic_model)
        subject.check_acoustic_model()
        if phones is not None and subject.acoustic_model == PHONEMES:
            model = KnownPhonesModel(model, phones)
        features = speech_features_of(
            source, model, subject.fps, progress=_progress_bar("listening", progress)
        )
    attributes = generate_attributes(
        subject.facial_gan, features, progress=_progress_bar("animating", progress)
    )
    # As smooth as the tracked poses that it was learnt from.
    pose = gaussian_filter(np.asarray(attributes.pose), POSE_SMOOTHING_S * float(subject.fps))
    attributes = attributes.replace(pose=pose)
    if subject.facial_gan.blink_habits is None:
        attributes = attributes.replace(blink=blink_when_due(attributes.blink, float(subject.fps)))
    count = count_frames(source.duration, fps)
    return jax.tree.map(lambda x: resample_frames(x, subject.fps, fps, count), attributes)


def check_chunk_frames(count: int) -> None:
    """Refuses what is no number of frames, or more than a machine has room for.

    Raises:
      ValueError: not from 1 to 1024.
    """
    if not 1 <= count <= MAX_CHUNK_FRAMES:
        raise ValueError(f"chunk_frames: expected 1 to {MAX_CHUNK_FRAMES}, got {count}")


@dataclass(repr=False)
class TalkingVideo:
    """A subject speaking."""

    attributes: Attributes
    # expression, pose and blink per frame
    fps: Fraction
    # frames per second
    subject: Subject
    # who speaks
    audio: AudioSource
    # the speech
    chunk_frames: int = CHUNK_FRAMES
    # how many frames are made at a time
    full_frame: bool = False
    # whether they are whole frames of the reference video, the head in them
    path: Path | None = None
    # the file, once it is written
    _shown: bytes | None = field(default=None, init=False, repr=False, compare=False)
    # what a notebook was given of a video that was not written

    def __repr__(self) -> str:
        height, width = self.size
        where = "not written yet" if self.path is None else str(self.path)
        return (
            f"TalkingVideo({len(self)} frames of {width}×{height}, "
            f"{float(len(self) / self.fps):.2f} s at {float(self.fps):g} per second, "
            f"subject {self.subject.name}, {where})"
        )

    def __len__(self) -> int:
        """The number of frames."""
        return len(self.attributes)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the frames in pixels."""
        if not self.full_frame:
            return self.subject.size, self.subject.size
        self.subject.check_full_frame()
        return self.subject.full_frame.size

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        """The frames, made one chunk at a time: uint8 RGB."""
        for chunk in self._chunks():
            yield from chunk

    def save(self, path: str | os.PathLike, *, progress: bool = True) -> Path:
        """Writes the video with the speech, in the format of the ending; whole or not at all."""
        path = check_output(path, read=[self.audio.path] if self.audio.path else [])
        self._write(path, progress=progress)
        self.path = path
        return path

    def _write(self, path: Path, *, progress: bool) -> None:
        bar = _progress_bar(path.name, progress)(total=len(self), unit="frame", leave=True)
        with bar:
            chunks = _advance(bar, self._chunks())
            write_video(path, chunks, size=self.size, fps=self.fps, audio=self.audio)

    def _chunks(self) -> Iterator[UInt8[np.ndarray, "n h w 3"]]:
        heads = frame_chunks(self.subject, self.attributes, chunk_frames=self.chunk_frames)
        if not self.full_frame:
            return heads
        self.subject.check_full_frame()
        return full_frame_chunks(
            self.subject.full_frame, heads, pose=self.attributes.pose, fps=self.fps
        )

    def _repr_html_(self) -> str:
        """The video itself, inline in a notebook; of a long one, what it is.

        A short video that was not written is made for this, once.
        """
        path = self.path
        if path is not None and path.is_file() and path.suffix.lower() in _INLINE:
            if path.stat().st_size <= MAX_INLINE_BYTES:
                return _INLINE[path.suffix.lower()](path.read_bytes())
        elif len(self) / self.fps <= MAX_INLINE_S:
            if self._shown is None:
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(folder) / "video.mp4"
                    self._write(path, progress=True)
                    self._shown = path.read_bytes()
            return _inline_video("mp4", self._shown)
        return f"<p>{html.escape(repr(self))}</p>"


def _inline_video(kind: str, data: bytes) -> str:
    encoded = base64.b64encode(data).decode()
    return f'<video controls loop src="data:video/{kind};base64,{encoded}"></video>'


def _inline_gif(data: bytes) -> str:
    return f'<img src="data:image/gif;base64,{base64.b64encode(data).decode()}">'


# What every browser shows, by the file's ending.
_INLINE: dict[str, Callable[[bytes], str]] = {
    ".mp4": functools.partial(_inline_video, "mp4"),
    ".webm": functools.partial(_inline_video, "webm"),
    ".gif": _inline_gif,
}


def _progress_bar(what: str, shown: bool) -> Callable[..., tqdm]:
    """A progress bar that shows itself when something takes longer than a second."""
    return functools.partial(
        tqdm, desc=what, disable=not shown, delay=PROGRESS_DELAY_S, leave=False
    )


def _advance(bar: tqdm, chunks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    for chunk in chunks:
        yield chunk
        bar.update(len(chunk))
