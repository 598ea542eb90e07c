"""A body that moves below the head, found in frames."""

import jax.numpy as jnp
import numpy as np
from scipy.ndimage import gaussian_filter, shift

from facial_jax.face.procedural import procedural_face_model
from facial_jax.rendering.camera import pinhole_camera
from facial_jax.rendering.color_changes import SurroundingsChanges
from facial_jax.rendering.displacement import SWAY_GRID
from facial_jax.rendering.surroundings import (
    Surroundings,
    SurroundingsMotion,
    draw_surroundings,
    usual_motion,
)
from facial_jax.tracking.color_changes import spread
from facial_jax.tracking.sway import (
    below_chin,
    further_sway,
    no_sway,
    room_sway,
    steadied,
    swaying,
    whole_grid,
    with_sway,
)

SIZE = 128, 128
SHAPE = np.asarray(procedural_face_model().mean_shape)
BODY = slice(104, 124), slice(16, 112)
"""Where all of it sways, and that is a body's in each of the frames."""


def spotted(height, width, seed=0):
    rng = np.random.default_rng(seed)
    noise = gaussian_filter(rng.normal(size=(height, width, 3)), (1.5, 1.5, 0))
    return np.clip(128 + 60 * noise / noise.std(), 0, 255)


def frames_of(down, right):
    """A spotted wall, and a spotted body before it that is so many pixels down and right."""
    wall, body = spotted(*SIZE, seed=1), spotted(*SIZE)
    rows, columns = np.indices(SIZE)
    front = (rows > 88) & (np.abs(columns - 64) < 56)
    found = []
    for by in zip(down, right, strict=True):
        moved = shift(body, (*by, 0), order=1, mode="nearest")
        there = shift(front.astype(float), by, order=0, mode="nearest")[..., None] > 0.5
        found.append(np.where(there, moved, wall))
    return np.stack(found).round().astype(np.uint8)


def poses(count, seed=0):
    pose = np.zeros((count, 6), np.float32)
    pose[:, :2] = 0.2 * np.random.default_rng(seed).normal(size=(count, 2))
    pose[:, 4:] = 0.3, -4.5
    return pose


def nothing(count):
    """What is covered in so many frames."""
    return np.zeros((count, *SIZE), bool)


def share():
    return below_chin(SHAPE, poses(60).mean(axis=0), SIZE)


def test_what_is_above_the_chin_does_not_sway_and_what_is_well_below_does_so_as_a_whole():
    # The chin is in row 84 of these.
    rows = share()[:, 0]
    at = np.linspace(0.5, SIZE[0] - 0.5, len(rows))
    assert (rows[at < 82] == 0).all()
    assert (rows[at > 98] == 1).all()
    assert (np.diff(rows) >= 0).all()


def test_a_body_that_sways_is_found_and_stands_still_in_steadied_frames():
    rng = np.random.default_rng(0)
    down, right = rng.uniform(-3, 3, (2, 24))
    frames = frames_of(down - down.mean(), right - right.mean())
    sway = room_sway(frames, nothing(24), share(), no_sway(24))
    steady = steadied(frames, sway)
    np.testing.assert_array_equal(steady[:, :80], frames[:, :80])

    def off(frames):
        part = frames[:, *BODY].astype(float)
        return np.abs(part - np.median(part, axis=0)).mean()

    assert off(steady) < 0.4 * off(frames)
    # Its last rows; a point every 4 pixels.
    found = SIZE[0] * np.median(sway[:, -6:-2, 6:-6], axis=(1, 2))
    assert np.corrcoef(found[:, 0], right)[0, 1] > 0.98
    assert np.corrcoef(found[:, 1], down)[0, 1] > 0.98


def test_what_stands_still_does_not_sway_at_all():
    frames = frames_of(np.zeros(8), np.zeros(8))
    noisy = frames + np.random.default_rng(0).integers(-3, 4, frames.shape)
    noisy = np.clip(noisy, 0, 255).astype(np.uint8)
    sway = room_sway(noisy, nothing(8), share(), no_sway(8))
    np.testing.assert_array_equal(sway, 0)
    around = surroundings(frames[0], poses(8))
    assert with_sway(around, sway, poses(8)) is around


