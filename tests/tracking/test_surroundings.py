import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import label

from facial_jax.face.procedural import procedural_face_model
from facial_jax.rendering.camera import pinhole_camera
from facial_jax.rendering.surroundings import (
    Surroundings,
    draw_surroundings,
    surroundings_arrays,
    surroundings_from_arrays,
)
from facial_jax.tracking.displacement import GRID
from facial_jax.tracking.surroundings import (
    EXTENT_DM,
    MAX_FRAMES,
    _peeled,
    _texture,
    changing_surroundings,
    cropped_to_head,
    surroundings_frames,
    video_surroundings,
)

SIZE = (96, 96)
SHAPE = np.asarray(procedural_face_model().mean_shape)


def smooth(rng, height, width):
    coarse = rng.uniform(0, 255, (8, 8, 3))
    rows, columns = (np.linspace(0, 6.999, n) for n in (height, width))
    r, c = rows.astype(int)[:, None], columns.astype(int)[None]
    fr, fc = (rows % 1)[:, None, None], (columns % 1)[None, :, None]
    top = coarse[r, c] * (1 - fc) + coarse[r, c + 1] * fc
    low = coarse[r + 1, c] * (1 - fc) + coarse[r + 1, c + 1] * fc
    return (top * (1 - fr) + low * fr).astype(np.uint8)


def moving_head(count, far=1.0, room=None, hair=None, outline=(0.9, 1.2)):
    """A round head that moves before a background, and where it is; `hair`: its colour."""
    rng = np.random.default_rng(3)
    texture = np.zeros((120, 110, 4), np.uint8)
    texture[..., :3] = smooth(rng, 120, 110)
    (left, right), (top, bottom) = EXTENT_DM
    x, y = np.meshgrid(np.linspace(left, right, 110), np.linspace(top, bottom, 120))
    texture[..., 3] = np.where((x / outline[0]) ** 2 + (y / outline[1]) ** 2 < 1, 255, 0)
    if hair is not None:
        texture[(x / 0.7) ** 2 + (y / 1.0) ** 2 > 1, :3] = hair
    around = Surroundings(
        extent=np.array([[left, top], [right, bottom]], np.float32),
        height=(-0.7 + 0.9 * np.sqrt(np.maximum(1 - x**2 - (y / 1.3) ** 2, 0))).astype(np.float32),
        texture=texture,
        background=smooth(rng, *SIZE) if room is None else room,
    )
    t = np.linspace(0, 6, count)
    pose = np.zeros((count, 6), np.float32)
    pose[:, 1], pose[:, 0] = 0.2 * np.sin(3 * t), 0.1 * np.cos(5 * t)
    pose[:, 3], pose[:, 4], pose[:, 5] = 0.5 * np.sin(2 * t), 0.15 * np.cos(3 * t), -4.5
    pose[:, :5] *= far
    frames = draw_surroundings(around, jnp.asarray(pose), pinhole_camera(SIZE))
    return pose, np.asarray(frames * 255).round().astype(np.uint8)


def psnr(a, b):
    return -10 * np.log10(np.mean((a.astype(np.float64) - b) ** 2) / 255**2)


def test_frames_of_other_poses_are_made_again_from_what_a_video_showed():
    pose, frames = moving_head(60)
    known = np.arange(0, 60, 2)
    around = video_surroundings(SHAPE, pose[known], frames[known])
    assert around.background.shape == (*SIZE, 3)
    others = np.arange(1, 60, 2)
    made = draw_surroundings(around, jnp.asarray(pose[others]), pinhole_camera(SIZE))
    made = np.asarray(made * 255).round()
    mean = np.broadcast_to(frames[known].mean(axis=0), made.shape)
    assert psnr(made, frames[others]) > psnr(mean, frames[others]) + 4


def shaded(pose, frames):
    """The frames, darker the farther the head is turned to one side."""
    share = 0.75 + 1.0 * pose[:, 1][:, None, None, None]
    return (frames * np.clip(share, 0, 1)).astype(np.uint8)


def test_what_changes_as_the_head_moves_is_found():
    pose, frames = moving_head(120)
    frames = shaded(pose, frames)
    known, others = np.arange(0, 120, 2), np.arange(1, 120, 2)
    still = video_surroundings(SHAPE, pose[known], frames[known])
    around = changing_surroundings(still, pose[known], frames[known])

    def made(around):
        drawn = draw_surroundings(around, jnp.asarray(pose[others]), pinhole_camera(SIZE))
        return np.asarray(drawn * 255).round()

    assert psnr(made(around), frames[others]) > psnr(made(still), frames[others]) + 3
    # What no pose changes keeps its colour.
    np.testing.assert_allclose(around.background, still.background, atol=60)
    np.testing.assert_array_equal(around.height, still.height)
    np.testing.assert_array_equal(around.texture[..., 3], still.texture[..., 3])


