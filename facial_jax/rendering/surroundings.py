"""What is seen around the face: a head that moves with it, and a background that does not.

A face model ends at the forehead's edge and the jaw. Behind it stands a shell: skull, hair, ears
and neck as a height over the plane of the face, textured from a video of the person
(`facial_jax.tracking.surroundings`), which moves as the head does. It is smooth, so that the rays
of few pixels tell where the others meet it: no mesh, no rasterizer.
"""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Shaped, UInt8

from facial_jax.precision import full_precision
from facial_jax.rendering.camera import Camera, rotation_from_euler
from facial_jax.rendering.color_changes import (
    SurroundingsChanges,
    changed_colors,
    changes_arrays,
    deviations,
    surroundings_changes_from_arrays,
)
from facial_jax.rendering.displacement import (
    SWAY_GRID,
    grid_place,
    without_displacement,
    without_sway,
)
from facial_jax.rendering.mapping import map_frames
from facial_jax.rendering.sampling import sample_bilinear

_MIN_SLOPE = 0.05
"""Least slope of a ray against the plane of the face: heads are not turned up to profile."""
_NODES = 33
"""Rays in a row, and in a column, that are followed; what lies between them is interpolated."""
_ITERATIONS, _DAMPING = 12, 0.6
_FIRST_HEIGHT = -0.4  # decimetres; the iteration converges from any
_CHANGES = "changes_"
"""Before their names in files."""


@flax.struct.dataclass
class Surroundings:
    """A person's head and the place where they are, as one video shows them."""

    extent: Float[Array | np.ndarray, "2 2"]
    # x and y, head space, of what is left and top in `height` and `texture`, and of what is right
    # and bottom: the centres of their first and their last entries; decimetres
    height: Float[Array | np.ndarray, "gh gw"]
    # z, head space, of the head's surface, decimetres
    texture: UInt8[Array | np.ndarray, "th tw 4"]
    # red, green, blue as seen (light included), and opacity, of the head
    background: UInt8[Array | np.ndarray, "h w 3"]
    # what does not move with the head, as large as the frames
    changes: SurroundingsChanges | None = None
    # of both one's colours as the head moves; None: they stay as they are


@flax.struct.dataclass
class SurroundingsMotion:
    """How head and body are beside the places that the head's pose gives them, in some frames."""

    displacement: Float[Array | np.ndarray, "*t dh dw 2"] | None = None
    # of the shell's points, decimetres (`facial_jax.rendering.displacement`)
    sway: Float[Array | np.ndarray, "*t sh sw 2"] | None = None
    # of what the background shows of the body, in heights of the picture: the lowest rows of a
    # grid over it, those above which nothing sways (`facial_jax.rendering.displacement.SWAY_GRID`)


def shell_height(
    height: Float[Array, "gh gw"],
    extent: Float[Array, "2 2"],
    x: Float[Array, "*b"],
    y: Float[Array, "*b"],
) -> Float[Array, "*b"]:
    """z of the shell at these x and y, head space, decimetres; beyond its edge that of the edge."""
    place = grid_place(jnp.stack([x, y], axis=-1), extent, height.shape)
    return sample_bilinear(height[..., None], place)[..., 0]


@full_precision
def shell_seen(
    height: Float[Array, "gh gw"],
    extent: Float[Array, "2 2"],
    pose: Float[Array, "6"],
    camera: Camera,
    size: tuple[int, int],
    displacement: Float[Array, "dh dw 2"] | None = None,
) -> Float[Array, "h w 2"]:
    """x and y, head space, of the shell's point that each pixel's centre shows; decimetres.

    `displacement`: of the shell's points, see `facial_jax.rendering.displacement`.
    """
    column, row = jnp.moveaxis(
        (nodes(size) - camera.center_px[None, None]) / camera.focal_px, -1, 0
    )
    row = -row
    rotation = rotation_from_euler(pose[:3])
    # World directions (column, row, −1) and the camera's place, turned back into the head's space.
    eye = jnp.stack([-pose[3], -pose[4], camera.distance - pose[5]]) @ rotation
    dx, dy, dz = (
        column * rotation[0, axis] + row * rotation[1, axis] - rotation[2, axis]
        for axis in range(3)
    )
    dz = jnp.minimum(dz, -_MIN_SLOPE)

    def meet(z):
        distance = (z - eye[2]) / dz
        return eye[0] + distance * dx, eye[1] + distance * dy

    def nearer(_, z):
        return z + _DAMPING * (shell_height(height, extent, *meet(z)) - z)

    z = lax.fori_loop(0, _ITERATIONS, nearer, jnp.full_like(dz, _FIRST_HEIGHT))
    met = jnp.stack(jnp.broadcast_arrays(*meet(z)), axis=-1)
    if displacement is not None:
        met = without_displacement(displacement, extent, met)
    return between_nodes(met, size)


