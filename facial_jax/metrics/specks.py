"""Specks and patterns: what a network adds that no picture of the person has."""

import numpy as np
from jaxtyping import Float, UInt8
from scipy.ndimage import uniform_filter

MAX_SHIFT = 2
"""Pixels: what is only so far from its place is no speck."""
SPECK = 50.0
"""Grey levels by which a speck is off, in one of its colours."""


def speck_share(
    pictures: UInt8[np.ndarray, "t h w 3"], real: UInt8[np.ndarray, "t h w 3"]
) -> Float[np.ndarray, "t"]:
    """Share of each frame's pixels that are like nothing within two pixels of the real frame.

    A pixel counts if each of the real frame's pixels up to two rows and columns away differs from
    it by more than 50 of 255 levels in a colour.
    """
    shares = []
    for picture, truth in zip(pictures, real, strict=True):
        height, width = truth.shape[:2]
        padded = np.pad(truth.astype(np.int16), [(MAX_SHIFT, MAX_SHIFT)] * 2 + [(0, 0)], "edge")
        apart = np.full((height, width), 255, np.int16)
        for down, across in np.ndindex(2 * MAX_SHIFT + 1, 2 * MAX_SHIFT + 1):
            near = padded[down : down + height, across : across + width]
            apart = np.minimum(apart, np.abs(picture - near).max(axis=-1))
        shares.append((apart > SPECK).mean())
    return np.array(shares)


def folding_energy(pictures: UInt8[np.ndarray, "t h w 3"]) -> Float[np.ndarray, "t"]:
    """Strength of the pattern of two by two pixels in each frame, in grey levels.

    Networks that compute on folded pixels leave it where they were not trained long enough. It is
    the root mean square of what alternates from pixel to pixel within 8 × 8 pixels, in a row, in a
    column or in both; noise and fine texture alternate too, so that real frames have some.
    """
    energies = []
    for picture in pictures.astype(np.float32).mean(axis=-1):
        rows, columns = np.indices(picture.shape)
        detail = picture - uniform_filter(picture, 2)
        energy = 0.0
        for sign in ((-1.0) ** rows, (-1.0) ** columns, (-1.0) ** (rows + columns)):
            energy += (uniform_filter(detail * sign, 8) ** 2).mean()
        energies.append(np.sqrt(energy))
    return np.array(energies)