def test_the_room_is_what_all_frames_show_of_it():
    """Not only the few by which it was told from the head."""
    room = smooth(np.random.default_rng(5), *SIZE)
    pose, frames = moving_head(120, room=room)
    few = np.flatnonzero(pose[:, 3] > 0.0)[::3]
    around = video_surroundings(SHAPE, pose[few], frames[few])
    changing = changing_surroundings(around, pose, frames)

    def right(x):
        return (np.abs(np.asarray(x.background) - room.astype(np.float32)).max(axis=-1) < 12).mean()

    assert right(changing) > right(around) + 0.1


def test_hair_has_no_outline_of_the_wall_that_it_was_seen_before():
    wall = np.full((*SIZE, 3), 220, np.uint8)
    wall[::16] = 120
    pose, frames = moving_head(60, room=wall, hair=(50, 40, 30))
    still = video_surroundings(SHAPE, pose, frames)
    around = changing_surroundings(still, pose, frames)

    def outline(around):
        """How bright what is drawn of the outline is, without what is behind; grey levels."""
        rgba = around.texture.astype(float)
        (left, right), (top, bottom) = EXTENT_DM
        rows, columns = rgba.shape[:2]
        x, y = np.meshgrid(np.linspace(left, right, columns), np.linspace(top, bottom, rows))
        there = ((x / 0.9) ** 2 + (y / 1.2) ** 2 > 0.9) & (y > -0.7)
        return np.quantile((rgba[..., :3].mean(axis=-1) * rgba[..., 3] / 255)[there], 0.99)

    assert outline(still) > 100
    assert outline(around) < 60


def test_a_shell_that_ends_where_the_head_does_looks_the_same():
    pose, frames = moving_head(40)
    around = changing_surroundings(
        video_surroundings(SHAPE, pose, frames),
        pose,
        shaded(pose, frames),
        displacement=np.random.default_rng(0).normal(0, 0.02, (40, *GRID, 2)).astype(np.float32),
    )
    cropped = cropped_to_head(around)
    assert np.prod(cropped.texture.shape) < 0.6 * np.prod(around.texture.shape)
    assert cropped.changes.texture.shape[1:3] == cropped.texture.shape[:2]
    assert cropped.changes.texture_range.shape[1:3] == cropped.texture.shape[:2]
    whole, part = (
        np.asarray(draw_surroundings(x, jnp.asarray(pose), pinhole_camera(SIZE)))
        for x in (around, cropped)
    )
    assert np.abs(part - whole).mean() < 1e-3
    assert np.quantile(np.abs(part - whole), 0.999) < 0.03
    again = surroundings_from_arrays(surroundings_arrays(cropped))
    np.testing.assert_array_equal(again.changes.displacement, cropped.changes.displacement)
    nothing = around.replace(texture=np.zeros_like(around.texture))
    assert cropped_to_head(nothing) is nothing


def test_far_beyond_the_shown_poses_colours_are_still_those_of_the_video():
    pose, frames = moving_head(60)
    frames = shaded(pose, np.clip(frames, 100, 150))
    around = changing_surroundings(video_surroundings(SHAPE, pose, frames), pose, frames)
    far = pose + np.array([0, 0.8, 0, 0, 0, 0], np.float32)
    made = np.asarray(draw_surroundings(around, jnp.asarray(far), pinhole_camera(SIZE)) * 255)
    seen = around.texture[..., 3].max() > 0
    assert seen
    assert made.max() <= frames.max() + 1


def test_a_head_that_shines_like_the_wall_gets_no_notch():
    rows, columns = 120, 110
    opacity = np.ones((rows, columns), np.float32)
    opacity[0] = 0
    # A strip as bright as the wall, from the crown down into the forehead.
    texture = np.full((rows, columns, 3), 90, np.float32)
    middle = columns // 2
    texture[:40, middle - 2 : middle + 3] = 228
    (left, right), (top, bottom) = EXTENT_DM
    x, y = np.meshgrid(np.linspace(left, right, columns), np.linspace(top, bottom, rows))
    head = (x / 0.9) ** 2 + (y / 1.2) ** 2 < 1
    texture[~head] = 229
    place = np.full((4, rows, columns, 3), 230, np.uint8)
    texel = (right - left) / (columns - 1)
    face, neck = (x / 0.6) ** 2 + (y / 0.8) ** 2 < 1, y < -1.1
    peeled = _peeled(opacity, texture, place, face, neck, texel)
    inside = (x / 0.8) ** 2 + (y / 1.1) ** 2 < 1
    outside = ((x / 1.1) ** 2 + (y / 1.4) ** 2 > 1) & (y > -0.7)
    assert peeled[inside & ~neck].min() > 0.9
    assert peeled[outside].max() < 0.1


