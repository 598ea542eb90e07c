"""Speech in, an animated 3D head out: a video of it with the sound, and the head as a glTF file.

    speech ─▶ attributes ─┬─▶ head, light, camera ─▶ frames ─▶ mp4
                          └─▶ morph targets, rotation, translation over time ─▶ glb

Memory does not grow with the length of the speech but for the attributes themselves, and what the
glTF file has of them: some 600 bytes a frame each.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from facial_jax.attributes import Attributes
from facial_jax.cache import enable_compilation_cache
from facial_jax.face.animated_gltf import encode_animated_head
from facial_jax.face.procedural import EXPRESSION_NAMES, is_built_in
from facial_jax.face.procedural.lids import closed_lids, lid_closing
from facial_jax.files import whole_or_nothing
from facial_jax.frame_rate import FrameRate, parse_frame_rate
from facial_jax.motion import MotionSource, make_motion
from facial_jax.rendering.head import frame_head, head_chunks
from facial_jax.speech.spoken_text import SpokenText, source_and_phones
from facial_jax.speech_attributes import Method
from facial_jax.streamed_video import CHUNK_FRAMES, StreamedVideo, check_chunk_frames
from facial_jax.subject import Subject, load_subject
from facial_jax.video import check_output, synthetic_tag

SIZE = 512
MIN_SIZE, MAX_SIZE = 32, 2048


def animate(
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
    size: int = SIZE,
    chunk_frames: int = CHUNK_FRAMES,
    progress: bool = True,
) -> "AnimatedHead":
    """Makes a subject's 3D head speak (CVM, Fig. 3).

    Args:
      audio: see `facial_jax.synthesize`, as for all that is not said here.
      subject: a bundled subject's name, a subject's folder, or a loaded subject; its
        rendering-to-video network is not needed.
      output: the video to write, and beside it the head, .glb; default: none is written.
      fps: frames and keyframes per second; default: the subject's.
      method: "facial" (FACIAL-GAN) or "pose_gan" (PoseGAN with PGFace).
      seed: of another take.
      speech_features: your own acoustic model's.
      attributes: what the face does.
      pose_from: whose head motion to take.
      blink_from: whose blinks to take.
      head_motion: factor of the head's motion.
      size: height and width of the video in pixels, an even number from 32 to 2048.
      chunk_frames: how many frames are drawn at a time.
      progress: show progress bars for what takes longer than a second.

    Raises:
      FileNotFoundError: see `facial_jax.synthesize`.
      PermissionError: nothing can be written in the output folder.
      ValueError: see `facial_jax.synthesize`; a size out of range.
    """
    enable_compilation_cache()
    check_chunk_frames(chunk_frames)
    check_size(size)
    read = [audio, pose_from, blink_from]
    output = None if output is None else check_outputs(output, read=read)
    subject = subject if isinstance(subject, Subject) else load_subject(subject)
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
    head = AnimatedHead(attributes, fps, subject, source, chunk_frames, size)
    if output is not None:
        head.save(output, progress=progress)
    return head


def check_size(size: int) -> None:
    """Refuses sizes that no video of a head has.

    Raises:
      ValueError: not an even number from 32 to 2048.
    """
    if size % 2 or not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(
            f"size: expected an even number from {MIN_SIZE} to {MAX_SIZE} pixels, got {size}"
        )


def check_outputs(path: str | os.PathLike, *, read: list) -> Path:
    """The path of the video, checked as `check_output` does, with that of the .glb beside it."""
    path = check_output(path, read=read)
    if path.with_suffix(".glb").is_dir():
        raise ValueError(f"output: {path.with_suffix('.glb')} is a folder; give another name")
    return path


@dataclass(repr=False)
class AnimatedHead(StreamedVideo):
    """A subject's head speaking, in three dimensions."""

    pixels: int = SIZE
    # height and width of the frames

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the frames in pixels."""
        return self.pixels, self.pixels

    @property
    def lids(self) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]] | None:
        """What closes the eyes: the built-in face has lids, the Basel Face Model has none."""
        return lid_closing() if is_built_in(self.subject.face_model) else None

    def framed(self) -> Attributes:
        """The attributes with the head in the middle, as it is drawn and exported."""
        return frame_head(*self.subject.rendered_face(), self.attributes)

    def glb(self) -> bytes:
        """The animated head as a binary glTF file, a keyframe for each frame."""
        names = EXPRESSION_NAMES if is_built_in(self.subject.face_model) else ()
        return encode_animated_head(
            *self.subject.rendered_face(),
            self.framed(),
            self.fps,
            expression_names=names,
            lids=self.lids,
            comment=synthetic_tag(),
        )

    def save(self, path: str | os.PathLike, *, progress: bool = True) -> Path:
        """Writes an .mp4 file with the speech, and the head as .glb beside it.

        Both are written whole or not at all.
        """
        path = check_outputs(path, read=[self.audio.path] if self.audio.path else [])
        with whole_or_nothing(path.with_suffix(".glb")) as partial:
            partial.write_bytes(self.glb())
            return super().save(path, progress=progress)

    def _chunks(self) -> Iterator[UInt8[np.ndarray, "n h w 3"]]:
        return head_chunks(
            *self.subject.rendered_face(),
            self.framed(),
            size=self.pixels,
            lids=closed_lids(self.subject.face_model),
            chunk_frames=self.chunk_frames,
        )
