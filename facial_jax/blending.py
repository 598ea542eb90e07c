"""A square blended into a picture: how much of it is seen at each pixel, and the mixture."""

import numpy as np
from jaxtyping import Float, UInt8

from facial_jax.pictures import opencv

# Shares of the square's side over which the head fades in. Hair comes close to the upper edge; at
# the lower one are neck and shoulders, which are never quite where the reference's are.
FEATHER_TOP, FEATHER_SIDES, FEATHER_BOTTOM = 0.04, 0.1, 0.15


def blend_weights(size: tuple[int, int], crop: tuple[int, int, int]) -> Float[np.ndarray, "h w"]:
    """How much of the head is seen at each pixel of the square within the frame, 0 to 1.

    It rises smoothly from the square's edges inwards; not from an edge that is the picture's own,
    where there is nothing to blend with.

    Args:
        size: (height, width) of the frame in pixels.
        crop: (left, top, side) of the square.
    """
    left, top, side = crop
    rows = _ramp(top, side, size[0], FEATHER_TOP, FEATHER_BOTTOM)
    columns = _ramp(left, side, size[1], FEATHER_SIDES, FEATHER_SIDES)
    return rows[:, None] * columns


def _ramp(start: int, side: int, length: int, first: float, last: float) -> np.ndarray:
    """The weights along one axis of the picture, 0 to 1, at the square's pixels within it."""
    middle = (np.arange(side, dtype=np.float32) + 0.5) / side
    share = np.ones(side, np.float32)
    if start > 0:
        share = np.minimum(share, middle / first)
    if start + side < length:
        share = np.minimum(share, (1 - middle) / last)
    return (share * share * (3 - 2 * share))[: length - start]


def blend(
    behind: UInt8[np.ndarray, "h w 3"],
    head: UInt8[np.ndarray, "hh ww 3"],
    alpha: Float[np.ndarray, "h w"],
) -> UInt8[np.ndarray, "h w 3"]:
    """`head` over `behind`, `alpha` of it; what of the head lies beyond is left out."""
    head = np.ascontiguousarray(head[: behind.shape[0], : behind.shape[1]])
    return opencv().blendLinear(
        head, np.ascontiguousarray(behind), np.ascontiguousarray(alpha), 1 - alpha
    )


def blend_within(
    behind: UInt8[np.ndarray, "h w 3"],
    head: UInt8[np.ndarray, "hh ww 3"],
    alpha: Float[np.ndarray, "h w"],
) -> None:
    """`blend`, in place; only the part in which something of the head is seen is looked at."""
    cv2 = opencv()
    left, top, width, height = cv2.boundingRect((alpha > 0).astype(np.uint8))
    part = slice(top, top + height), slice(left, left + width)
    if width:
        behind[part] = blend(behind[part], head[part], alpha[part])
