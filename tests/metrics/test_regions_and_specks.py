"""PSNR of regions, and specks and patterns, on pictures made for it."""

import numpy as np
import pytest

from facial_jax.metrics.regions import region_psnr
from facial_jax.metrics.specks import folding_energy, speck_share


@pytest.fixture
def real():
    rng = np.random.default_rng(0)
    smooth = rng.uniform(60, 180, (2, 6, 6, 3))
    return np.repeat(np.repeat(smooth, 8, axis=1), 8, axis=2).astype(np.uint8)


def test_only_the_region_counts(real):
    weight = np.zeros(real.shape[:3])
    weight[:, 10:20, 10:20] = 1
    made = real.copy()
    made[:, 30:] = 0
    assert region_psnr(made, real, weight) == pytest.approx(100)
    made[:, 10:20, 10:20] += 51  # a fifth of the range
    assert region_psnr(made, real, weight) == pytest.approx(-20 * np.log10(0.2), abs=1e-6)
    with pytest.raises(ValueError, match="region"):
        region_psnr(made, real, 0 * weight)


def test_specks_are_counted_and_shifts_are_not(real):
    assert speck_share(real, real).max() == 0
    shifted = np.roll(real, (2, -1), axis=(1, 2))
    assert speck_share(shifted[:, 4:-4, 4:-4], real[:, 4:-4, 4:-4]).max() == 0
    made = real.copy()
    made[0, 5, 7] = made[0, 20, 30] = 255
    np.testing.assert_allclose(speck_share(made, real), [2 / 48**2, 0])


def test_a_pattern_of_two_by_two_pixels_has_its_strength(real):
    rows, columns = np.indices(real.shape[1:3])
    pattern = np.where((rows + columns) % 2, 10, -10)[None, :, :, None]
    made = (real.astype(int) + pattern).astype(np.uint8)
    assert folding_energy(made).min() > 5
    assert folding_energy(real).max() < 0.5 * folding_energy(made).min()
    stripes = (real.astype(int) + np.where(rows % 2, 10, -10)[None, :, :, None]).astype(np.uint8)
    assert folding_energy(stripes).min() > 5
