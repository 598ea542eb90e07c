"""Cuts between shots, and whether the camera moves, from small grey pictures of the frames."""

import numpy as np
from jaxtyping import Float, UInt8

SIZE = (36, 64)
CUT_DIFFERENCE = 0.12  # mean change of grey, of its whole range
CUT_RATIO = 6.0  # times as much as usually
_MEMORY = 0.9
_STILL = 1e-3
_NEARLY_ALL = 0.9


class ShotDetector:
    """Sees the frames one after the other and says where a new shot begins."""

    def __init__(self):
        self._last: np.ndarray | None = None
        self._usual = 0.02
        self.changes: list[float] = []
        # mean change of grey from frame to frame, in [0, 1]
        self.border_changes: list[float] = []
        # the same for the picture's upper corners, where there is no head

    def is_cut(self, image: UInt8[np.ndarray, "h w 3"]) -> bool:
        """Whether this frame begins a new shot: far more changes than usually between frames."""
        grey = small_grey(image)
        last, self._last = self._last, grey
        if last is None:
            return False
        difference = np.abs(grey - last)
        change = float(difference.mean())
        self.changes.append(change)
        corners = np.concatenate([difference[:12, :8], difference[:12, -8:]], axis=1)
        self.border_changes.append(float(corners.mean()))
        cut = change > max(CUT_DIFFERENCE, CUT_RATIO * self._usual)
        if not cut:
            self._usual = _MEMORY * self._usual + (1 - _MEMORY) * change
        return cut


def small_grey(image: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "36 64"]:
    """The picture in grey at 36 × 64, each pixel the mean of a few samples, in [0, 1]."""
    rows = np.linspace(0, image.shape[0] - 1, 2 * SIZE[0]).astype(int)
    columns = np.linspace(0, image.shape[1] - 1, 2 * SIZE[1]).astype(int)
    samples = image[rows[:, None], columns[None]].astype(np.float32).mean(axis=-1) / 255
    return samples.reshape(SIZE[0], 2, SIZE[1], 2).mean(axis=(1, 3)).astype(np.float32)


def is_still(changes: Float[np.ndarray, "c"]) -> bool:
    """Whether nothing moves from frame to frame; of one frame nothing does.

    A few changes are the encoder's, which draws a still picture better as time goes by.
    """
    return len(changes) == 0 or float(np.quantile(changes, _NEARLY_ALL)) < _STILL
