"""One head for another: the generated one goes into a reference frame, the reference's comes out.

Above the chin a frame has the background where the reference's head was, and the generated head
over it, as far as its matte reaches. Below, where shoulders and clothes move in their own way, they
are the reference's; of the generated square its neck is seen, up to the square's edges, which fade.
"""

import numpy as np
from jaxtyping import Float, Shaped, UInt8

from facial_jax.blending import blend, blend_weights, blend_within
from facial_jax.head_matte import MATTE_SIDE, draw_matte, full_size, head_region, shell_mattes
from facial_jax.pictures import opencv, resize
from facial_jax.rendering.surroundings import Surroundings

MARGIN = 0.15
"""Of the square, in its sides: as far around it the reference's head is taken out."""
BODY_DM, KEPT_DM = (-0.6, -0.9), (-0.85, -1.1)
"""y, head space, between which the generated body begins to be seen, and the reference's begins to
be kept: beside the chin, and below it."""
NECK_DM = 1.2, 0.8
"""|x|, head space, between which the generated body begins to be seen: shoulders are the
reference's."""
DIFFERENT = 6.0, 24.0
"""Grey levels: of two pixels that differ by the first, either will do; by the second, they show
different things."""
_STEEP = 4.0
"""How much faster than the one head goes the other one comes: half of either would show the room
through a neck."""
_BLUR = 0.01
"""Of the difference, in sides of the square."""


class SquareSwap:
    """The whole generated square over the frame's, fading at its edges; nothing is taken out."""

    def __init__(self, size: tuple[int, int], crop: tuple[int, int, int]):
        left, top, side = crop
        self._square = (
            slice(top, min(top + side, size[0])),
            slice(left, min(left + side, size[1])),
        )
        self._side, self._weights = side, blend_weights(size, crop)

    def __call__(
        self, frames: UInt8[np.ndarray, "n h w 3"], heads: UInt8[np.ndarray, "n s s 3"], *_
    ) -> None:
        """Puts a head into each of the frames, in place."""
        for image, head in zip(frames, heads, strict=True):
            square = image[self._square]
            square[:] = blend(square, resize(head, self._side), self._weights)


class HeadSwap:
    """The generated head in place of the reference's, whose background is known."""

    def __init__(
        self,
        background: UInt8[np.ndarray, "h w 3"],
        crop: tuple[int, int, int],
        surroundings: Surroundings,
    ):
        size = background.shape[:2]
        self._surroundings = surroundings
        self._put_in, self._taken_out = shell_mattes(surroundings)
        self._around, self._square = (head_region(size, crop, m) for m in (MARGIN, 0.0))
        self._background = np.ascontiguousarray(self._around.of(background))
        self._weights = blend_weights(size, crop)
        # Nothing is taken out where the square fades out below, and from there on.
        (_, top), square = self._around.corner, self._square
        lower = slice(square.height // 2, square.height)
        self._above = np.zeros((self._around.height, 1), np.float32)
        self._above[: top + lower.start] = 1
        fading = self._weights[lower, square.width // 2]
        self._above[top:][lower, 0] = np.clip(1 - _STEEP * (1 - fading), 0, 1)
        self._small_background = self._small(self._square.of(background))

    def __call__(
        self,
        frames: UInt8[np.ndarray, "n h w 3"],
        heads: UInt8[np.ndarray, "n s s 3"],
        reference_pose: Float[np.ndarray, "n 6"],
        pose: Float[np.ndarray, "n 6"],
    ) -> None:
        """Puts a head into each of the frames, in place, and takes theirs out.

        Args:
            frames: of the reference.
            heads: generated, squares of any size.
            reference_pose: of the heads in the frames, rad and dm.
            pose: of the generated heads.
        """
        around, square = self._around, self._square
        old, at = draw_matte(self._taken_out, self._surroundings, reference_pose, around)
        removed = old * (1 - smooth_step(at[..., 1], *KEPT_DM))
        matte, at = draw_matte(self._put_in, self._surroundings, pose, square)
        neck = smooth_step(np.abs(at[..., 0]), *NECK_DM)
        body = neck * smooth_step(at[..., 1], *BODY_DM)
        for i, (image, head) in enumerate(zip(frames, heads, strict=True)):
            gone = full_size(removed[i], around) * self._above
            blend_within(around.of(image), self._background, gone)
            left, top = around.corner
            gone = self._small(gone[top : top + square.height, left : left + square.width])
            there, small = square.of(image), self._small(head)
            seen = np.maximum(matte[i], body[i] * self._is_body(small, self._small(there), gone))
            blend_within(there, resize(head, square.side), full_size(seen, square) * self._weights)

    def _small(self, picture: Shaped[np.ndarray, "h w *c"]) -> Shaped[np.ndarray, "mh mw *c"]:
        """The square as large as its mattes."""
        size = self._square.matte_size[::-1]
        cv2 = opencv()
        return cv2.resize(np.ascontiguousarray(picture), size, interpolation=cv2.INTER_AREA)

    def _is_body(
        self,
        head: UInt8[np.ndarray, "mh mw 3"],
        there: UInt8[np.ndarray, "mh mw 3"],
        gone: Float[np.ndarray, "mh mw"],
    ) -> Float[np.ndarray, "mh mw"]:
        """Where the generated square is not the background, and is unlike what is there or stands
        for what is gone, from 0 to 1."""
        missing = np.maximum(_different(head, there), np.minimum(_STEEP * gone, 1))
        return np.minimum(missing, _different(head, self._small_background))


def _different(
    one: UInt8[np.ndarray, "h w 3"], other: UInt8[np.ndarray, "h w 3"]
) -> Float[np.ndarray, "h w"]:
    """How much two pictures differ, smoothly from 0 to 1."""
    cv2 = opencv()
    red, green, blue = cv2.split(cv2.absdiff(one, other))
    apart = cv2.max(cv2.max(red, green), blue).astype(np.float32)
    return smooth_step(cv2.GaussianBlur(apart, (0, 0), _BLUR * MATTE_SIDE), *DIFFERENT)


def smooth_step(x: Float[np.ndarray, "*b"], first: float, last: float) -> Float[np.ndarray, "*b"]:
    """0 from `first` on one side, 1 from `last` on the other, smooth between them."""
    share = np.clip(np.float32((x - first) / (last - first)), 0, 1)
    return share * share * (3 - 2 * share)
