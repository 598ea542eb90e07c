"""How the pictures of a file are turned before they are shown."""

from dataclasses import dataclass

import av
import numpy as np
from av.sidedata.sidedata import Type
from jaxtyping import UInt8


@dataclass(frozen=True)
class Orientation:
    """How stored pixels are turned: first transposed, then mirrored."""

    transposed: bool = False
    # rows become columns
    left_right: bool = False
    # then the columns' order is reversed
    upside_down: bool = False
    # then the rows'

    def apply(self, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h2 w2 3"]:
        """The image upright."""
        if self.transposed:
            image = image.swapaxes(0, 1)
        if self.left_right:
            image = image[:, ::-1]
        if self.upside_down:
            image = image[::-1]
        return np.ascontiguousarray(image)


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """What the file's display matrix asks for; turns in between are taken for the nearest."""
    try:
        matrix = np.frombuffer(bytes(frame.side_data[Type.DISPLAYMATRIX]), np.int32)
    except KeyError:
        return Orientation()
    # A point (x, y) is shown at (a·x + c·y, b·x + d·y).
    a, b, _, c, d = (float(v) for v in matrix[:5])
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, a < 0, d < 0)
    return Orientation(True, c < 0, b < 0)
