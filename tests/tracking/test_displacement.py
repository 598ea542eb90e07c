"""Displacement of a head's points, found in frames."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from facial_jax.face.procedural import procedural_face_model
from facial_jax.rendering.camera import pinhole_camera
from facial_jax.rendering.surroundings import (
    Surroundings,
    SurroundingsMotion,
    draw_surroundings,
)
from facial_jax.tracking.displacement import (
    GRID,
    further_displacement,
    grid_points,
    no_displacement,
    optical_flow,
)
from facial_jax.tracking.surroundings import (
    EXTENT_DM,
    changing_surroundings,
    video_surroundings,
)

SIZE = (128, 128)
SHAPE = np.asarray(procedural_face_model().mean_shape)


def spotted(height, width, seed=0):
    rng = np.random.default_rng(seed)
    noise = gaussian_filter(rng.normal(size=(height, width, 3)), (1.5, 1.5, 0))
    return np.clip(128 + 60 * noise / noise.std(), 0, 255).astype(np.uint8)


def head():
    """An opaque spotted surface that is wider than the picture."""
    (left, right), (top, bottom) = EXTENT_DM
    texture = np.full((240, 220, 4), 255, np.uint8)
    texture[..., :3] = spotted(240, 220)
    return Surroundings(
        extent=np.array([[left, top], [right, bottom]], np.float32),
        height=np.full((24, 22), -0.3, np.float32),
        texture=texture,
        background=np.zeros((*SIZE, 3), np.uint8),
    )


def drawn(around, pose, displacement=None):
    motion = None if displacement is None else SurroundingsMotion(jnp.asarray(displacement))
    pictures = draw_surroundings(around, jnp.asarray(pose), pinhole_camera(SIZE), motion)
    return np.asarray(pictures * 255).round().astype(np.uint8)


def swinging(around, amount):
    """What is low swings to the side, as far as each frame says, decimetres."""
    y = grid_points(around)[..., 1]
    share = np.clip((0.5 - y) / 2, 0, 1)
    displacement = no_displacement(len(amount))
    displacement[..., 0] = np.asarray(amount)[:, None, None] * share
    return displacement


@pytest.mark.parametrize(("right", "down"), [(2, 0), (0, 3), (-1, 2)])
def test_the_flow_says_where_what_is_shown_is_in_the_other_picture(right, down):
    whole = spotted(160, 160)
    picture = whole[16:144, 16:144]
    other = whole[16 - down : 144 - down, 16 - right : 144 - right]
    flow = optical_flow(np.ascontiguousarray(picture), np.ascontiguousarray(other))
    middle = flow[24:-24, 24:-24].reshape(-1, 2)
    np.testing.assert_allclose(np.median(middle, axis=0), [right, down], atol=0.15)


def test_the_displacement_of_frames_is_found():
    around = head()
    pose = np.zeros((3, 6), np.float32)
    pose[:, 5], pose[1, 1], pose[2, 2] = -4.5, 0.25, 0.2
    truth = swinging(around, [0.12, -0.1, 0.15])
    frames, found = drawn(around, pose, truth), no_displacement(3)
    for _ in range(2):
        found = further_displacement(found, around, pose, drawn(around, pose, found), frames)
    x, y = np.moveaxis(grid_points(around)[..., :2], -1, 0)
    inside = (np.abs(x) < 1) & (np.abs(y) < 1)
    assert np.abs(truth[:, inside]).max() > 0.09
    # A pixel is 0.05 dm.
    assert np.abs(found - truth)[:, inside].mean() < 0.01


def test_what_swings_is_sharp_and_what_goes_with_the_pose_is_known_of_new_frames():
    around, rng = head(), np.random.default_rng(0)
    t = np.linspace(0, 9, 80)
    pose = np.zeros((80, 6), np.float32)
    pose[:, 1], pose[:, 3], pose[:, 5] = 0.2 * np.sin(3 * t), 0.3 * np.sin(2 * t), -4.5
    by_pose = swinging(around, 0.6 * pose[:, 1])
    frames = drawn(around, pose, by_pose + swinging(around, 0.04 * rng.normal(size=80)))
    known, others = np.arange(0, 80, 2), np.arange(1, 80, 2)
    blurred = video_surroundings(SHAPE, pose[known], frames[known])
    blurred = changing_surroundings(blurred, pose[known], frames[known])
    found, sharp = no_displacement(len(known)), blurred
    for _ in range(2):
        shown = drawn(sharp, pose[known], found)
        found = further_displacement(found, sharp, pose[known], shown, frames[known])
        sharp = video_surroundings(
            SHAPE, pose[known], frames[known], height=blurred.height, displacement=found
        )
        sharp = changing_surroundings(sharp, pose[known], frames[known], displacement=found)
    truth = drawn(around, pose[others], by_pose[others])[:, 24:-24, 24:-24].astype(float)

    def made(around):
        return drawn(around, pose[others])[:, 24:-24, 24:-24].astype(float)

    def contrast(pictures):
        return np.abs(np.diff(pictures[:, 40:], axis=2)).mean()  # of what is low

    assert sharp.changes.displacement.shape == (7, *GRID, 2)
    assert np.square(made(sharp) - truth).mean() < 0.6 * np.square(made(blurred) - truth).mean()
    assert contrast(made(sharp)) > 1.15 * contrast(made(blurred))