def test_beside_what_no_frame_shows_is_no_head():
    rng = np.random.default_rng(0)
    place = rng.integers(190, 210, (6, 40, 40, 3)).astype(np.uint8)
    within = np.ones((6, 40, 40), bool)
    within[:, :10] = False
    _, opacity = _texture(place.copy(), place, within, 0.02)
    assert opacity.max() < 0.1


def test_a_head_that_frames_cut_off_goes_on_above_them_and_not_beside_them():
    rng = np.random.default_rng(0)
    head = np.broadcast_to(rng.integers(0, 255, (40, 40, 3)).astype(np.uint8), (10, 40, 40, 3))
    place = rng.integers(0, 255, (10, 40, 40, 3)).astype(np.uint8)
    within = np.ones((10, 40, 40), bool)
    within[1:, :16] = within[:, :13] = False  # one of ten frames shows some rows, none those above
    within[:, :, :16] = False
    texture, opacity = _texture(head, place, within, texel := 0.02)
    beyond = 13 - int(0.25 / texel)
    assert opacity[beyond + 1 :, 24:].min() > 0.99
    assert opacity[:beyond].max() == 0
    assert opacity[:, :14].max() < 0.1
    np.testing.assert_array_equal(texture[beyond:13, 24:], texture[13:14, 24:].repeat(12, axis=0))


def test_a_head_that_never_moves_is_shown_as_it_is():
    pose, frames = moving_head(1)
    pose, frames = pose.repeat(4, axis=0), frames.repeat(4, axis=0)
    around = video_surroundings(SHAPE, pose, frames)
    made = draw_surroundings(around, jnp.asarray(pose[:1]), pinhole_camera(SIZE))
    assert psnr(np.asarray(made * 255), frames[:1]) > 30


def test_at_most_so_many_frames_are_looked_at_evenly_spread():
    assert len(surroundings_frames(1000)) == MAX_FRAMES
    np.testing.assert_array_equal(surroundings_frames(5), np.arange(5))
    assert surroundings_frames(1000)[-1] == 999


def test_no_frame_is_refused():
    with pytest.raises(ValueError, match="expected at least one frame, got none"):
        video_surroundings(SHAPE, np.zeros((0, 6), np.float32), np.zeros((0, 8, 8, 3), np.uint8))


def test_the_shell_is_one_piece_that_ends_where_the_head_does():
    wall = np.full((*SIZE, 3), 230, np.uint8)
    wall[::12] = wall[:, ::12] = 90
    pose, frames = moving_head(60, far=0.3, room=wall)
    around = video_surroundings(SHAPE, pose, frames)
    opacity = np.asarray(around.texture)[..., 3]
    _, pieces = label(opacity > 0)
    assert pieces == 1
    (left, right), (top, bottom) = EXTENT_DM
    rows, columns = opacity.shape
    x, y = np.meshgrid(np.linspace(left, right, columns), np.linspace(top, bottom, rows))
    outline = (x / 0.9) ** 2 + (y / 1.2) ** 2
    assert (opacity[outline < 0.7] > 200).mean() > 0.95
    assert (opacity[outline > 1.4] > 25).mean() < 0.02


@pytest.mark.parametrize("far", [0.3, 0.5])
def test_much_hair_of_one_colour_is_the_heads(far):
    wall = np.full((*SIZE, 3), 200, np.uint8)
    wide, high = 1.15, 1.6
    pose, frames = moving_head(60, far=far, room=wall, hair=30, outline=(wide, high))
    around = video_surroundings(SHAPE, pose, frames)
    opacity = np.asarray(around.texture)[..., 3]
    (left, right), (top, bottom) = EXTENT_DM
    rows, columns = opacity.shape
    x, y = np.meshgrid(np.linspace(left, right, columns), np.linspace(top, bottom, rows))
    above = (x / wide) ** 2 + (y / high) ** 2
    above = np.where(y > 0, above, 9)
    assert (opacity[above < 0.8] > 200).mean() > 0.98
