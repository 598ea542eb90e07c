"""What is behind a person who moves: the median of the frames in which it is seen."""

import numpy as np
from jaxtyping import Bool, UInt8

from facial_jax.pictures import opencv

MIN_UNCOVERED = 4
"""Frames that must show a pixel's background: in one alone it may be the person's edge."""
_ROWS = 32


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


def _filled(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The image, unknown pixels taken from ever coarser means of those around (pull and push)."""
    cv2 = opencv()
    levels = [(image * known[..., None], known.astype(np.float32))]
    while max(levels[-1][1].shape) > 1:
        size = tuple(-(-n // 2) for n in levels[-1][1].shape[::-1])
        levels.append(tuple(cv2.resize(x, size, interpolation=cv2.INTER_AREA) for x in levels[-1]))
    total, weight = levels.pop()
    filled = total.reshape(1, 1, 3) / max(float(weight.max()), 1e-6)
    for total, weight in reversed(levels):
        coarse = cv2.resize(filled, weight.shape[::-1], interpolation=cv2.INTER_LINEAR)
        own = weight[..., None]
        filled = total + (1 - own) * coarse.reshape(total.shape)
    return filled
