"""Full frames: the generated head back in the reference video, with its background and body.

Beside a subject's networks may lie `full_frame.mp4`: whole frames of the reference video, with the
square that the head was cut from and the head's pose in each, and a last one without the head. A
new video runs through them, forwards and backwards (`facial_jax.reference_path`); the reference's
head is taken out of them and the generated one put in (`facial_jax.head_swap`).
"""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from jaxtyping import Float, UInt8

from facial_jax.attributes import POSE_SIZE
from facial_jax.files import whole_or_nothing
from facial_jax.head_swap import HeadSwap, SquareSwap
from facial_jax.media.colors import bt709_frame, tag_bt709
from facial_jax.media.container import open_media, output_url
from facial_jax.reference_path import reference_path
from facial_jax.rendering.surroundings import Surroundings

FILE_NAME = "full_frame.mp4"
MAX_REFERENCE_S = 20
_GOP_FRAMES = 16  # from one key frame to the next: what is decoded, and held, at a time
_OPTIONS = {
    "crf": "16",
    "preset": "veryfast",
    "x264-params": f"keyint={_GOP_FRAMES}:min-keyint={_GOP_FRAMES}:scenecut=0:bframes=0",
}


@dataclass(frozen=True)
class FullFrameReference:
    """The reference video of a subject, as `load_full_frame_reference` found it."""

    path: Path
    # the file
    fps: Fraction
    # its frames per second
    pose: Float[np.ndarray, "n 6"]
    # of the head in each of its frames, rad and dm
    size: tuple[int, int]
    # their (height, width) in pixels, even numbers
    crop: tuple[int, int, int]
    # (left, top, side) in pixels of the square around the head; of a picture with an odd height or
    # width it may reach one pixel over the edge, as the frames lack their last row or column
    has_background: bool
    # whether one more frame follows, in which there is no head


