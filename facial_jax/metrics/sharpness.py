"""CPBD: how sharp a picture is, without another one to compare it with.

Cumulative probability of blur detection (Narvekar and Karam, 2011): the share of edge pixels whose
blur nobody would notice. In the field it is the usual measure of a talking face's sharpness.
"""

import numpy as np
from jaxtyping import Bool, Float

_BLOCK = 64
_EDGE_SHARE = 0.002  # of a block's pixels: with fewer edges, a block does not count
_BETA = 3.6
_JUST_NOTICEABLE = 0.63
# Widths in pixels at which blur is just noticed, below and above this contrast.
_CONTRAST, _WIDTH_LOW, _WIDTH_HIGH = 50, 5.0, 3.0
_LUMA = np.array([0.299, 0.587, 0.114])


def cpbd(image: Float[np.ndarray, "h w 3"]) -> float:
    """Share of vertical edges too sharp for their blur to be seen, 0 (blurred) to 1 (sharp).

    Edges are strong horizontal differences (Sobel) that are the largest among their neighbours; an
    edge's width is the way between the brightness's extremes on its two sides. Blocks of 64×64
    pixels count, those cut by the picture's border not. A picture without edges has 0.

    Args:
        image: RGB in [0, 1], at least 64×64 pixels.

    Raises:
        ValueError: the picture is smaller.
    """
    h, w = image.shape[:2]
    if min(h, w) < _BLOCK:
        raise ValueError(f"CPBD needs a picture of at least {_BLOCK}×{_BLOCK} pixels, got {h}×{w}")
    luma = 255.0 * (image.astype(np.float64) @ _LUMA)
    edges = vertical_edges(luma)
    widths = _edge_widths(luma, edges)
    noticed, total = 0, 0
    for top in range(0, h - _BLOCK + 1, _BLOCK):
        for left in range(0, w - _BLOCK + 1, _BLOCK):
            block = (slice(top, top + _BLOCK), slice(left, left + _BLOCK))
            if edges[block].sum() <= _EDGE_SHARE * _BLOCK**2:
                continue
            contrast = luma[block].max() - luma[block].min()
            limit = _WIDTH_LOW if contrast <= _CONTRAST else _WIDTH_HIGH
            probability = 1 - np.exp(-((widths[block][edges[block]] / limit) ** _BETA))
            # In whole percent, as the measure is defined over a histogram of them.
            noticed += int((np.round(probability, 2) > _JUST_NOTICEABLE).sum())
            total += probability.size
    return 1 - noticed / total if total else 0.0


def vertical_edges(luma: Float[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Thin vertical edges: horizontal Sobel responses above twice their root mean square."""
    padded = np.pad(luma, 1, mode="edge")
    across = padded[:, 2:] - padded[:, :-2]
    response = (across[:-2] + 2 * across[1:-1] + across[2:]) / 8
    squared = response**2
    largest = np.zeros(luma.shape, bool)
    inner = squared[:, 1:-1]
    largest[:, 1:-1] = (inner >= squared[:, :-2]) & (inner > squared[:, 2:])
    return largest & (squared > 4 * squared.mean())


def _edge_widths(luma: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """At each edge pixel, the pixels from the extreme on its left to that on its right."""
    difference = np.diff(luma, axis=1)
    widths = np.zeros(luma.shape)
    for row, column in zip(*np.nonzero(edges), strict=True):
        step = difference[row]
        rising = luma[row, column + 1] > luma[row, column - 1]
        sign = 1.0 if rising else -1.0
        left = column
        while left > 0 and sign * step[left - 1] > 0:
            left -= 1
        right = column
        while right < len(step) and sign * step[right] > 0:
            right += 1
        widths[row, column] = right - left
    return widths
