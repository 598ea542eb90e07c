"""Pictures as players show them: upright, with square pixels, in RGB, all of one size."""

from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import Colorspace
from jaxtyping import UInt8

from facial_jax.media.picture import Picture

# Beyond these a pixel's proportions are an error of the file.
_NARROWEST, _WIDEST = Fraction(1, 8), Fraction(8)
# Proportions that differ by less are the same: sizes are even numbers.
_SAME_PROPORTIONS = 0.02
_UNSPECIFIED = 2  # FFmpeg's number for a colour space that a file does not name
# Without a name, what is larger than standard definition is BT.709, as players take it.
_SD_WIDTH, _SD_HEIGHT = 1279, 576


def shown_size(picture: Picture) -> tuple[int, int]:
    """(height, width) in square pixels, upright."""
    frame = picture.frame
    width, height = frame.width, frame.height
    if picture.aspect != 1 and _NARROWEST <= picture.aspect <= _WIDEST:
        width = max(2, round(width * picture.aspect / 2) * 2)
    if picture.orientation.transposed:
        width, height = height, width
    return height, width


def fitted_size(size: tuple[int, int], max_side: int | None) -> tuple[int, int]:
    """(height, width) made smaller, so that the longer side has at most so many pixels."""
    if max_side is None or max(size) <= max_side:
        return size
    scale = max_side / max(size)
    height, width = (max(2, round(n * scale / 2) * 2) for n in size)
    return height, width


class Display:
    """From pictures to RGB arrays of one size; the last one is kept.

    Args:
        size: (height, width) of all arrays. Pictures of other proportions are shown whole, with
            black beside them.
    """

    def __init__(self, size: tuple[int, int]):
        self._size = size
        self._picture: Picture | None = None
        self._image: np.ndarray | None = None

    def __call__(self, picture: Picture) -> UInt8[np.ndarray, "h w 3"]:
        """The picture as it is shown."""
        if picture is not self._picture:
            self._picture, self._image = picture, self._show(picture)
        return self._image

    def _show(self, picture: Picture) -> np.ndarray:
        height, width = self._size
        own_height, own_width = shown_size(picture)
        proportions = own_width * height / (own_height * width)
        if abs(proportions - 1) < _SAME_PROPORTIONS:
            return _convert(picture, self._size)
        scale = min(height / own_height, width / own_width)
        inner = tuple(max(2, round(n * scale / 2) * 2) for n in (own_height, own_width))
        inner = min(inner[0], height), min(inner[1], width)
        image = np.zeros((height, width, 3), np.uint8)
        top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
        image[top : top + inner[0], left : left + inner[1]] = _convert(picture, inner)
        return image


def _convert(picture: Picture, size: tuple[int, int]) -> np.ndarray:
    """RGB of a size (height, width), upright."""
    frame, orientation = picture.frame, picture.orientation
    height, width = size[::-1] if orientation.transposed else size
    image = frame.to_ndarray(
        format="rgb24",
        width=width,
        height=height,
        interpolation="BILINEAR",
        src_colorspace=source_colorspace(frame),
    )
    return orientation.apply(image)


def source_colorspace(frame: av.VideoFrame) -> Colorspace | None:
    """What players take the colours for if the file does not say; None if it does."""
    if frame.colorspace != _UNSPECIFIED or "yuv" not in frame.format.name:
        return None
    large = frame.width > _SD_WIDTH or frame.height > _SD_HEIGHT
    return Colorspace.ITU709 if large else Colorspace.ITU601
