"""Speech in, a video of a talking person out: the whole way on one page.

    speech ─▶ features ─▶ FACIAL-GAN ─▶ attributes ─▶ rendered face, eye attention ─▶ frames ─▶ mp4

Everything is computed in pieces of constant size: memory does not grow with the length of the
speech, and neither the pieces' size nor their seams show in the numbers.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from facial_jax.attributes import Attributes
from facial_jax.background import before_color, parse_color
from facial_jax.cache import enable_compilation_cache
from facial_jax.credentials import Signature
from facial_jax.frame_rate import FrameRate, parse_frame_rate
from facial_jax.full_frame import full_frame_chunks
from facial_jax.models.rendering_to_video.frames import frame_chunks
from facial_jax.motion import MotionSource, make_motion
from facial_jax.segmenter import Segmenter
from facial_jax.speech.spoken_text import SpokenText, source_and_phones
from facial_jax.speech_attributes import Method
from facial_jax.streamed_video import CHUNK_FRAMES, StreamedVideo, check_chunk_frames
from facial_jax.subject import Subject, load_subject
from facial_jax.video import check_output

SAMPLE_SPEECH = Path(__file__).parent / "assets" / "speech" / "sample.flac"


def synthesize(
    audio: str | os.PathLike | tuple[np.ndarray, int] | SpokenText,
    *,
    subject: str | os.PathLike | Subject = "demo",
    output: str | os.PathLike | None = None,
    fps: FrameRate | None = None,
    method: Method = "facial",
    seed: int | None = None,
    speech_features: tuple[np.ndarray, FrameRate] | None = None,
    attributes: Attributes | None = None,
    pose_from: MotionSource | None = None,
    blink_from: MotionSource | None = None,
    head_motion: float = 1.0,
    full_frame: bool = False,
    background: str | None = None,
    signature: Signature | None = None,
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
      method: what makes the attributes, "facial" (FACIAL-GAN) or "pose_gan" (PoseGAN with PGFace,
        of a subject that has them).
      seed: makes another take of the same speech: the head moves another way, other blinks come,
        the lips change little; default: the take that the speech alone makes, always the same.
      speech_features: rows (t, n) of your own acoustic model and how many there are per second, for
        a subject whose networks were trained with them; default: the subject's acoustic model
        listens.
      attributes: what the face does, a row for each of the video's round(duration · fps) frames,
        such as another video's attributes after `facial_jax.editing`; default: the method's.
      pose_from: another recording whose head motion to take: a video, which is then tracked, a
        tracked clip.npz, or attributes and their frame rate. It moves the head about the subject's
        own mean pose, and is played forwards and backwards if it is shorter than the speech.
      blink_from: another recording whose blinks to take, given as for `pose_from`.
      head_motion: factor of the head's motion about its mean pose, 0 to 5.
      full_frame: show the head in whole frames of the subject's reference video, with background
        and body; default: the head alone.
      background: a colour like "#00b140" to be behind the person, in place of what is there, for
        those who put them before something else; MediaPipe finds the person in each frame
        (`facial_jax.segmenter`).
      signature: who signs the output with C2PA content credentials; default: nobody.
      chunk_frames: how many frames are made at a time, 1 to 1024; changes speed and memory, not the
        frames.
      progress: show progress bars for what takes longer than a second.

    Returns:
      The video: its attributes, its frames as an iterator, and its path if it was written.

    Raises:
      FileNotFoundError: no such audio file, subject, recording or output folder.
      PermissionError: nothing can be written in the output folder.
      ValueError: audio without sound, samples that are not finite, a bad rate, a damaged subject,
        features or attributes that do not fit or are not finite or in other units, networks or full
        frames that the subject does not have, a recording without a face, an output that is the
        audio itself, no colour, a signature that cannot be made.
      ImportError, ModelMissingError: there is no MediaPipe, or not its model, for what needs it.
    """
    enable_compilation_cache()
    check_chunk_frames(chunk_frames)
    output = None if output is None else check_output(output, read=[audio, pose_from, blink_from])
    if output is not None and signature is not None:
        signature.check(output)
    subject = subject if isinstance(subject, Subject) else load_subject(subject)
    if output is not None:
        subject.check_renders()
    if full_frame:
        subject.check_full_frame()
    color = None if background is None else parse_color(background)
    if color is not None:
        Segmenter().close()  # before minutes of work: is it there?
    fps = subject.fps if fps is None else parse_frame_rate(fps)
    source, phones = source_and_phones(audio)
    attributes = make_motion(
        source,
        subject,
        fps=fps,
        method=method,
        seed=seed,
        speech_features=speech_features,
        phones=phones,
        attributes=attributes,
        pose_from=pose_from,
        blink_from=blink_from,
        head_motion=head_motion,
        progress=progress,
    )
    video = TalkingVideo(
        attributes, fps, subject, source, chunk_frames, full_frame=full_frame, background=color
    )
    if output is not None:
        video.save(output, signature=signature, progress=progress)
    return video


def sample_speech() -> Path:
    """A bundled sentence to try things with, spoken by a machine."""
    return SAMPLE_SPEECH


@dataclass(repr=False)
class TalkingVideo(StreamedVideo):
    """A subject speaking."""

    full_frame: bool = False
    # whether the frames are whole ones of the reference video, the head in them
    background: tuple[int, int, int] | None = None
    # what is behind the person, 0 to 255; None: what was there

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the frames in pixels."""
        if not self.full_frame:
            return self.subject.size, self.subject.size
        self.subject.check_full_frame()
        return self.subject.full_frame.size

    def _chunks(self) -> Iterator[UInt8[np.ndarray, "n h w 3"]]:
        if self.background is None:
            yield from self._drawn()
            return
        with Segmenter() as find_person:
            yield from before_color(self._drawn(), self.background, find_person)

    def _drawn(self) -> Iterator[UInt8[np.ndarray, "n h w 3"]]:
        heads = frame_chunks(self.subject, self.attributes, chunk_frames=self.chunk_frames)
        if not self.full_frame:
            return heads
        self.subject.check_full_frame()
        return full_frame_chunks(
            self.subject.full_frame,
            heads,
            pose=self.attributes.pose,
            fps=self.fps,
            surroundings=self.subject.appearance.surroundings,
        )
