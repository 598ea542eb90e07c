"""A video that is made from attributes as it is watched or written, in chunks of constant size."""

import base64
import functools
import html
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from facial_jax.attributes import Attributes
from facial_jax.audio.waveform import AudioSource
from facial_jax.credentials import Signature
from facial_jax.progress_bar import advance, progress_bar
from facial_jax.subject import Subject
from facial_jax.video import check_output, write_video

CHUNK_FRAMES = 32
MAX_CHUNK_FRAMES = 1024
MAX_INLINE_BYTES = 64 * 2**20
MAX_INLINE_S = 30


def check_chunk_frames(count: int) -> None:
    """Refuses what is no number of frames, or more than a machine has room for.

    Raises:
      ValueError: not from 1 to 1024.
    """
    if not 1 <= count <= MAX_CHUNK_FRAMES:
        raise ValueError(f"chunk_frames: expected 1 to {MAX_CHUNK_FRAMES}, got {count}")


@dataclass(repr=False)
class StreamedVideo:
    """What a subject's talking video and animated head have in common."""

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
    path: Path | None = field(default=None, kw_only=True)
    # the file, once it is written
    _shown: bytes | None = field(default=None, init=False, repr=False, compare=False)
    # what a notebook was given of a video that was not written

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the frames in pixels."""
        raise NotImplementedError

    def _chunks(self) -> Iterator[UInt8[np.ndarray, "n h w 3"]]:
        raise NotImplementedError

    def __repr__(self) -> str:
        height, width = self.size
        where = "not written yet" if self.path is None else str(self.path)
        return (
            f"{type(self).__name__}({len(self)} frames of {width}×{height}, "
            f"{float(len(self) / self.fps):.2f} s at {float(self.fps):g} per second, "
            f"subject {self.subject.name}, {where})"
        )

    def __len__(self) -> int:
        """The number of frames."""
        return len(self.attributes)

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        """The frames, made one chunk at a time: uint8 RGB."""
        for chunk in self._chunks():
            yield from chunk

    def save(
        self,
        path: str | os.PathLike,
        *,
        signature: Signature | None = None,
        progress: bool = True,
    ) -> Path:
        """Writes the video with the speech, in the format of the ending; whole or not at all.

        With a signature, it carries C2PA content credentials.
        """
        path = check_output(path, read=[self.audio.path] if self.audio.path else [])
        if signature is not None:
            signature.check(path)
        self._write(path, signature=signature, progress=progress)
        self.path = path
        return path

    def _write(
        self, path: Path, *, signature: Signature | None = None, progress: bool = True
    ) -> None:
        bar = progress_bar(path.name, progress)(total=len(self), unit="frame", leave=True)
        with bar:
            chunks = advance(bar, self._chunks())
            write_video(
                path,
                chunks,
                size=self.size,
                fps=self.fps,
                audio=self.audio,
                signature=signature,
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