def test_more_of_it_is_found_against_a_picture_in_which_nothing_sways():
    still, *frames = frames_of([0, 2, -1], [0, -1, 3])
    frames, sway = np.stack(frames), no_sway(2)
    for _ in range(2):
        steady = steadied(frames, sway)
        sway = further_sway(sway, share(), np.stack([still, still]), steady, nothing(2))
    found = SIZE[0] * np.median(sway[:, -6:-2, 6:-6], axis=(1, 2))
    np.testing.assert_allclose(found, [[-1, 2], [3, -1]], atol=0.3)


def test_what_is_before_the_body_tells_nothing_of_it():
    still, *frames = frames_of([0, 2, -1], [0, -1, 3])
    frames, covered, sway = np.stack(frames), nothing(2), no_sway(2)
    covered[:, 80:, 40:70] = True
    frames[:, 80:, 40:70] = spotted(48, 30, seed=2)
    for _ in range(2):
        steady = steadied(frames, sway)
        hidden = steadied(np.uint8(255) * covered, sway) > 127
        sway = further_sway(sway, share(), np.stack([still, still]), steady, hidden)
    found = SIZE[0] * sway[:, -6:-2, 8:-8]
    truth = np.array([[-1, 2], [3, -1]])[:, None, None]
    assert np.abs(found - truth).mean() < 0.4


def test_a_place_that_sways_is_itself_again_once_it_is_steadied():
    place = frames_of([0], [0])[0]
    rng = np.random.default_rng(0)
    sway = share()[..., None] * rng.uniform(-0.03, 0.03, (3, 1, 1, 2)).astype(np.float32)
    again = steadied(swaying(place, sway), sway)[:, 8:-8, 8:-8].astype(float)
    moved = np.abs(swaying(place, sway).astype(float) - place)[:, 100:-8].mean()
    assert np.abs(again - place[8:-8, 8:-8]).mean() < 0.1 * moved


def surroundings(background, pose):
    """A place without a head, whose colours do not change."""
    mean, deviation = spread(pose)
    changes = SurroundingsChanges(
        mean=mean,
        deviation=deviation,
        texture=np.zeros((6, 4, 4, 4), np.int8),
        background=np.zeros((6, *SIZE, 3), np.int8),
        texture_range=np.zeros((2, 4, 4, 4), np.uint8),
        background_range=np.stack([np.zeros_like(background), np.full_like(background, 255)]),
    )
    return Surroundings(
        extent=np.array([[-2, 2], [2, -2]], np.float32),
        height=np.zeros((4, 4), np.float32),
        texture=np.zeros((4, 4, 4), np.uint8),
        background=background,
        changes=changes,
    )


def test_what_goes_with_the_pose_is_drawn_at_new_poses():
    pose, new = poses(60), poses(5, seed=1)
    truth = np.zeros((65, SWAY_GRID, SWAY_GRID, 2), np.float32)
    both = np.concatenate([pose, new])
    truth[:, -10:, :, 0] = (0.1 * both[:, 1])[:, None, None]
    background = frames_of([0], [0])[0]
    around = with_sway(surroundings(background, pose), truth[:60], pose)
    assert around.changes.sway.shape == (7, 10, SWAY_GRID, 2)
    usual = whole_grid(np.asarray(usual_motion(around, new).sway))
    assert np.abs(usual - truth[60:])[:, -10:].mean() < 0.1 * np.abs(truth[60:, -10:]).mean()

    def drawn(motion=None):
        pictures = draw_surroundings(around, jnp.asarray(new), pinhole_camera(SIZE), motion)
        return np.asarray(pictures * 255).round().astype(np.uint8)

    behind = np.stack([background] * 5)
    np.testing.assert_array_equal(drawn(SurroundingsMotion())[:, :80], behind[:, :80])
    pictures = drawn()
    np.testing.assert_array_equal(pictures[:, :80], behind[:, :80])

    def off(pictures):
        return np.abs(pictures - behind.astype(float))[:, 104:124, 8:-8].mean()

    # Steadied by what they were drawn with, they are the background again.
    assert off(steadied(pictures, usual)) < 0.3 * off(pictures)
