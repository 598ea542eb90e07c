"""Which videos are to be tracked, and the name and person of each."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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


def find_videos(paths: Sequence[str | os.PathLike]) -> list[Video]:
    """The videos at these paths, and all those in the folders among them.

    A video given itself is called as its file. In a folder FOLDER, the video FOLDER/NAME.mp4
    becomes the clip NAME, and FOLDER/PERSON/A/B.mp4 the clip PERSON_A_B of PERSON: videos in
    folders of their own show one person each.

    Raises:
        ValueError: a folder holds no video, or two videos would make the same clip.
    """
    found = []
    for path in map(Path, paths):
        if not path.is_dir():
            found.append(Video(path, path.stem, path.stem))
            continue
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        if not inside:
            raise ValueError(
                f"videos: no video in the folder {path}; expected files named *"
                + ", *".join(SUFFIXES)
            )
        for video in inside:
            parts = video.relative_to(path).with_suffix("").parts
            found.append(Video(video, "_".join(parts), parts[0]))
    names: dict[str, Path] = {}
    for video in found:
        if video.clip in names:
            raise ValueError(
                f"videos: {names[video.clip]} and {video.path} would make the same clip: "
                f"{video.clip}; rename one"
            )
        names[video.clip] = video.path
    return found
