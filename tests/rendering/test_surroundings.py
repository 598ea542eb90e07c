import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.rendering.camera import (
    camera_vertices,
    pinhole_camera,
    project_to_pixels,
    rotation_from_euler,
    transform_vertices,
)
from facial_jax.rendering.color_changes import SurroundingsChanges
from facial_jax.rendering.surroundings import (
    Surroundings,
    check_surroundings,
    draw_surroundings,
    shell_height,
    shell_seen,
    shown_before,
    surroundings_arrays,
    surroundings_from_arrays,
    usual_motion,
)

SIZE = (64, 64)
EXTENT = np.array([[-2.2, 2.2], [2.2, -2.6]], np.float32)
X, Y = np.meshgrid(np.linspace(-2.2, 2.2, 90), np.linspace(2.2, -2.6, 97))
HEIGHT = (-0.6 + 0.8 * np.exp(-(X**2) - (Y - 0.2) ** 2)).astype(np.float32)
POSES = np.array(
    [[0, 0, 0, 0, 0, -4.5], [-0.2, 0.3, 0.1, 0.2, -0.1, -4], [0.15, -0.4, 0, 0, 0.2, -5]],
    np.float32,
)


GRID_X, GRID_Y = np.meshgrid(np.linspace(-2.2, 2.2, 45), np.linspace(2.2, -2.6, 49))


def displaced_by(x, y):
    """Smooth, up to 0.15 dm."""
    return np.stack([0.15 * np.sin(x + 0.5 * y), 0.1 * np.cos(1.2 * y)], axis=-1)


DISPLACEMENT = displaced_by(GRID_X, GRID_Y).astype(np.float32)


def surroundings(texture=None):
    rng = np.random.default_rng(0)
    if texture is None:
        texture = rng.integers(0, 256, (50, 46, 4), np.uint8)
    return Surroundings(
        extent=EXTENT,
        height=HEIGHT,
        texture=texture,
        background=rng.integers(0, 256, (*SIZE, 3), np.uint8),
    )


def seen_points(pose, displacement=None):
    shell = jnp.asarray(HEIGHT), jnp.asarray(EXTENT)
    seen = shell_seen(*shell, pose, pinhole_camera(SIZE), SIZE, displacement)
    z = shell_height(jnp.asarray(HEIGHT), jnp.asarray(EXTENT), seen[..., 0], seen[..., 1])
    return jnp.concatenate([seen, z[..., None]], axis=-1)


@pytest.mark.parametrize("pose", POSES)
def test_a_pixel_shows_the_shells_point_that_is_projected_to_it(pose):
    pose, camera = jnp.asarray(pose), pinhole_camera(SIZE)
    points = seen_points(pose).reshape(-1, 3)
    posed = transform_vertices(points, rotation_from_euler(pose[:3]), pose[3:])
    pixels = project_to_pixels(camera, camera_vertices(camera, posed)).reshape(*SIZE, 2)
    column, row = np.meshgrid(np.arange(SIZE[1]) + 0.5, np.arange(SIZE[0]) + 0.5)
    # Between the rays that are followed the shell is taken to be flat.
    np.testing.assert_allclose(pixels, np.stack([column, row], axis=-1), atol=0.15)


@pytest.mark.parametrize("pose", POSES)
def test_a_displaced_point_is_seen_beside_its_place(pose):
    pose, camera = jnp.asarray(pose), pinhole_camera(SIZE)
    points = np.asarray(seen_points(pose, jnp.asarray(DISPLACEMENT)))
    there = points[..., :2] + displaced_by(points[..., 0], points[..., 1])
    x, y = jnp.moveaxis(jnp.asarray(there), -1, 0)
    z = shell_height(jnp.asarray(HEIGHT), jnp.asarray(EXTENT), x, y)
    moved = np.concatenate([there, z[..., None]], axis=-1).reshape(-1, 3)
    posed = transform_vertices(jnp.asarray(moved), rotation_from_euler(pose[:3]), pose[3:])
    pixels = project_to_pixels(camera, camera_vertices(camera, posed)).reshape(*SIZE, 2)
    column, row = np.meshgrid(np.arange(SIZE[1]) + 0.5, np.arange(SIZE[0]) + 0.5)
    within = (np.abs(points[..., 0]) < 2) & (points[..., 1] < 2) & (points[..., 1] > -2.4)
    # A displacement of 0.15 dm is 3 pixels here.
    off = np.abs(pixels - np.stack([column, row], axis=-1))[within]
    assert off.max() < 0.35


