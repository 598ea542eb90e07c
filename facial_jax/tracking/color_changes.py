"""How the colours of a person's face and of what is around it change, found in their video.

Ridge regressions of what each frame shows on the frame's pose and expression, in standard
deviations: what changes with neither is left to the mean, and so is what little speaks for.
"""

import numpy as np
from jaxtyping import Bool, Float

from facial_jax.rendering.color_changes import DIRECTIONS, deviations

VERTEX_RIDGE = 0.5
"""Share of all frames by which a vertex's changes are held back: half, where all frames show it."""
PIXEL_RIDGE = 0.1
"""The same for the shell and the background, where there are only poses to regress on."""
_LEAST_RIDGE = 1e-3
"""The same for a pixel's mean: where nothing is the head's, nothing is told of it."""
_MEAN_RIDGE = 0.05
"""The same for a vertex's mean colour, which begins as a median."""
_MIN_DEVIATION = 1e-3
"""Radians, decimetres or units of expression: smaller motion is the tracker's noise."""


def main_directions(expression: Float[np.ndarray, "t 64"]) -> Float[np.ndarray, "e 64"]:
    """Up to eight orthonormal directions in which the expressions of a video differ most."""
    centred = expression - expression.mean(axis=0)
    return np.linalg.svd(centred, full_matrices=False)[2][:DIRECTIONS].astype(np.float32)


def spread(
    values: Float[np.ndarray, "t k"],
) -> tuple[Float[np.ndarray, "k"], Float[np.ndarray, "k"]]:
    """Mean and standard deviation, float32, neither of which is zero."""
    deviation = np.maximum(values.std(axis=0), _MIN_DEVIATION)
    return values.mean(axis=0).astype(np.float32), deviation.astype(np.float32)


def regressors(
    values: Float[np.ndarray, "t k"],
    mean: Float[np.ndarray, "k"],
    deviation: Float[np.ndarray, "k"],
) -> Float[np.ndarray, "t 1+k"]:
    """What is regressed on: one, and the deviations."""
    apart = np.asarray(deviations(values, mean, deviation), np.float32)
    return np.concatenate([np.ones((len(apart), 1), np.float32), apart], axis=1)


class PixelChanges:
    """How what a picture shows goes with some regressors, from one frame after another.

    A frame that does not show a pixel says that it does not change: few frames change little.
    """

    def __init__(
        self,
        given: Float[np.ndarray, "t k"],
        shape: tuple[int, int, int],
        *,
        share: Float[np.ndarray, "h w 1"] | None = None,
    ):
        """Of pictures of this shape; `share`: how much of what is shown is what is sought."""
        self._given, self._seen = given, 0
        self._share = np.ones((1, 1, 1), np.float32) if share is None else share
        self._sums = np.zeros((given.shape[1], *shape), np.float32)

    def add(self, off: Float[np.ndarray, "h w c"], shows: Bool[np.ndarray, "h w"]) -> None:
        """How far the next frame is from what is usual, and where it shows that."""
        off = off * shows[..., None]
        for total, share in zip(self._sums, self._given[self._seen], strict=True):
            total += share * off
        self._seen += 1

    def solve(self) -> Float[np.ndarray, "k h w c"]:
        """What is to be added to what is usual for each regressor."""
        held_back = np.full(self._given.shape[1], PIXEL_RIDGE * len(self._given), np.float32)
        held_back[0] = _LEAST_RIDGE * len(self._given)
        gram = np.square(self._share)[..., None] * (self._given.T @ self._given)
        sums = np.moveaxis(self._share * self._sums, 0, 2)
        return np.moveaxis(np.linalg.solve(gram + np.diag(held_back), sums), 2, 0)


class PixelRange:
    """The least and the most of what some frames show of each pixel."""

    def __init__(self, *values: Float[np.ndarray, "h w c"]):
        self.both = np.stack([np.min(values, axis=0), np.max(values, axis=0)])

    def add(self, values: np.ndarray, shows: Bool[np.ndarray, "h w"]) -> None:
        """The next frame's, and where it shows them."""
        at = shows[..., None]
        np.minimum(self.both[0], values, out=self.both[0], where=at)
        np.maximum(self.both[1], values, out=self.both[1], where=at)


def vertex_changes(
    given: Float[np.ndarray, "t k"],
    off: Float[np.ndarray, "t n c"],
    seen: Bool[np.ndarray, "t n"],
    *,
    held_back: float = VERTEX_RIDGE,
) -> Float[np.ndarray, "k n c"]:
    """Changes of vertices' colours, or of whatever points have, with some regressors.

    Args:
        given: the regressors, the first of which is one.
        off: what each frame shows, less the vertex's colour; any where it is not seen.
        seen: where it is.
        held_back: share of all frames by which changes are held back.
    """
    times = seen.astype(np.float32)
    ridge = np.full(given.shape[1], held_back * len(given), np.float32)
    ridge[0] = _MEAN_RIDGE * len(given)
    gram = np.einsum("tn,ti,tj->nij", times, given, given, optimize=True) + np.diag(ridge)
    sums = np.einsum("ti,tnc->nic", given, np.where(seen[..., None], off, 0), optimize=True)
    return np.moveaxis(np.linalg.solve(gram, sums), 0, 1).astype(np.float32)