def nodes(size: tuple[int, int]) -> Float[Array, "m m 2"]:
    """Column and row, in pixels, through which rays are followed, over all of the image."""
    height, width = size
    along = np.linspace(0, 1, _NODES, dtype=np.float32)
    return jnp.asarray(np.stack(np.meshgrid(width * along, height * along), axis=-1))


def between_nodes(values: Float[Array, "m m c"], size: tuple[int, int]) -> Float[Array, "h w c"]:
    """What is known at the nodes, interpolated at the pixels' centres."""
    down, across = (jnp.asarray(_between_nodes(n)) for n in size)
    channels = range(values.shape[-1])
    return jnp.stack([down @ values[..., axis] @ across.T for axis in channels], axis=-1)


def _between_nodes(count: int) -> Float[np.ndarray, "n m"]:
    """The matrix that interpolates at `count` pixels' centres between the nodes."""
    place = (np.arange(count) + 0.5) / count * (_NODES - 1)
    apart = np.abs(place[:, None] - np.arange(_NODES))
    return np.maximum(1 - apart, 0).astype(np.float32)


def usual_motion(
    surroundings: Surroundings, pose: Float[Array | np.ndarray, "t 6"]
) -> SurroundingsMotion:
    """How head and body are displaced at these poses, as far as it is known."""
    changes = surroundings.changes
    if changes is None:
        return SurroundingsMotion()
    apart = deviations(pose, jnp.asarray(changes.mean), jnp.asarray(changes.deviation))

    def at_poses(known):
        if known is None:
            return None
        known = jnp.asarray(known, jnp.float32)
        return known[:1] + jnp.tensordot(apart, known[1:], axes=1)

    return SurroundingsMotion(at_poses(changes.displacement), at_poses(changes.sway))


def draw_surroundings(
    surroundings: Surroundings,
    pose: Float[Array, "t 6"],
    camera: Camera,
    motion: SurroundingsMotion | None = None,
) -> Float[Array, "t h w 3"]:
    """The head's shell before the background, RGB in [0, 1].

    Args:
        surroundings: the person's.
        pose: of the head, radians and decimetres.
        camera: for images of the background's size.
        motion: of head and body, if it is not the usual one.
    """
    if motion is None:
        motion = usual_motion(surroundings, pose)
    size = surroundings.background.shape[:2]
    texture, background, changes = (
        jax.tree.map(jnp.asarray, part)
        for part in (surroundings.texture, surroundings.background, surroundings.changes)
    )

    def draw(pose, motion):
        rgba, behind = texture, background
        if changes is not None:
            apart = deviations(pose, changes.mean, changes.deviation)
            rgba = changed_colors(rgba, changes.texture, changes.texture_range, apart)
            behind = changed_colors(behind, changes.background, changes.background_range, apart)
        # Colours times opacity: between two points, one of which is not there, is no colour of it.
        color, opacity = jnp.split(rgba.astype(jnp.float32), [3], axis=-1)
        values = jnp.concatenate([opacity / 255 * color, opacity / 255], axis=-1)
        behind = behind.astype(jnp.float32)
        if motion.sway is not None:
            places = without_sway(motion.sway, nodes(size), size)
            above = max(SWAY_GRID - motion.sway.shape[0] - 1, 0)
            first = above * (size[0] - 1) // (SWAY_GRID - 1)
            body = sample_bilinear(behind, between_nodes(places, size)[first:] - 0.5)
            behind = jnp.concatenate([behind[:first], body])
        shell = surroundings.height, surroundings.extent
        shown = draw_shell(values, *shell, pose, camera, size, motion.displacement)
        return (shown[..., :3] + (1 - shown[..., 3:]) * behind) / 255

    return map_frames(draw, pose, motion)


