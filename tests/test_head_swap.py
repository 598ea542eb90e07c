from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.full_frame import (
    full_frame_chunks,
    load_full_frame_reference,
    save_full_frame_reference,
)
from facial_jax.head_matte import MATTE_SIDE, draw_matte, full_size, head_region, shell_mattes
from facial_jax.head_swap import HeadSwap, smooth_step
from facial_jax.rendering.camera import pinhole_camera, project_to_pixels
from facial_jax.rendering.surroundings import Surroundings
from facial_jax.tracking.surroundings import cropped_to_head

SIZE, CROP = (150, 200), (40, 10, 120)
ROOM, OLD, NEW = (60, 90, 120), (200, 40, 40), (30, 220, 30)
X, Y = np.meshgrid(np.linspace(-2.2, 2.2, 90), np.linspace(2.2, -2.6, 97))
RADIUS_DM = 0.7


def surroundings():
    """Of a flat round head about the face's origin."""
    texture = np.zeros((*X.shape, 4), np.uint8)
    texture[..., 3] = np.where(X**2 + Y**2 < RADIUS_DM**2, 255, 0)
    return Surroundings(
        extent=np.array([[-2.2, 2.2], [2.2, -2.6]], np.float32),
        height=np.zeros((8, 8), np.float32),
        texture=texture,
        background=np.zeros((8, 8, 3), np.uint8),
    )


def pose_at(x, y=0.0):
    return np.array([[0, 0, 0, x, y, -3]], np.float32)


def head_in(picture, crop, pose, color, room=ROOM):
    """The picture with a round head of this colour where the pinhole camera sees it."""
    left, top, side = crop
    camera = pinhole_camera((side, side))
    depth = np.float32(10 - pose[0, 5])
    center = np.asarray(
        project_to_pixels(camera, jnp.array([[pose[0, 3], pose[0, 4], depth]], jnp.float32))
    )
    radius = float(camera.focal_px) * RADIUS_DM / depth
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]]
    apart = np.hypot(columns + 0.5 - left - center[0, 0], rows + 0.5 - top - center[0, 1])
    picture[:] = room
    picture[apart < radius] = color
    return picture, apart - radius


def swapped(old_pose, new_pose):
    background = np.empty((*SIZE, 3), np.uint8)
    background[:] = ROOM
    frame, from_old = head_in(background.copy(), CROP, old_pose, OLD)
    head, _ = head_in(np.empty((64, 64, 3), np.uint8), (0, 0, 64), new_pose, NEW)
    _, from_new = head_in(background.copy(), CROP, new_pose, NEW)
    frames = frame[None].copy()
    HeadSwap(background, CROP, surroundings())(frames, head[None], old_pose, new_pose)
    return frames[0].astype(int), from_old, from_new


@pytest.mark.parametrize("new", [0.0, 0.2, -0.5])
def test_the_old_head_is_gone_and_the_new_one_is_there(new):
    made, from_old, from_new = swapped(pose_at(0.4, 0.1), pose_at(new))
    inside = from_new < -8
    np.testing.assert_array_equal(made[inside], np.broadcast_to(NEW, made[inside].shape))
    outside = from_new > 8
    np.testing.assert_array_equal(made[outside], np.broadcast_to(ROOM, made[outside].shape))
    assert (from_old[outside] < 0).any()  # some of it was the old head


@pytest.mark.parametrize("y", [-0.15, 0.0, 0.4])
def test_the_room_is_not_seen_through_a_neck(y):
    big = surroundings()
    big.texture[..., 3] = np.where(X**2 + Y**2 < 1.1**2, 255, 0)
    background = np.full((*SIZE, 3), ROOM, np.uint8)
    (left, top, side), skin = CROP, (100, 130, 160)
    frame, head = background.copy(), np.full((side, side, 3), ROOM, np.uint8)
    middle = side // 2
    frame[:, left + middle - 16 : left + middle + 16] = skin
    head[:, middle - 16 : middle + 16] = skin
    frames = frame[None].copy()
    HeadSwap(background, CROP, big)(frames, head[None], pose_at(0.0), pose_at(0.0, y))
    neck = frames[0, top + middle :, left + middle - 8 : left + middle + 8].astype(int)
    # In grey levels; skin and room differ by 40.
    assert np.abs(neck - skin).max() < 5


