"""PSNR of a face, its mouth and its eyes alone."""

import numpy as np
from jaxtyping import Float, UInt8


def region_psnr(
    pictures: UInt8[np.ndarray, "t h w 3"],
    real: UInt8[np.ndarray, "t h w 3"],
    weight: Float[np.ndarray, "t h w"],
) -> float:
    """PSNR in dB over a region of all frames: of the weighted mean of the squared differences.

    Args:
        pictures: generated.
        real: the same moments.
        weight: how much a pixel belongs to the region, in [0, 1].

    Raises:
        ValueError: the region is empty.
    """
    total = float(weight.sum(dtype=np.float64))
    if total <= 0:
        raise ValueError("weight: expected a region of some pixels, got none")
    square = 0.0
    for picture, truth, share in zip(pictures, real, weight, strict=True):
        off = (picture.astype(np.float64) - truth) / 255
        square += float((share * (off**2).mean(axis=-1)).sum())
    return float(-10 * np.log10(max(square / total, 1e-10)))
