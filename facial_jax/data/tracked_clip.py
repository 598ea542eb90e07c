"""A tracked video on disk: what `data_specs.talking_head` is built from.

A folder of tracked videos holds one folder for each clip, named as the clip, and in it `clip.npz`
(and whatever else its maker leaves there, such as the cropped video or a report; it is ignored):

    FOLDER/NAME/clip.npz
        format         number      of this format: 1; a file that has none is of the first
        subject        text        the person's name; clips of one person share it
        fps            text        frames per second as a fraction: "25", "30000/1001"
        acoustic       text        which acoustic model the features come from: its file's SHA-256
        waveform       (s,)   int16    mono, 16 kHz, as long as the frames
        features       (t, n) float32  speech features at the video's rate
        expression     (t, 64) float32 coefficients of the face model's expression basis
        pose           (t, 6) float32  pitch, yaw, roll in radians; x, y, z in decimetres
        blink          (t,)   float32  intensity of AU45: 0 = open, 5 = closed
        valid          (t,)   bool     True where the face was seen, or bridged between such frames
        identity       (80,)  float32  in standard deviations
        texture        (80,)  float32  in standard deviations
        illumination   (3, 9) float32  spherical-harmonics light of red, green and blue
        frame_identity (t, 80) float32 identity of every frame; may be absent
        gaze           (t, 2, 2) float32 pitch and yaw of either eye in radians; may be absent

Where `valid` is False the other arrays may hold anything. Further arrays are ignored.

A video that could not be used leaves `left_out.txt` in place of `clip.npz`: the video's path, and
in the next line the reason.
"""

import os
from pathlib import Path

import numpy as np

from facial_jax.data.clips import (
    ARRAY_FIELDS,
    OPTIONAL_FIELDS,
    Clip,
    check_clip,
    clip_arrays,
)
from facial_jax.files import readable, whole_or_nothing, write_text
from facial_jax.formats import check_format
from facial_jax.readers.npz import read_npz

FILE_NAME = "clip.npz"
REASON_NAME = "left_out.txt"
FORMAT = 1
_TEXTS = ("subject", "fps", "acoustic")


def save_tracked_clip(folder: str | os.PathLike, clip: Clip, *, acoustic: str) -> Path:
    """Writes a clip to `folder`/`clip.clip`/clip.npz, whole or not at all, and returns the path.

    Args:
        folder: of all clips.
        clip: what was tracked.
        acoustic: SHA-256 of the acoustic model's file.

    Raises:
        ValueError: the clip is malformed, see `check_clip`, or its name is not one of a folder.
    """
    check_clip(clip)
    if Path(clip.clip).name != clip.clip:
        raise ValueError(f"clip: expected a name without a path, got {clip.clip!r}")
    path = Path(folder) / clip.clip / FILE_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = clip_arrays(clip)
    texts = {"subject": clip.subject, "fps": clip.fps, "acoustic": acoustic}
    with whole_or_nothing(path) as partial:
        np.savez_compressed(partial, format=FORMAT, **texts, **arrays)
    path.with_name(REASON_NAME).unlink(missing_ok=True)
    return path


def save_reason(folder: str | os.PathLike, clip: str, *, video: str, reason: str) -> None:
    """Notes in `folder`/`clip` why there is no such clip, whole or not at all."""
    path = Path(folder) / clip / REASON_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [" ".join(readable(text).split()) for text in (video, reason)]
    write_text(path, "".join(f"{line}\n" for line in lines))


def left_out_videos(folder: str | os.PathLike) -> list[tuple[str, str, str]]:
    """(clip, video, reason) of every video that left a reason, in the order of the clips' names."""
    rows = []
    for path in sorted(Path(folder).glob(f"*/{REASON_NAME}")):
        try:
            video, reason = path.read_text(encoding="utf-8").splitlines()[:2]
        except FileNotFoundError:
            continue  # another process has just made the clip
        rows.append((path.parent.name, video, reason))
    return rows


def tracked_clips(folder: str | os.PathLike) -> list[Path]:
    """Every clip's file in a folder of tracked videos, in the order of the clips' names."""
    return sorted(Path(folder).glob(f"*/{FILE_NAME}"))


def load_tracked_clip(path: str | os.PathLike) -> tuple[Clip, str]:
    """A clip from its clip.npz, and its acoustic model's SHA-256.

    Raises:
        ValueError: the file is damaged, an array is missing, or the clip is malformed (see
            `check_clip`), or was written by a newer version.
    """
    path = Path(path)
    wanted = ("format", *_TEXTS, *ARRAY_FIELDS, *OPTIONAL_FIELDS)
    try:
        stored = read_npz(path, wanted)
    except ValueError as error:
        raise ValueError(f"{FILE_NAME} is damaged: {error}; track the video again") from error
    check_format(stored.pop("format", np.array(1)).tolist(), FORMAT, path)
    missing = [name for name in (*_TEXTS, *ARRAY_FIELDS) if name not in stored]
    if missing:
        raise ValueError(f"{FILE_NAME} lacks {', '.join(missing)}")
    for name in _TEXTS:
        if stored[name].ndim or stored[name].dtype.kind != "U":
            raise ValueError(f"{name}: expected one text, got an array of {stored[name].dtype}")
    texts = {name: str(stored.pop(name)) for name in _TEXTS}
    acoustic = texts.pop("acoustic")
    clip = Clip(clip=path.parent.name, **texts, **stored)
    check_clip(clip)
    return clip, acoustic