def test_the_matte_is_where_the_camera_sees_the_head():
    region = head_region(SIZE, CROP, 0.1)
    matte = shell_mattes(surroundings())[0]
    pose = np.concatenate([pose_at(0.0), pose_at(0.4, -0.2)])
    drawn, _ = draw_matte(matte, surroundings(), pose, region)
    assert drawn.shape[1:] == region.matte_size
    for row, small in zip(pose, drawn, strict=True):
        _, apart = head_in(np.empty((*SIZE, 3), np.uint8), CROP, row[None], NEW)
        apart, whole = region.of(apart), full_size(small, region)
        np.testing.assert_allclose(whole[apart < -3], 1, atol=1e-3)
        np.testing.assert_allclose(whole[apart > 8], 0, atol=1e-3)


def test_more_is_taken_out_than_put_in():
    pose, region = pose_at(0.1), head_region(SIZE, CROP, 0.1)
    put_in, taken_out = (
        draw_matte(matte, surroundings(), pose, region)[0] for matte in shell_mattes(surroundings())
    )
    assert (taken_out >= put_in - 5e-3).all()
    assert taken_out.sum() > 1.3 * put_in.sum()


def test_mattes_reach_beyond_a_shell_that_ends_where_the_head_does():
    pose, region = pose_at(0.2), head_region(SIZE, CROP, 0.1)
    whole, cropped = surroundings(), cropped_to_head(surroundings())
    assert np.prod(cropped.texture.shape) < 0.2 * np.prod(whole.texture.shape)
    mattes = zip(shell_mattes(whole), shell_mattes(cropped), strict=True)
    for matte, other in mattes:
        drawn, at = draw_matte(matte, whole, pose, region)
        again, there = draw_matte(other, cropped, pose, region)
        np.testing.assert_allclose(again, drawn, atol=5e-3)
        np.testing.assert_allclose(there, at, atol=1e-4)
        assert other.opacity[[0, -1]].max() == other.opacity[:, [0, -1]].max() == 0


def test_a_region_is_the_square_and_its_margin_within_the_frame():
    region = head_region(SIZE, CROP, 0.25)
    assert (region.left, region.top, region.width, region.height) == (10, 0, 180, 150)
    assert region.corner == (30, 10)
    picture = np.arange(SIZE[0] * SIZE[1]).reshape(SIZE)
    np.testing.assert_array_equal(region.of(picture), picture[0:150, 10:190])
    exact = head_region((120, 120), (0, 0, 120), 0.25)
    assert exact.matte_size == (MATTE_SIDE, MATTE_SIDE)


def test_a_smooth_step_rises_or_falls_between_its_ends():
    np.testing.assert_allclose(
        smooth_step(np.array([0.0, 1, 2, 3]), 1.0, 3.0), [0, 0, 0.5, 1], atol=1e-6
    )
    np.testing.assert_allclose(
        smooth_step(np.array([0.0, 1, 2, 3]), 2.0, 1.0), [1, 1, 0, 0], atol=1e-6
    )


def test_the_background_is_kept_behind_the_frames_and_is_none_of_them(tmp_path):
    background = np.full((*SIZE, 3), 128, np.uint8)
    frames = [np.full((*SIZE, 3), 20 + i, np.uint8) for i in range(20)]
    pose = pose_at(0.0).repeat(20, axis=0)
    given = dict(fps=Fraction(25), crop=CROP, pose=pose)
    save_full_frame_reference(tmp_path, frames, background=background, **given)
    reference = load_full_frame_reference(tmp_path)
    assert reference.has_background
    assert len(reference.pose) == 20
    heads = np.full((30, 64, 64, 3), 250, np.uint8)
    options = dict(pose=pose_at(0.0).repeat(30, axis=0), fps=Fraction(25))
    (square,) = full_frame_chunks(reference, [heads], **options)
    assert square[:, 0, 0].max() <= 42  # the last frame is never behind a head
    (made,) = full_frame_chunks(reference, [heads], surroundings=surroundings(), **options)
    assert made[:, 0, 0].max() <= 42
    assert (made[:, 70, 100] >= 248).all()  # the middle of the head
    # Beside the new head the old one's surroundings are the background.
    assert (np.abs(made[:, 36, 100].astype(int) - 128) < 12).all()


def test_a_background_of_another_size_is_refused(tmp_path):
    frames = [np.zeros((*SIZE, 3), np.uint8)]
    with pytest.raises(ValueError, match="background: expected 200×150 pixels as the frames"):
        save_full_frame_reference(
            tmp_path,
            frames,
            fps=Fraction(25),
            crop=CROP,
            pose=pose_at(0.0),
            background=np.zeros((10, 10, 3), np.uint8),
        )