def save_full_frame_reference(
    folder: str | os.PathLike,
    frames: Iterable[UInt8[np.ndarray, "h w 3"]],
    *,
    fps: Fraction,
    crop: tuple[int, int, int],
    pose: Float[np.ndarray, "t 6"],
    background: UInt8[np.ndarray, "bh bw 3"] | None = None,
) -> Path:
    """Writes `full_frame.mp4` into a subject's folder, whole or not at all; replaces an old one.

    Independent of `save_subject`, before or after it. From a tracked video:

        part = tracked.video.read(start=tracked.start, stop=tracked.start + len(tracked))
        crop = (tracked.crop.left, tracked.crop.top, tracked.crop.side)
        pose = tracked.attributes.pose
        save_full_frame_reference(folder, part, fps=tracked.fps, crop=crop, pose=pose)

    Args:
        folder: the subject's folder, which must exist.
        frames: the whole frames of one shot, upright, RGB; the first 20 s are taken, one frame is
            enough.
        fps: how many there are per second.
        crop: (left, top, side) of the square that the frames of the rendering-to-video network
            were cut from, in pixels of these frames.
        pose: of the head in each of the frames, as in `Attributes`; more are no mistake.
        background: what is seen behind the head, from `facial_jax.tracking.background`; without it
            the reference's head is never taken out.

    Returns:
        The file's path.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: there is no frame, their sizes differ (the background's, too), or the square is
            not within them, or there are more frames than poses.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"folder: the subject's folder {folder} does not exist")
    limit = reference_length(len(pose) + 1, fps)
    frames = islice(iter(frames), limit)
    first = next(frames, None)
    if first is None:
        raise ValueError("frames: expected at least one frame, got none")
    height, width, _ = first.shape
    left, top, side = crop
    if not _is_within(crop, (height, width)):
        raise ValueError(
            f"crop: expected a square within the {width}×{height} pixels of the frames, got left "
            f"{left}, top {top}, side {side}; give it in pixels of these frames"
        )
    if background is not None and background.shape != first.shape:
        raise ValueError(
            f"background: expected {width}×{height} pixels as the frames, got "
            f"{background.shape[1]}×{background.shape[0]}"
        )
    path, reformatter = folder / FILE_NAME, VideoReformatter()
    with whole_or_nothing(path) as partial, av.open(output_url(partial), "w") as container:
        container.metadata["comment"] = json.dumps(
            {
                "crop": [int(x) for x in crop],
                "pose": np.asarray(pose)[:limit].round(4).tolist(),
                "background": background is not None,
            }
        )
        stream = container.add_stream("libx264", rate=fps, options=_OPTIONS)
        stream.width, stream.height = width // 2 * 2, height // 2 * 2
        stream.pix_fmt = "yuv420p"
        tag_bt709(stream.codec_context)
        stream.codec_context.time_base = 1 / fps

        def encode(index, image):
            frame = bt709_frame(image[: stream.height, : stream.width], reformatter)
            frame.pts, frame.time_base = index, 1 / fps
            container.mux(stream.encode(frame))

        for index, image in enumerate(chain([first], frames)):
            if image.shape != first.shape:
                raise ValueError(
                    f"frames: expected all of one size, got {width}×{height} first and "
                    f"{image.shape[1]}×{image.shape[0]} for frame {index}"
                )
            if index >= len(pose):
                raise ValueError(f"pose: expected one for each frame, got only {len(pose)}")
            encode(index, image)
        if background is not None:
            encode(index + 1, background)
        container.mux(stream.encode(None))
    return path


def reference_length(count: int, fps: Fraction) -> int:
    """How many of so many frames are kept."""
    return min(count, max(1, int(MAX_REFERENCE_S * fps)))


def load_full_frame_reference(folder: str | os.PathLike) -> FullFrameReference | None:
    """What is in a subject's folder; None if it has no full frames.

    Raises:
        ValueError: the file is damaged.
    """
    path = Path(folder) / FILE_NAME
    if not path.is_file():
        return None
    try:
        with open_media(path, "video") as container:
            stream = container.streams.video[0]
            fields = json.loads(container.metadata["comment"])
            left, top, side = fields["crop"]
            background = bool(fields.get("background", False))
            count = stream.frames - background
            pose = np.array(fields["pose"], np.float32)[:count]
            reference = FullFrameReference(
                path=path,
                fps=Fraction(stream.average_rate),
                pose=pose,
                size=(stream.height, stream.width),
                crop=(int(left), int(top), int(side)),
                has_background=background,
            )
        if pose.ndim != 2 or pose.shape[1] != POSE_SIZE or not 1 <= len(pose) == count:
            raise ValueError(f"poses {pose.shape} for {count} frames")
        if not np.isfinite(pose).all():
            raise ValueError("poses that are not finite")
        # An odd last row or column of the frames was left out.
        if not _is_within(reference.crop, (stream.height + 1, stream.width + 1)):
            raise ValueError(f"a crop {reference.crop} of {stream.width}×{stream.height} pixels")
    except (av.error.FFmpegError, OSError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(
            f"the full frames {path} are damaged ({error!r}); save them again with "
            "facial_jax.full_frame.save_full_frame_reference, or remove the file to do without"
        ) from error
    return reference


def _is_within(crop: tuple[int, int, int], size: tuple[int, int]) -> bool:
    """Whether a square (left, top, side) lies within an image of this (height, width)."""
    left, top, side = crop
    return min(left, top) >= 0 and side >= 2 and left + side <= size[1] and top + side <= size[0]


def full_frame_chunks(
    reference: FullFrameReference,
    heads: Iterable[UInt8[np.ndarray, "n s s 3"]],
    *,
    pose: Float[np.ndarray, "t 6"],
    fps: Fraction,
    surroundings: Surroundings | None = None,
) -> Iterator[UInt8[np.ndarray, "n h w 3"]]:
    """The generated heads in the reference's frames, a chunk of frames for each chunk of heads.

    Memory grows neither with the number of heads nor with the reference's length.

    Args:
        reference: background and body, and where the head belongs.
        heads: chunks of generated frames, uint8 RGB squares of any size.
        pose: of all the heads, rad and dm.
        fps: frames per second of the heads.
        surroundings: the person's, whose shell tells what is head; without it, or if the reference
            has no background, the whole square is blended into the frames.
    """
    pose, done = np.asarray(pose), 0
    path = reference_path(reference.pose, reference.fps, pose, fps)
    with _FrameReader(reference) as reader:
        if reference.has_background and surroundings is not None:
            background = reader.read(len(reference.pose))
            swap = HeadSwap(background, reference.crop, surroundings)
        else:
            swap = SquareSwap(reference.size, reference.crop)
        for chunk in heads:
            part = slice(done, done + len(chunk))
            result = np.empty((len(chunk), *reference.size, 3), np.uint8)
            for image, index in zip(result, path[part], strict=True):
                image[:] = reader.read(int(index))
            swap(result, chunk, reference.pose[path[part]], pose[part])
            done += len(chunk)
            yield result


class _FrameReader:
    """Reads the reference's frames in any order, at its fastest those near each other.

    The frames from one key frame to the next are decoded together and kept, no others.
    """

    def __init__(self, reference: FullFrameReference):
        self._reference = reference
        self._closing = ExitStack()
        self.kept: dict[int, av.VideoFrame] = {}

    def __enter__(self) -> "_FrameReader":
        self._container = self._closing.enter_context(open_media(self._reference.path, "video"))
        self._stream = self._container.streams.video[0]
        return self

    def __exit__(self, *_) -> None:
        self._closing.close()

    def read(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """Frame `index`, RGB."""
        if index not in self.kept:
            self._decode(index // _GOP_FRAMES * _GOP_FRAMES)
        return self.kept[index].to_ndarray(format="rgb24")

    def _decode(self, first: int) -> None:
        fps, stream = self._reference.fps, self._stream
        count = len(self._reference.pose) + self._reference.has_background
        stop = min(first + _GOP_FRAMES, count)
        self.kept.clear()
        self._container.seek(round(first / fps / stream.time_base), stream=stream)
        for frame in self._container.decode(stream):
            number = round(frame.pts * frame.time_base * fps)
            if first <= number < stop:
                self.kept[number] = frame
            if number >= stop - 1:
                return
