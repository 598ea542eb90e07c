"""Irises are drawn where the eyes look."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.face.eyes import IRIS_RADIUS_DM
from facial_jax.rendering.camera import pinhole_camera
from facial_jax.rendering.irises import (
    TEXELS,
    Irises,
    draw_irises,
    from_iris,
    irises_arrays,
    irises_from_arrays,
    on_iris,
    place_irises,
)

SIZE = (192, 192)
CENTRES = jnp.array([[-0.3, 0.2, 0.3], [0.3, 0.2, 0.3]])


def black_irises(offset=0.0):
    return Irises(
        texture=np.zeros((2, TEXELS, TEXELS, 3), np.uint8),
        offset=np.full((2, 2), offset, np.float32),
        usual_gaze=np.zeros(2, np.float32),
    )


def drawn(gaze, pose=(0,) * 6, eyeballs=None, offset=0.0):
    pose, gaze = jnp.array(pose, jnp.float32), jnp.array(gaze, jnp.float32)
    eyeballs = jnp.ones((*SIZE, 1)) if eyeballs is None else eyeballs
    white, camera = jnp.ones((*SIZE, 3)), pinhole_camera(SIZE)
    irises = black_irises(offset)
    return 1 - np.asarray(
        jax.jit(draw_irises)(white, eyeballs, irises, CENTRES, gaze, pose, camera)
    ).mean(axis=-1)


def middle(ink):
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    return np.array([(ink * columns).sum(), (ink * rows).sum()]) / ink.sum()


def test_a_place_in_the_picture_and_on_the_iris_are_each_others_inverse():
    rng = np.random.default_rng(0)
    for _ in range(20):
        offset = jnp.asarray(rng.normal(size=(5, 2)), jnp.float32)
        facing = rng.normal(size=3) * [1, 1, 0.1] + [0, 0, rng.uniform(0.1, 2)]
        facing = jnp.asarray(facing / np.linalg.norm(facing), jnp.float32)
        roll = jnp.float32(rng.uniform(-0.5, 0.5))
        disc = on_iris(offset, facing, roll)
        np.testing.assert_allclose(from_iris(disc, facing, roll), offset, atol=1e-4)


def test_irises_are_discs_of_their_size_where_the_eyes_look():
    camera = pinhole_camera(SIZE)
    ink = drawn((0, 0))
    placed = place_irises(CENTRES, jnp.zeros((2, 2)), jnp.zeros(6), camera)
    np.testing.assert_allclose(middle(ink), placed.middle.mean(axis=0), atol=0.1)
    radius = IRIS_RADIUS_DM * float(camera.focal_px) / (10 - 0.42)
    assert ink.sum() == pytest.approx(2 * np.pi * radius**2, rel=0.05)


@pytest.mark.parametrize(("gaze", "way"), [((0, 0.3), (1, 0)), ((0.3, 0), (0, 1))])
def test_positive_angles_look_right_and_down(gaze, way):
    moved = middle(drawn(gaze)) - middle(drawn((0, 0)))
    assert moved @ np.array(way) > 2
    assert abs(moved @ np.array(way[::-1])) < 0.5


def test_a_gaze_against_the_head_stays_on_the_camera():
    turned = drawn((0, -0.3), pose=(0, 0.3, 0, 0, 0, 0))
    width = [np.flatnonzero(x.sum(axis=0) > 0.5) for x in (turned, drawn((0, -0.3)))]
    # Seen from the front the discs are round, seen from the side they are narrow.
    assert len(width[0]) > len(width[1])


def test_nothing_is_drawn_beyond_the_lids():
    assert not drawn((0, 0), eyeballs=jnp.zeros((*SIZE, 1))).any()


def test_faces_out_of_the_picture_leave_it_as_it_is_or_within():
    ink = drawn((0, 0), pose=(0, 0, 0, 9, 9, 0))
    assert np.isfinite(ink).all()


def test_each_eye_has_its_own_offset():
    np.testing.assert_allclose(drawn((0, 0.2)), drawn((-0.1, 0.1), offset=0.1), atol=1e-5)


def test_files_hold_irises():
    irises = black_irises(0.25)
    back = irises_arrays(irises_from_arrays(irises_arrays(irises)))
    for name, array in irises_arrays(irises).items():
        np.testing.assert_array_equal(back[name], array)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("texture", None),
        ("texture", np.zeros((2, 4, 5, 3), np.uint8)),
        ("texture", np.zeros((2, 4, 4, 3), np.float32)),
        ("offset", np.zeros(2, np.float32)),
        ("usual_gaze", np.array([np.nan, 0], np.float32)),
    ],
)
def test_damaged_irises_are_refused(name, value):
    arrays = irises_arrays(black_irises())
    if value is None:
        del arrays[name]
    else:
        arrays[name] = value
    with pytest.raises(ValueError, match=name):
        irises_from_arrays(arrays)