def changing(displacement):
    around = surroundings()
    texture, size = around.texture.shape[:2], around.background.shape[:2]
    changes = SurroundingsChanges(
        mean=np.array([0, 0.1, 0, 0, 0, -4.5], np.float32),
        deviation=np.full(6, 0.2, np.float32),
        texture=np.zeros((6, *texture, 4), np.int8),
        background=np.zeros((6, *size, 3), np.int8),
        texture_range=np.stack([np.full((*texture, 4), x, np.uint8) for x in (0, 255)]),
        background_range=np.stack([np.full((*size, 3), x, np.uint8) for x in (0, 255)]),
        displacement=displacement,
    )
    return around.replace(changes=changes)


def test_the_usual_displacement_goes_with_the_pose():
    by_pose = np.zeros((7, *DISPLACEMENT.shape), np.float32)
    by_pose[0], by_pose[2] = DISPLACEMENT, 2 * DISPLACEMENT
    around, poses = changing(by_pose), np.array([[0, 0.3, 0, 0, 0, -4.5]], np.float32)
    usual = usual_motion(around, poses)
    np.testing.assert_allclose(usual.displacement[0], 3 * DISPLACEMENT, atol=1e-6)
    camera = pinhole_camera(SIZE)
    drawn = draw_surroundings(around, jnp.asarray(poses), camera)
    np.testing.assert_array_equal(
        drawn, draw_surroundings(around, jnp.asarray(poses), camera, usual)
    )
    in_place = draw_surroundings(
        around, jnp.asarray(poses), camera, jax.tree.map(jnp.zeros_like, usual)
    )
    still = draw_surroundings(changing(None), jnp.asarray(poses), camera)
    np.testing.assert_allclose(in_place, still, atol=1e-5)
    assert np.abs(drawn - still).max() > 0.1
    assert not jax.tree.leaves(usual_motion(surroundings(), poses))


def test_heights_are_read_between_the_grids_points_and_end_at_its_edge():
    height = jnp.array([[0.0, 1.0], [2.0, 3.0]])
    extent = jnp.array([[-1.0, 1.0], [1.0, -1.0]])  # y falls
    x, y = jnp.array([-1.0, 1.0, 0.0, 9.0]), jnp.array([1.0, -1.0, 0.5, 0.0])
    np.testing.assert_allclose(shell_height(height, extent, x, y), [0, 3, 1, 2], atol=1e-6)


def test_the_background_is_seen_where_the_head_is_transparent_or_ends():
    texture = np.full((50, 46, 4), 255, np.uint8)
    texture[..., 3] = 0
    around = surroundings(texture)
    drawn = np.asarray(draw_surroundings(around, jnp.asarray(POSES), pinhole_camera(SIZE)))
    assert drawn.shape == (3, *SIZE, 3)
    background = np.broadcast_to(around.background / 255, drawn.shape)
    np.testing.assert_allclose(drawn, background, atol=1e-6)
    texture[..., 3] = 255
    far = np.array([[0, 0, 0, 2.0, 0, -4.5]], np.float32)  # it begins left of the middle
    drawn = np.asarray(draw_surroundings(around, jnp.asarray(far), pinhole_camera(SIZE)))[0]
    np.testing.assert_allclose(drawn[:, :8], around.background[:, :8] / 255, atol=1e-6)
    np.testing.assert_allclose(drawn[:, -8:], 1.0, atol=1e-6)


