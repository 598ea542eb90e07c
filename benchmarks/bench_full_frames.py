"""How near whole frames with a generated head in them come to held-out real ones.

    python -m benchmarks.bench_full_frames --subject runs/subjects/anna --work \
        runs/personalize/anna --video anna.mp4

The last fifth of the clip is made again from its own attributes and put into whole frames of the
first four fifths, so that body and head are those of another moment. Two ways: the square blended
over the frame, and one head swapped for the other. Measured in a band around the real head (hair's
edge, and the room beside it) and in what is below the chin (neck, collar), both in the square and
a margin around it: PSNR, and the mean change from one frame to the next, grey levels, which the
real frames have, too. Also what a frame takes, without the head's making.
"""

import tempfile
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import tyro

from facial_jax.data.tracked_clip import FILE_NAME, load_tracked_clip
from facial_jax.full_frame import (
    full_frame_chunks,
    load_full_frame_reference,
    reference_length,
    save_full_frame_reference,
)
from facial_jax.head_matte import draw_matte, full_size, head_region, shell_mattes
from facial_jax.head_swap import KEPT_DM, MARGIN
from facial_jax.models.rendering_to_video.frames import frame_chunks
from facial_jax.personalization.clip import CROP, first_held_out, neutral_shape
from facial_jax.subject import load_subject
from facial_jax.tracking.frames import open_frames
from facial_jax.tracking.whole_background import video_background

CHUNK = 32
BAND = 0.06, 0.1
"""How far the band reaches into the head, and out of it, in sides of the square."""


@dataclass(frozen=True)
class Arguments:
    """What is measured."""

    subject: Path
    """The subject's folder."""
    work: Path
    """Its run's folder, as experiments.personalize leaves it."""
    video: Path
    """The video that it was learnt from; one shot."""


class Tracked:
    """A clip on disk as `video_background` reads a tracked video."""

    def __init__(self, folder: Path, video: Path, crop: tuple[int, int, int]):
        self.clip, _ = load_tracked_clip(folder / FILE_NAME)
        self.attributes, self.video, self.start = self.clip.attributes, open_frames(video), 0
        self.crop = SimpleNamespace(left=crop[0], top=crop[1], side=crop[2])
        self._path = folder / CROP

    def __len__(self):
        return len(self.clip)

    def frames(self, numbers):
        """The crop's frames with these numbers."""
        wanted = set(int(number) for number in numbers)
        with av.open(str(self._path)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number in wanted:
                    yield frame.to_ndarray(format="rgb24")


def regions(subject, crop, size, pose):
    """The band around the head, and what is below the chin, of the square's surroundings."""
    around = head_region(size, crop, MARGIN)
    drawn, points = draw_matte(
        shell_mattes(subject.appearance.surroundings)[0],
        subject.appearance.surroundings,
        pose,
        around,
    )
    inner, outer = (np.ones((2 * round(b * around.side) + 1,) * 2, np.uint8) for b in BAND)
    bands, below = [], []
    for matte, at in zip(drawn, points[..., 1], strict=True):
        head = (full_size(matte, around) > 0.5).astype(np.uint8)
        low = full_size(at, around) < KEPT_DM[0]
        bands.append((cv2.dilate(head, outer) > cv2.erode(head, inner)) & ~low)
        below.append(low)
    return around, {"around the head": np.stack(bands), "below the chin": np.stack(below)}


def psnr(made, real, where):
    """Mean of the frames' PSNR in dB, of the pixels that count."""
    errors = [
        np.square(np.float32(m) - r)[w].mean() for m, r, w in zip(made, real, where, strict=True)
    ]
    return float(np.mean(-10 * np.log10(np.array(errors) / 255**2)))


def change(frames, where):
    """Mean change from one frame to the next, grey levels, of the pixels that count in both."""
    pairs = zip(frames[:-1], frames[1:], where[:-1] & where[1:], strict=True)
    return float(np.mean([np.abs(np.float32(a) - b)[w].mean() for a, b, w in pairs]))


def main(arguments: Arguments) -> None:
    """Prints the clip's rows."""
    subject = load_subject(arguments.subject)
    folder = arguments.work / "tracked" / "clip"
    crop = load_full_frame_reference(folder).crop
    tracked = Tracked(folder, arguments.video, crop)
    clip, first = tracked.clip, first_held_out(tracked.clip)
    held_out = clip.attributes[first:]
    count = reference_length(first, clip.frame_rate)
    background = video_background(tracked, neutral_shape(clip.face), count=count)
    heads = list(frame_chunks(subject, held_out, chunk_frames=CHUNK))
    size = tuple(n // 2 * 2 for n in background.shape[:2])
    around, where = regions(subject, crop, size, held_out.pose)
    real = [around.of(frame).copy() for frame in islice(tracked.video.read(start=first), len(clip))]
    print(f"{arguments.work.name}, {len(held_out)} frames of {size[1]}×{size[0]}")
    changes = [f"{name} {change(real, w):.2f}" for name, w in where.items()]
    print(f"  real: change {', '.join(changes)}")
    with tempfile.TemporaryDirectory() as temporary:
        save_full_frame_reference(
            temporary,
            islice(tracked.video.read(), count),
            fps=clip.frame_rate,
            crop=crop,
            pose=clip.pose[:first],
            background=background,
        )
        reference = load_full_frame_reference(temporary)
        for name, surroundings in (("square", None), ("head", subject.appearance.surroundings)):
            made, began = [], time.process_time()
            for chunk in full_frame_chunks(
                reference,
                heads,
                pose=held_out.pose,
                fps=clip.frame_rate,
                surroundings=surroundings,
            ):
                made += [around.of(frame).copy() for frame in chunk]
            seconds = time.process_time() - began
            numbers = [
                f"{at} {psnr(made, real, w):.2f} dB, change {change(made, w):.2f}"
                for at, w in where.items()
            ]
            print(f"  {name}: {'; '.join(numbers)}; {1e3 * seconds / len(made):.1f} ms a frame")


if __name__ == "__main__":
    main(tyro.cli(Arguments))
