"""Colours that change with pose and expression."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.attributes import Attributes
from facial_jax.rendering.color_changes import (
    MAX_DEVIATIONS,
    SurroundingsChanges,
    TextureChanges,
    changed_albedo,
    changed_colors,
    changes_arrays,
    deviations,
    surroundings_changes_from_arrays,
    texture_changes_from_arrays,
)

VERTICES = 5


def texture_changes(seed=0):
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.normal(size=(64, 2)))[0].T
    return TextureChanges(
        directions=directions.astype(np.float32),
        mean=rng.normal(size=8).astype(np.float32),
        deviation=rng.uniform(0.5, 2, 8).astype(np.float32),
        changes=rng.normal(size=(8, VERTICES, 3)).astype(np.float32),
    )


def surroundings_changes(seed=0):
    rng = np.random.default_rng(seed)
    return SurroundingsChanges(
        mean=np.zeros(6, np.float32),
        deviation=np.ones(6, np.float32),
        texture=rng.integers(-20, 20, (6, 4, 3, 4)).astype(np.int8),
        background=rng.integers(-20, 20, (6, 8, 8, 3)).astype(np.int8),
        texture_range=np.stack([np.zeros((4, 3, 4)), np.full((4, 3, 4), 255)]).astype(np.uint8),
        background_range=np.stack([np.zeros((8, 8, 3)), np.full((8, 8, 3), 255)]).astype(np.uint8),
    )


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_the_albedo_is_the_mean_one_and_a_share_of_each_change(batch):
    rng, changes = np.random.default_rng(1), texture_changes()
    attributes = Attributes(
        expression=rng.normal(size=(*batch, 64)).astype(np.float32),
        pose=rng.normal(size=(*batch, 6)).astype(np.float32),
        blink=np.zeros(batch, np.float32),
    )
    albedo = rng.uniform(size=(VERTICES, 3)).astype(np.float32)
    changed = jax.jit(changed_albedo)(jnp.asarray(albedo), changes, attributes)
    assert changed.shape == (*batch, VERTICES, 3)
    values = np.concatenate([attributes.pose, attributes.expression @ changes.directions.T], -1)
    apart = np.clip((values - changes.mean) / changes.deviation, -MAX_DEVIATIONS, MAX_DEVIATIONS)
    expected = albedo + np.einsum("...k,knc->...nc", apart, changes.changes)
    np.testing.assert_allclose(changed, expected, atol=1e-5)


def test_closed_eyes_have_colours_of_their_own():
    changes = texture_changes()
    closed = np.random.default_rng(2).normal(size=(VERTICES, 3)).astype(np.float32)
    blink = np.array([0, 2.5, 5, 9], np.float32)
    attributes = Attributes(np.zeros((4, 64)), np.zeros((4, 6)), blink)
    albedo = jnp.zeros((VERTICES, 3))
    known = changes.replace(closed=closed)
    added = changed_albedo(albedo, known, attributes) - changed_albedo(albedo, changes, attributes)
    share = np.array([0, 0.5, 1, 1])[:, None, None]
    np.testing.assert_allclose(added, share * closed, atol=1e-5)


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_lids_of_closed_eyes_do_not_change_with_the_others(batch):
    rng, changes = np.random.default_rng(3), texture_changes()
    lids = np.array([0, 1, 1, 0, 0], np.float32)
    blink = rng.uniform(0, 5, batch).astype(np.float32)
    attributes = Attributes(
        expression=rng.normal(size=(*batch, 64)).astype(np.float32),
        pose=rng.normal(size=(*batch, 6)).astype(np.float32),
        blink=blink,
    )
    albedo = jnp.zeros((VERTICES, 3))
    changed = np.asarray(changed_albedo(albedo, changes, attributes))
    held = np.asarray(changed_albedo(albedo, changes.replace(lids=lids), attributes))
    kept = np.where(lids > 0, 1 - blink[..., None] / 5, 1)
    np.testing.assert_allclose(held, kept[..., None] * changed, atol=1e-5)


def test_beyond_what_was_seen_nothing_changes_further():
    far = deviations(jnp.array([3.0, -90.0, 0.5]), jnp.zeros(3), jnp.ones(3))
    np.testing.assert_array_equal(far, [MAX_DEVIATIONS, -MAX_DEVIATIONS, 0.5])


def test_colours_stay_within_what_was_seen():
    colors = jnp.full((1, 2, 3), 100, jnp.uint8)
    changes = jnp.full((6, 1, 2, 3), 10, jnp.int8)
    within = jnp.array([[[[90] * 3, [0] * 3]], [[[120] * 3, [255] * 3]]], jnp.uint8)
    apart = jnp.array([2.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(changed_colors(colors, changes, within, apart)[0, :, 0], [120, 130])
    np.testing.assert_allclose(changed_colors(colors, changes, within, -apart)[0, :, 0], [90, 70])


def test_files_give_back_what_they_were_given():
    for closed, lids in (
        (None, None),
        (np.ones((VERTICES, 3), np.float32), None),
        (np.ones((VERTICES, 3), np.float32), np.ones(VERTICES, np.float32)),
    ):
        changes = texture_changes().replace(closed=closed, lids=lids)
        back = texture_changes_from_arrays(changes_arrays(changes))
        assert (back.closed is None) == (closed is None)
        assert (back.lids is None) == (lids is None)
        for name, array in changes_arrays(back).items():
            np.testing.assert_array_equal(array, getattr(changes, name))
    changes = surroundings_changes()
    back = surroundings_changes_from_arrays(changes_arrays(changes), (4, 3), (8, 8))
    for name, array in changes_arrays(back).items():
        np.testing.assert_array_equal(array, getattr(changes, name))


def test_in_files_without_it_the_opacity_does_not_change():
    changes = surroundings_changes()
    arrays = changes_arrays(changes)
    old = arrays | {name: arrays[name][..., :3] for name in ("texture", "texture_range")}
    back = surroundings_changes_from_arrays(old, (4, 3), (8, 8))
    np.testing.assert_array_equal(back.texture[..., :3], changes.texture[..., :3])
    np.testing.assert_array_equal(back.texture_range[..., :3], changes.texture_range[..., :3])
    rgba = jnp.asarray(np.random.default_rng(4).integers(0, 256, (4, 3, 4)), jnp.uint8)
    apart = jnp.array([2.0, -1.0, 0.5, 0.0, 1.0, 0.0])
    changed = changed_colors(rgba, *map(jnp.asarray, (back.texture, back.texture_range)), apart)
    np.testing.assert_array_equal(changed[..., 3], rgba[..., 3])


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("directions", None),
        ("directions", np.zeros((3, 64), np.float32)),
        ("mean", np.zeros(7, np.float32)),
        ("deviation", np.zeros(8, np.float32)),
        ("changes", np.full((8, VERTICES, 3), np.nan, np.float32)),
        ("lids", np.ones(VERTICES + 1, np.float32)),
        ("changes", np.zeros((8, VERTICES, 3), int)),
        ("closed", np.zeros((VERTICES + 1, 3), np.float32)),
    ],
)
def test_damaged_changes_of_a_texture_are_refused(name, array):
    arrays = changes_arrays(texture_changes()) | {name: array}
    with pytest.raises(ValueError, match="texture changes: expected"):
        texture_changes_from_arrays({k: v for k, v in arrays.items() if v is not None})


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("mean", None),
        ("texture", np.zeros((6, 4, 4, 3), np.int8)),
        ("background", np.zeros((6, 8, 8, 3), np.float32)),
        ("background_range", np.zeros((8, 8, 3), np.uint8)),
        ("displacement", np.zeros((6, 4, 4, 2), np.float32)),
        ("displacement", np.zeros((7, 4, 4, 3), np.float32)),
        ("displacement", np.zeros((7, 1, 4, 2), np.float32)),
        ("displacement", np.zeros((7, 4), np.float32)),
        ("sway", np.zeros((7, 34, 33, 2), np.float32)),
        ("sway", np.zeros((7, 3, 33), np.float32)),
        ("displacement", np.full((7, 4, 4, 2), np.nan, np.float32)),
    ],
)
def test_damaged_changes_of_surroundings_are_refused(name, array):
    arrays = changes_arrays(surroundings_changes()) | {name: array}
    arrays = {k: v for k, v in arrays.items() if v is not None}
    with pytest.raises(ValueError, match="changes of surroundings: expected"):
        surroundings_changes_from_arrays(arrays, (4, 3), (8, 8))
