"""Opening files with sound and pictures: a path names a file on this machine, and nothing else."""

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.stream import Disposition, Stream

READ_ERRORS = (av.error.FFmpegError, OSError, ValueError)
"""What FFmpeg and PyAV raise for data that they cannot read."""
# FFmpeg takes `a:b` for a protocol, `%03d` in a picture's name for a series, and follows the names
# in playlists. It is given an open file and no more of the name than its ending, and no protocol is
# on the list of those that it may use.
_NO_PROTOCOL = {"protocol_whitelist": "none"}
_BUFFER_BYTES = 1 << 17


@contextmanager
def open_media(path: Path, argument: str) -> Iterator[av.container.InputContainer]:
    """The opened container of a file.

    Args:
        path: any name that the file system knows.
        argument: what errors call the file: "audio" or "video".

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no file, cannot be opened, or is nothing that FFmpeg reads.
    """
    with _open_file(path, argument) as file:
        try:
            container = av.open(file, buffer_size=_BUFFER_BYTES, options=_NO_PROTOCOL)
        except READ_ERRORS as error:
            raise ValueError(
                f"{argument}: {path} cannot be read as {_KIND[argument]} ({reason(error)}); it may "
                f"be damaged or cut off, or nothing of the kind; {_EXAMPLES[argument]}"
            ) from error
        with container:
            yield container


_KIND = {"audio": "sound or video", "video": "video"}
_EXAMPLES = {
    "audio": "give a wav, mp3, flac, ogg, m4a or a video with sound",
    "video": "give an mp4, mov, mkv, webm, avi or the like",
}


class _File(io.FileIO):
    """A file that answers a place which cannot be, as damaged files name it, as FFmpeg expects."""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """The new place; −1 if there is no such place."""
        try:
            return super().seek(offset, whence)
        except (OSError, OverflowError):
            return -1


def _open_file(path: Path, argument: str) -> io.FileIO:
    try:
        if not path.exists():
            raise FileNotFoundError(f"{argument}: there is no file {path}")
        if path.is_dir():
            raise ValueError(f"{argument}: {path} is a folder; give one file")
        if not path.is_file():
            raise ValueError(f"{argument}: {path} is a device or a pipe; give a file")
        file = _File(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"{argument}: {path} cannot be opened ({reason(error)})") from error
    file.name = "input" + (path.suffix if re.fullmatch(r"\.[A-Za-z0-9]{1,8}", path.suffix) else "")
    return file


def output_url(path: str | os.PathLike) -> str:
    """What `av.open` is given to write this file, whatever its name is like."""
    return f"file:{Path(path).absolute()}"


def reason(error: BaseException) -> str:
    """An error of FFmpeg's or of the system's in words, without the file's name."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def picture_stream(container: av.container.InputContainer) -> av.VideoStream | None:
    """The stream that a player shows: not a cover or a thumbnail."""
    shown = [
        stream
        for stream in container.streams.video
        if not stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails)
        and stream.codec_context is not None
    ]
    return _best(container, "video", shown)


def sound_stream(container: av.container.InputContainer) -> av.AudioStream | None:
    """The stream that a player plays."""
    decodable = [s for s in container.streams.audio if s.codec_context is not None]
    return _best(container, "audio", decodable)


def _best(container, kind: str, streams: list[Stream]) -> Stream | None:
    best = container.streams.best(kind)
    return best if best in streams else next(iter(streams), None)


def has_sound(path: Path) -> bool:
    """Whether a video has sound that FFmpeg knows.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be read.
    """
    with open_media(path, "video") as container:
        return sound_stream(container) is not None
