"""How colours change, found again in frames that were made to change."""

import numpy as np
import pytest

from facial_jax.rendering.color_changes import deviations
from facial_jax.tracking.color_changes import (
    PixelChanges,
    PixelRange,
    main_directions,
    regressors,
    spread,
    vertex_changes,
)


def given(count=400, seed=0):
    values = np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32) * (1, 0.1, 4)
    return regressors(values.astype(np.float32), *spread(values))


def test_pixels_that_change_with_the_pose_are_found():
    rows, rng = given(), np.random.default_rng(1)
    true = rng.normal(size=(4, 5, 6, 3)) * 10
    colors = rng.uniform(80, 120, (5, 6, 3)).astype(np.float32)
    frames = colors + np.einsum("tk,khwc->thwc", rows, true)
    changes, shown = PixelChanges(rows, colors.shape), PixelRange(colors)
    shows = np.ones((5, 6), bool)
    shows[0] = False
    for frame in frames:
        changes.add((frame - colors).astype(np.float32), shows)
        shown.add(frame, shows)
    found = changes.solve()
    # A ridge of a tenth leaves ten elevenths.
    np.testing.assert_allclose(found[1:, 1:], true[1:, 1:] / 1.1, atol=0.5)
    np.testing.assert_allclose(found[0, 1:], true[0, 1:], atol=0.5)
    np.testing.assert_array_equal(found[:, 0], 0)
    np.testing.assert_allclose(shown.both[0, 1:], np.minimum(colors, frames.min(axis=0))[1:], 1e-5)
    np.testing.assert_array_equal(shown.both[:, 0], np.stack([colors, colors])[:, 0])


def test_of_what_is_only_a_part_of_what_is_shown_the_whole_change_is_found():
    rows, rng = given(), np.random.default_rng(5)
    true = rng.normal(size=(4, 2, 3, 3)) * 10
    share = np.full((2, 3, 1), 0.5, np.float32)
    share[0] = 0
    changes = PixelChanges(rows, (2, 3, 3), share=share)
    for off in np.einsum("tk,khwc->thwc", rows, share * true):
        changes.add(off.astype(np.float32), np.ones((2, 3), bool))
    found = changes.solve()
    # A ridge of a tenth is four tenths of a quarter.
    np.testing.assert_allclose(found[1:, 1], true[1:, 1] / 1.4, atol=0.5)
    np.testing.assert_allclose(found[0, 1], true[0, 1], atol=0.5)
    np.testing.assert_array_equal(found[:, 0], 0)


def test_vertices_that_are_seen_seldom_change_little():
    rows, rng = given(), np.random.default_rng(2)
    true = rng.normal(size=(4, 7, 3)) * 0.1
    off = np.einsum("tk,knc->tnc", rows, true)
    seen = np.ones((len(rows), 7), bool)
    seen[20:, 0] = False
    seen[:, 1] = False
    off[~seen] = np.nan
    found = vertex_changes(rows, off, seen)
    np.testing.assert_allclose(found[1:, 2:], true[1:, 2:] / 1.5, atol=0.01)
    assert np.abs(found[1:, 0]).max() < 0.3 * np.abs(true[1:, 0]).max()
    np.testing.assert_array_equal(found[:, 1], 0)


def test_the_main_directions_are_those_in_which_expressions_differ():
    rng = np.random.default_rng(3)
    axes = np.linalg.qr(rng.normal(size=(64, 2)))[0].T
    expression = 5 + rng.normal(size=(100, 2)) * (3, 1) @ axes
    directions = main_directions(expression.astype(np.float32))
    assert directions.shape == (8, 64)
    np.testing.assert_allclose(np.abs(directions[:2] @ axes.T), np.eye(2), atol=0.1)
    np.testing.assert_allclose(directions @ directions.T, np.eye(8), atol=1e-4)


@pytest.mark.parametrize("count", [1, 3])
def test_few_frames_give_few_directions_and_no_deviation_of_zero(count):
    expression = np.zeros((count, 64), np.float32)
    directions = main_directions(expression)
    assert directions.shape == (min(count, 8), 64)
    mean, deviation = spread(expression @ directions.T)
    assert (deviation > 0).all()
    assert np.isfinite(deviations(expression @ directions.T, mean, deviation)).all()
