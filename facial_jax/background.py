"""The person alone, before one colour.

Where the person is, a segmentation network says, coarsely; where hair and shoulders end, the
picture does: the mask is refined with a guided filter (He, Sun and Tang, TPAMI 2013). What shines
through at the edge is the old background's, so the person's colours there are those that the
mixture leaves when it is taken out.
"""

import re
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Bool, Float, UInt8

from facial_jax.pictures import opencv

FindPerson = Callable[[UInt8[np.ndarray, "h w 3"]], Float[np.ndarray, "h w"]]
"""From a picture to how sure it is, from 0 to 1, that a pixel is the person's."""
_SIDE = 256
"""Pixels of the longer side at which what varies slowly is found (He and Sun, 2015)."""
_RADIUS, _EPSILON = 5, 1e-4
"""The guided filter's: in these pixels, and in squares of colours in [0, 1]."""
_SURE = 0.1, 0.9
"""The filtered mask up to which, and from which on, it is taken at its word."""
_OUTSIDE, _INSIDE = 0.01, 0.03
"""How far from the coarse mask's edge nothing is the person's, and all is; in sides."""
_HOLE = 1e-3
"""Share of the picture: a smaller hole in the person is a bead or a button."""
_BLUR = 3.0
"""How far, in these pixels, what is surely the person or the background is looked for."""
_TINY = 1e-4


def parse_color(text: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255, of "#rrggbb".

    Raises:
        ValueError: it is no such colour.
    """
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        raise ValueError(f"background: expected a colour like #00b140, got {text!r}")
    return tuple(int(text[i : i + 2], 16) for i in (1, 3, 5))


def before_color(
    chunks: Iterator[UInt8[np.ndarray, "n h w 3"]],
    color: tuple[int, int, int],
    find_person: FindPerson,
) -> Iterator[UInt8[np.ndarray, "n h w 3"]]:
    """The same frames with nothing but the person, before one colour."""
    for frames in chunks:
        yield np.stack([_before(frame, color, find_person(frame)) for frame in frames])


def _before(frame, color, person):
    picture = frame.astype(np.float32) / 255
    alpha = refine_mask(picture, person)
    result, edge = frame.copy(), (alpha > 0) & (alpha < 1)
    result[alpha <= 0] = color
    share = alpha[edge][:, None]
    mixed = share * own_colors(picture, alpha, edge) * 255 + (1 - share) * np.float32(color)
    result[edge] = np.rint(np.clip(mixed, 0, 255)).astype(np.uint8)
    return result


def refine_mask(
    picture: Float[np.ndarray, "h w 3"], person: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w"]:
    """Opacity of the person, in [0, 1]: the mask's largest piece, its edges the picture's.

    Args:
        picture: RGB in [0, 1].
        person: the coarse mask.
    """
    cv2 = opencv()
    count, pieces, sizes, _ = cv2.connectedComponentsWithStats((person > 0.5).astype(np.uint8))
    if count < 2:
        return np.zeros_like(person)
    largest = pieces == 1 + int(sizes[1:, cv2.CC_STAT_AREA].argmax())
    _, pieces, sizes, _ = cv2.connectedComponentsWithStats((~largest).astype(np.uint8))
    holes = ~largest & (sizes[:, cv2.CC_STAT_AREA] < _HOLE * largest.size)[pieces]
    largest, person = largest | holes, np.where(holes, np.float32(1), person)
    outside, inside = (
        cv2.distanceTransform(far.astype(np.uint8), cv2.DIST_L2, 3) / max(person.shape)
        for far in (~largest, largest)
    )
    edge = (outside < _OUTSIDE) & (inside < _INSIDE)
    low, high = _SURE
    slope, offset = _guided(picture, np.where(outside < _OUTSIDE, person, 0))
    fine = (slope[edge] * picture[edge]).sum(axis=-1) + offset[edge]
    alpha = largest.astype(np.float32)
    alpha[edge] = np.clip((fine - low) / (high - low), 0, 1)
    return alpha


def _guided(picture, mask):
    """Slope (h, w, 3) and offset (h, w): of all masks that are locally linear in the picture's
    colours, slope · colour + offset is the nearest to this one."""
    cv2, window = opencv(), (2 * _RADIUS + 1, 2 * _RADIUS + 1)
    small, small_mask = _small(picture), _small(mask)

    def mean(values):
        return cv2.boxFilter(values, -1, window, borderType=cv2.BORDER_REFLECT)

    about, mask_mean = mean(small), mean(small_mask)
    off = mean(small * small_mask[..., None]) - about * mask_mean[..., None]
    products = (small[..., :, None] * small[..., None, :]).reshape(*small_mask.shape, 9)
    products = np.concatenate([mean(products[..., i : i + 3]) for i in (0, 3, 6)], axis=-1)
    covariance = products.reshape(*small_mask.shape, 3, 3)
    covariance = covariance - about[..., :, None] * about[..., None, :]
    slope = np.linalg.solve(covariance + _EPSILON * np.eye(3, dtype=np.float32), off[..., None])
    slope = np.ascontiguousarray(slope[..., 0])
    offset = mask_mean - (slope * about).sum(axis=-1)
    return tuple(_large(mean(x), mask.shape) for x in (slope, offset))


def own_colors(
    picture: Float[np.ndarray, "h w 3"],
    alpha: Float[np.ndarray, "h w"],
    edge: Bool[np.ndarray, "h w"],
) -> Float[np.ndarray, "n 3"]:
    """The person's colours at the pixels of the edge, where the background shines through them.

    At a pixel of opacity α, the colour F in C = α F + (1 − α) B, as far as α says anything of it,
    and that of what is surely the person beside it; B is what is surely the background beside it.
    """
    cv2 = opencv()
    small, small_alpha = _small(picture), _small(alpha)

    def beside(sure):
        weight = sure.astype(np.float32)
        total = cv2.GaussianBlur(small * weight[..., None], (0, 0), _BLUR)
        weight = cv2.GaussianBlur(weight, (0, 0), _BLUR)[..., None]
        return _large(total / (weight + _TINY), alpha.shape)[edge]

    share = alpha[edge][:, None]
    background, person = beside(small_alpha <= 0), beside(small_alpha >= 1)
    own = (picture[edge] - (1 - share) * background) / np.maximum(share, 0.2)
    return share * np.clip(own, 0, 1) + (1 - share) * person


def _small(picture):
    cv2, (height, width) = opencv(), picture.shape[:2]
    scale = min(1.0, _SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _large(picture, size):
    cv2 = opencv()
    return cv2.resize(picture, size[::-1], interpolation=cv2.INTER_LINEAR)