def draw_shell(
    values: Shaped[Array | np.ndarray, "th tw c"],
    height: Float[Array | np.ndarray, "gh gw"],
    extent: Float[Array | np.ndarray, "2 2"],
    pose: Float[Array, "6"],
    camera: Camera,
    size: tuple[int, int],
    displacement: Float[Array | np.ndarray, "dh dw 2"] | None = None,
) -> Float[Array, "h w c"]:
    """Values on the head's shell, as one frame shows them; 0 beyond it.

    Args:
        values: over the extent, as `Surroundings.texture`.
        height: as `Surroundings.height`.
        extent: as `Surroundings.extent`.
        pose: of the head, radians and decimetres.
        camera: for images of this size.
        size: (height, width) of the image in pixels.
        displacement: of the shell's points, decimetres.
    """
    if displacement is not None:
        displacement = jnp.asarray(displacement)
    values, height, extent = (jnp.asarray(x) for x in (values, height, extent))
    end = jnp.array([x - 1 for x in values.shape[1::-1]], jnp.float32)
    seen = shell_seen(height, extent, pose, camera, size, displacement)
    place = grid_place(seen, extent, values.shape)
    within = ((place >= 0) & (place <= end[None, None])).all(axis=-1, keepdims=True)
    return jnp.where(within, sample_bilinear(values, place), 0.0)


def check_surroundings(surroundings: Surroundings, size: tuple[int, int]) -> None:
    """Raises ValueError if the background is not of the frames' (height, width)."""
    if (got := tuple(surroundings.background.shape[:2])) != tuple(size):
        raise ValueError(
            f"surroundings: expected a background of the frames' {size[1]}×{size[0]} pixels, got "
            f"{got[1]}×{got[0]}"
        )


def surroundings_arrays(surroundings: Surroundings) -> dict[str, np.ndarray]:
    """As files hold it; the inverse of `surroundings_from_arrays`."""
    arrays = {
        "extent": np.asarray(surroundings.extent, np.float32),
        "height": np.asarray(surroundings.height, np.float32),
        "texture": np.asarray(surroundings.texture),
        "background": np.asarray(surroundings.background),
    }
    if surroundings.changes is not None:
        changes = changes_arrays(surroundings.changes)
        arrays |= {_CHANGES + name: array for name, array in changes.items()}
    return arrays


def surroundings_from_arrays(arrays: dict[str, np.ndarray]) -> Surroundings:
    """What `surroundings_arrays` gave.

    Raises:
        ValueError: one of them is missing, or of another shape or type.
    """
    names = "extent", "height", "texture", "background"
    if missing := [name for name in names if name not in arrays]:
        raise ValueError(
            f"surroundings: expected the arrays {', '.join(names)}, got no {', '.join(missing)}"
        )
    extent, height = arrays["extent"], arrays["height"]
    if extent.shape != (2, 2):
        raise ValueError(f"extent: expected shape (2, 2), got {extent.shape}")
    if height.ndim != 2 or min(height.shape) < 2:
        raise ValueError(f"height: expected at least 2×2 numbers, got shape {height.shape}")
    for name, channels in (("texture", 4), ("background", 3)):
        array = arrays[name]
        fits = array.ndim == 3 and array.shape[-1] == channels and min(array.shape[:2]) > 1
        if not fits or array.dtype != np.uint8:
            raise ValueError(
                f"{name}: expected uint8 of shape (height, width, {channels}), got {array.dtype} "
                f"of {array.shape}"
            )
    texture, background = arrays["texture"], arrays["background"]
    changes = {
        name.removeprefix(_CHANGES): array
        for name, array in arrays.items()
        if name.startswith(_CHANGES)
    }
    if changes:
        sizes = texture.shape[:2], background.shape[:2]
        changes = surroundings_changes_from_arrays(changes, *sizes)
    return Surroundings(
        extent=extent,
        height=height,
        texture=texture,
        background=background,
        changes=changes or None,
    )


def shown_before(
    image: Float[Array, "*t h w 3"],
    opacity: Float[Array, "*t h w 1"],
    surroundings: Float[Array, "*t h w 3"],
) -> Float[Array, "*t h w 3"]:
    """The rendered face before what is around it; `opacity` as `RenderedFace.mask`."""
    return opacity * image + (1 - opacity) * surroundings
