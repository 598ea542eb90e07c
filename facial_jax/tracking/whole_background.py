"""The room behind a tracked person's head, in whole frames."""

import numpy as np
from jaxtyping import Float, UInt8

from facial_jax.head_matte import draw_matte, full_size, head_region, shell_mattes
from facial_jax.head_swap import MARGIN
from facial_jax.pictures import resize
from facial_jax.tracking.background import uncovered_background
from facial_jax.tracking.surroundings import COVERED, surroundings_frames, video_surroundings
from facial_jax.tracking.tracker import TrackedVideo

SIDE = 192
"""Pixels of the square that the head's shell is found in."""


def video_background(
    tracked: TrackedVideo, shape: Float[np.ndarray, "n 3"], *, count: int
) -> UInt8[np.ndarray, "h w 3"]:
    """A whole frame of a tracked video without the head; far from the head it is the first frame.

    Args:
        tracked: one person in one shot.
        shape: the person's face without expression, decimetres.
        count: how many of the first frames are looked at, evenly spread.
    """
    numbers = surroundings_frames(min(count, len(tracked)))
    pose = tracked.attributes.pose[numbers]
    crops = [resize(frame, SIDE) for frame in tracked.frames(numbers)]
    around = video_surroundings(shape, pose, np.stack(crops))
    crop = tracked.crop
    region = head_region(tracked.video.size, (crop.left, crop.top, crop.side), MARGIN)
    first, seen, wanted = None, [], set(numbers.tolist())
    whole = tracked.video.read(start=tracked.start, stop=tracked.start + int(numbers[-1]) + 1)
    for number, frame in enumerate(whole):
        if number in wanted:
            first = frame if first is None else first
            seen.append(region.of(frame).copy())
    covered = []
    for matte in shell_mattes(around)[::-1]:  # the wider one first
        drawn, _ = draw_matte(matte, around, pose, region)
        covered.append(np.stack([full_size(m, region) > COVERED for m in drawn]))
    background = first.copy()
    region.of(background)[:] = uncovered_background(np.stack(seen), *covered)
    return background
