"""What is behind a person who moves: the median of the frames in which it is seen."""

import numpy as np
from jaxtyping import Bool, UInt8

from facial_jax.pictures import opencv

MIN_UNCOVERED = 2
"""Frames that must show a pixel's background: one alone may be the person's edge."""
_ROWS = 32


def uncovered_background(
    frames: UInt8[np.ndarray, "t h w 3"], covered: Bool[np.ndarray, "t h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """The background: where it is never seen, a smooth continuation of what is around.

    Args:
        frames: of a camera that stands still.
        covered: where the person is in each of them.
    """
    known = (~covered).sum(axis=0) >= min(MIN_UNCOVERED, len(frames))
    background = np.zeros(frames.shape[1:], np.float32)
    for start in range(0, len(background), _ROWS):
        part = slice(start, start + _ROWS)
        shown = np.where(covered[:, part, :, None], np.float32(np.nan), frames[:, part])
        shown[:, ~known[part]] = 0
        background[part] = np.nanmedian(shown, axis=0)
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