def test_what_is_transparent_has_no_colour():
    texture = np.full((50, 46, 4), 200, np.uint8)
    texture[..., 3] = 255
    texture[:, 20:26] = 0  # black, if it were seen
    around = surroundings(texture)
    around = around.replace(background=np.full_like(around.background, 200))
    drawn = draw_surroundings(around, jnp.asarray(POSES), pinhole_camera(SIZE))
    np.testing.assert_allclose(drawn, 200 / 255, atol=1e-5)


def test_the_opacity_goes_with_the_pose():
    around, poses = changing(None), np.array([[0, 0.3, 0, 0, 0, -4.5]], np.float32)
    changes = around.changes
    more = changes.texture.copy()
    more[1, ..., 3] = -127
    around = around.replace(
        texture=np.full_like(around.texture, 255),
        background=np.zeros_like(around.background),
        changes=changes.replace(texture=more),
    )
    drawn = draw_surroundings(around, jnp.asarray(poses), pinhole_camera(SIZE))
    middle = np.asarray(drawn)[0, 24:-24, 24:-24]
    np.testing.assert_allclose(middle, 128 / 255, atol=1e-5)


def test_an_opaque_texture_is_read_between_its_texels():
    # A texture that is linear in x and y is known everywhere.
    texture = np.zeros((81, 89, 4), np.uint8)
    texture[..., 0] = 2 * np.arange(89)
    texture[..., 1] = 3 * np.arange(81)[:, None]
    texture[..., 3] = 255
    pose, camera = jnp.asarray(POSES[1:2]), pinhole_camera(SIZE)
    drawn = np.asarray(draw_surroundings(surroundings(texture), pose, camera))[0] * 255
    seen = np.asarray(seen_points(pose[0]))
    np.testing.assert_allclose(drawn[..., 0], 2 * (seen[..., 0] + 2.2) / 4.4 * 88, atol=0.02)
    np.testing.assert_allclose(drawn[..., 1], 3 * (2.2 - seen[..., 1]) / 4.8 * 80, atol=0.02)


def test_the_face_covers_as_much_as_it_is_opaque():
    image, around = jnp.full((1, 1, 3), 0.8), jnp.full((1, 1, 3), 0.2)
    shown = shown_before(image, jnp.full((1, 1, 1), 0.25), around)
    np.testing.assert_allclose(shown, 0.35, atol=1e-6)


@pytest.mark.parametrize("displacement", [None, np.ones((7, 4, 5, 2), np.float32)])
def test_arrays_become_the_same_surroundings(displacement):
    around = changing(displacement)
    again = surroundings_from_arrays(surroundings_arrays(around))
    for name, array in surroundings_arrays(again).items():
        np.testing.assert_array_equal(array, surroundings_arrays(around)[name])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("extent", np.zeros(2, np.float32), r"extent: expected shape \(2, 2\), got \(2,\)"),
        ("height", np.zeros((1, 4), np.float32), "height: expected at least 2×2 numbers"),
        ("texture", np.zeros((4, 4, 3), np.uint8), r"texture: expected uint8 .* got uint8 of"),
        ("background", np.zeros((4, 4, 3), np.float32), "background: expected uint8 .* float32"),
    ],
)
def test_damaged_arrays_are_refused(name, value, message):
    arrays = surroundings_arrays(surroundings()) | {name: value}
    with pytest.raises(ValueError, match=message):
        surroundings_from_arrays(arrays)


@pytest.mark.parametrize("name", ["extent", "height", "texture", "background"])
def test_a_missing_array_is_named(name):
    arrays = surroundings_arrays(surroundings())
    del arrays[name]
    with pytest.raises(ValueError, match=f"expected the arrays extent, .*, got no {name}$"):
        surroundings_from_arrays(arrays)


def test_a_background_of_another_size_is_refused():
    with pytest.raises(ValueError, match="expected a background of the frames' 32×48 pixels"):
        check_surroundings(surroundings(), (48, 32))
