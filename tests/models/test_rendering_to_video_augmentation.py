"""What the network sees and what it is to make are turned, scaled and moved alike."""

import jax
import numpy as np

from facial_jax.models.rendering_to_video.augmentation import (
    MAX_SCALE,
    MAX_SHIFT,
    draw_warps,
    varied_batch,
)
from facial_jax.models.rendering_to_video.batch import VideoBatch, from_uint8, unchanged

SIZE = 33


def discs(count, warp):
    """A disc right of the middle, in all of a batch's pictures."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    disc = ((rows - 16) ** 2 + (columns - 24) ** 2 < 16).astype(np.uint8)[None, :, :, None] * 255
    disc = np.repeat(disc, count, axis=0)
    condition, frame = (np.repeat(disc, n, axis=-1) for n in (8, 3))
    return VideoBatch(condition, frame, disc.astype(np.float32), np.asarray(warp, np.float32))


def middle(picture):
    rows, columns = np.mgrid[:SIZE, :SIZE]
    return np.array([(picture * columns).sum(), (picture * rows).sum()]) / picture.sum() - 16


def varied(batch):
    condition, frame, weight = map(np.asarray, jax.jit(varied_batch)(batch))
    np.testing.assert_allclose(condition[..., 0], (frame[..., 0] + 1) / 2, atol=1e-5)
    np.testing.assert_allclose(condition[..., 0] * 255, weight[..., 0], atol=1e-3)
    return condition


def test_unchanged_pictures_are_those_of_the_batch():
    batch = discs(2, unchanged(2))
    np.testing.assert_allclose(varied(batch), from_uint8(batch)[0], atol=1e-6)


def test_pictures_are_taken_from_where_the_warp_says():
    quarter = [[0, -1, 0], [1, 0, 0]]  # a pixel shows what is a quarter of a turn after it
    mirrored = [[-1, 0, 0], [0, 1, 0]]
    moved = [[1, 0, 3], [0, 1, 0]]
    smaller = [[2, 0, 0], [0, 2, 0]]
    pictures = varied(discs(4, [quarter, mirrored, moved, smaller]))[..., 0]
    for picture, place in zip(pictures, [(0, -8), (-8, 0), (5, 0), (4, 0)], strict=True):
        np.testing.assert_allclose(middle(picture), place, atol=0.1)


def test_warps_are_drawn_within_their_bounds():
    warps = draw_warps(np.random.default_rng(0), 4000, 100, 1.0)
    scale = np.sqrt(np.abs(np.linalg.det(warps[:, :, :2])))
    assert np.exp(-MAX_SCALE) <= scale.min() < 0.95
    assert 1.05 < scale.max() <= np.exp(MAX_SCALE)
    assert 0.9 * 100 * MAX_SHIFT < np.abs(warps[:, :, 2]).max() <= 100 * MAX_SHIFT
    still = (warps == unchanged(1)).all(axis=(1, 2))
    assert 0.45 < still.mean() < 0.55


def test_without_strength_nothing_changes():
    warps = draw_warps(np.random.default_rng(0), 50, 100, 0.0)
    np.testing.assert_array_equal(warps, unchanged(50))
