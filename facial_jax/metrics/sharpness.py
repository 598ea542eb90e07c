"""CPBD: how sharp a picture is, without another one to compare it with.

Cumulative probability of blur detection (Narvekar and Karam, 2011): the share of edge pixels whose
blur nobody would notice. In the field it is the usual measure of a talking face's sharpness, by the
Python package `cpbd`, whose values these are; if the package differs from the paper, so does
this.
"""

import numpy as np
import scipy.ndimage
from jaxtyping import Bool, Float

_BLOCK = 64
_EDGE_SHARE = 0.002  # of a block's pixels: with fewer edges, a block does not count
_BETA = 3.6
_JUST_NOTICEABLE = 0.63
# Widths in pixels at which blur is just noticed, below and above this contrast.
_CONTRAST, _WIDTH_LOW, _WIDTH_HIGH = 50, 5.0, 3.0
_MAX_RUN = 100
_STRONG, _WEAK = 0.2, 0.1  # grey levels: nearly every maximum of a slope makes a block one of edges
_LUMA = np.array([0.299, 0.587, 0.114])
_SOBEL = np.array([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])


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
    # Whole grey levels, as files have them: a run of one level ends an edge.
    luma = np.round(255.0 * (image.astype(np.float64) @ _LUMA))
    widths, corners = _edge_widths(luma), _slope_maxima(luma)
    noticed, total = 0, 0
    for top in range(0, h - _BLOCK + 1, _BLOCK):
        for left in range(0, w - _BLOCK + 1, _BLOCK):
            block = (slice(top, top + _BLOCK), slice(left, left + _BLOCK))
            if corners[block].sum() <= _EDGE_SHARE * _BLOCK**2:
                continue
            contrast = luma[block].max() - luma[block].min()
            limit = _WIDTH_LOW if contrast <= _CONTRAST else _WIDTH_HIGH
            edges = widths[block][widths[block] > 0]
            probability = 1 - np.exp(-((edges / limit) ** _BETA))
            # In whole percent, as the measure is defined over a histogram of them.
            noticed += int((np.round(probability, 2) > _JUST_NOTICEABLE).sum())
            total += probability.size
    return 1 - noticed / total if total else 0.0


def _edges(luma: Float[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Strong horizontal differences, larger than both neighbours' in a row or in a column."""
    squared = scipy.ndimage.convolve(luma, _SOBEL / 8, mode="reflect") ** 2
    # The package's threshold: it compares squares with a root.
    squared[squared <= 2 * np.sqrt(squared.mean())] = 0
    around = np.pad(squared, 1)
    middle = around[1:-1, 1:-1]
    in_row = (middle > around[1:-1, :-2]) & (middle > around[1:-1, 2:])
    in_column = (middle > around[:-2, 1:-1]) & (middle > around[2:, 1:-1])
    return in_row | in_column


def _edge_widths(luma: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Pixels from the extreme left of an edge to that on its right; 0 where there is no edge."""
    down, across = np.gradient(luma)
    angle = np.degrees(np.arctan2(down, across))
    # As the package has it: a slope straight up or down counts as one to the right.
    quarter = np.where(across == 0, 0, np.round(angle / 45))
    step = np.diff(luma, axis=1)
    edges = _edges(luma)
    widths = np.zeros(luma.shape)
    for sign, here in ((1, quarter == 0), (-1, np.abs(quarter) == 4)):
        rises = sign * step > 0
        before = np.pad(_runs(rises), ((0, 0), (1, 0)))  # steps that end at each pixel
        after = np.pad(_runs(rises[:, ::-1])[:, ::-1], ((0, 0), (0, 1)))
        inner = 2 + before[1:-1, :-2] + after[1:-1, 2:]
        chosen = (edges & here)[1:-1, 1:-1]
        widths[1:-1, 1:-1][chosen] = inner[chosen]
    return widths


def _runs(rises: Bool[np.ndarray, "h w"]) -> np.ndarray:
    """How many in a row, up to this one, rise."""
    index = np.arange(1, rises.shape[1] + 1)
    last_not = np.maximum.accumulate(np.where(rises, 0, index), axis=1)
    return np.minimum(index - last_not, _MAX_RUN)


def _slope_maxima(luma: Float[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Canny's edges (1986): maxima of the smoothed slope along it, joined to strong ones."""
    smooth = scipy.ndimage.gaussian_filter(luma, 1.0, mode="nearest")
    down, across = (scipy.ndimage.sobel(smooth, axis=axis) for axis in (0, 1))
    size = np.hypot(down, across)
    around = np.pad(size, 1)
    # The neighbours along the slope, of the eight.
    y, x = (np.rint(d / np.maximum(size, 1e-12)).astype(int) for d in (down, across))
    rows, columns = np.indices(luma.shape) + 1
    largest = (size >= around[rows + y, columns + x]) & (size >= around[rows - y, columns - x])
    weak = largest & (size >= _WEAK)
    weak[[0, -1]] = weak[:, [0, -1]] = False
    parts, count = scipy.ndimage.label(weak, np.ones((3, 3)))
    strong = np.zeros(count + 1, bool)
    strong[parts[weak & (size >= _STRONG)]] = True
    return weak & strong[parts]
