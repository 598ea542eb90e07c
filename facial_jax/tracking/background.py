"""What is behind a person who moves: the median of the frames in which it is seen."""

import numpy as np
from jaxtyping import Bool, UInt8
from scipy.ndimage import distance_transform_edt

from facial_jax.pictures import opencv

MIN_UNCOVERED = 4
"""Frames that must show a pixel's background: in one alone it may be the person's edge."""
_ROWS = 32
_STILL, _MOVING = 4.0, 12.0
"""Grey levels: frames of what stands still differ less from its median, of what moves more."""
_UPWARD, _NECK = 6, 1 / 8
"""So many times farther, what is below is believed like what is on other sides, up to this share of
the height."""
_LEVELS = 5
"""Of smoothness: by 1, 2, 4, … pixels."""


def uncovered_background(
    frames: UInt8[np.ndarray, "t h w 3"], *covered: Bool[np.ndarray, "t h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """The background: where it is never seen, a smooth continuation of what is around.

    Args:
        frames: of a camera that stands still.
        covered: where the person is in each of them; of several such, the first in which a pixel is
            uncovered in enough frames is believed.
    """
    background = np.zeros(frames.shape[1:], np.float32)
    known = np.zeros(frames.shape[1:3], bool)
    for hidden in covered:
        new = ~known & ((~hidden).sum(axis=0) >= min(MIN_UNCOVERED, len(frames)))
        for start in range(0, len(background), _ROWS):
            part = slice(start, start + _ROWS)
            if (at := new[part]).any():
                shown = frames[:, part][:, at].astype(np.float32)
                shown[hidden[:, part][:, at]] = np.nan
                background[part][at] = np.nanmedian(shown, axis=0)
        known |= new
    return np.clip(_filled(background, known), 0, 255).round().astype(np.uint8)


def still_background(
    frames: UInt8[np.ndarray, "t h w 3"],
    background: UInt8[np.ndarray, "h w 3"],
    covered: Bool[np.ndarray, "t h w"],
) -> UInt8[np.ndarray, "h w 3"]:
    """How sure it is that the background is what frames show wherever they do: 0 to 255.

    Args:
        frames: of a camera that stands still.
        background: what `uncovered_background` found in them.
        covered: where the person is in each of them.
    """
    off, times = np.zeros(background.shape[:2], np.float32), (~covered).sum(axis=0)
    for frame, hidden in zip(frames, covered, strict=True):
        apart = np.abs(frame.astype(np.float32) - background).mean(axis=-1)
        off += np.where(hidden, 0, apart)
    still = (_MOVING - off / np.maximum(times, 1)) / (_MOVING - _STILL)
    still = np.where(times >= MIN_UNCOVERED, np.clip(still, 0, 1), 0)
    return np.repeat((255 * still).round().astype(np.uint8)[..., None], 3, axis=-1)


def _filled(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The image, unknown pixels taken from the nearest known ones, the farther the smoother.

    Beside a neck lies neck: means of all that is around would mix the wall in. What is below counts
    as nearer than it is: necks go on upwards behind chins, and walls beside them as well.
    """
    cv2 = opencv()
    if known.all() or not known.any():
        return image
    distance, nearest = distance_transform_edt(~known, return_indices=True)
    row, column = np.indices(known.shape)
    below = np.minimum.accumulate(np.where(known, row, 2 * len(known))[::-1])[::-1]
    upward = (below - row < _UPWARD * distance) & (below - row < _NECK * len(known))
    filled = image[np.where(upward, below, nearest[0]), np.where(upward, column, nearest[1])]
    for level in range(_LEVELS):
        blurred = cv2.GaussianBlur(filled, (0, 0), 2**level)
        share = np.clip(distance / 2**level - 1, 0, 1)[..., None].astype(np.float32)
        filled = filled + share * (blurred - filled)
    return filled
