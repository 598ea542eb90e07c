"""Which videos are to be tracked, and the name and person of each."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from facial_jax.files import readable

SUFFIXES = (
    *(".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"),
    *(".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".webm", ".wmv"),
)
"""How the names of videos in a folder end; what is given itself may be called anything."""


@dataclass(frozen=True)
class Video:
    """A video that becomes a clip."""

    path: Path
    # the file
    clip: str
    # the clip's name
    subject: str
    # the person's name


# What `facial_jax.tracking.clip` and personalization leave beside a clip.
_MADE_HERE = ("video.mp4", "full_frame.mp4")
_BESIDE = ("clip.npz", "report.txt")


def find_videos(
    paths: Sequence[str | os.PathLike], *, output: str | os.PathLike | None = None
) -> list[Video]:
    """The videos at these paths, and all those in the folders among them.

    A video given itself is called as its file. In a folder FOLDER, the video FOLDER/NAME.mp4
    becomes the clip NAME, and FOLDER/PERSON/A/B.mp4 the clip PERSON_A_B of PERSON: videos in
    folders of their own show one person each. Hidden files, the output folder, and the crops of
    tracked clips are left out.

    Args:
        paths: videos and folders.
        output: where the clips will be.

    Raises:
        ValueError: a folder holds no video, or two videos would make the same clip.
    """
    videos = []
    for path in map(Path, paths):
        if not path.is_dir():
            videos.append(Video(path, readable(path.stem), readable(path.stem)))
            continue
        inside = sorted(p for p in path.rglob("*") if _is_video(p, path, output))
        if not inside:
            raise ValueError(
                f"videos: no video in the folder {path}; expected files named *"
                + ", *".join(SUFFIXES)
            )
        for video in inside:
            parts = [readable(part) for part in video.relative_to(path).with_suffix("").parts]
            videos.append(Video(video, "_".join(parts), parts[0]))
    names: dict[str, Path] = {}
    for video in videos:
        if video.clip in names:
            raise ValueError(
                f"videos: {names[video.clip]} and {video.path} would make the same clip: "
                f"{video.clip}; rename one"
            )
        names[video.clip] = video.path
    return videos


def _is_video(path: Path, folder: Path, output: str | os.PathLike | None) -> bool:
    """Whether a file in a folder is one of the videos that the folder was given for."""
    if path.suffix.lower() not in SUFFIXES or not path.is_file():
        return False
    if any(part.startswith(".") for part in path.relative_to(folder).parts):
        return False  # macOS leaves ._NAME beside NAME on other file systems
    if path.name in _MADE_HERE and any(path.with_name(name).exists() for name in _BESIDE):
        return False
    if output is None:
        return True
    made_in, given_in = Path(output).resolve(), folder.resolve()
    return (
        made_in == given_in
        or not made_in.is_relative_to(given_in)
        or made_in not in path.resolve().parents
    )
