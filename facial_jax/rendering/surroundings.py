"""What is seen around the face: a head that moves with it, and a background that does not.

A face model ends at the forehead's edge and the jaw. Behind it stands a shell: the front of an
ellipsoid, where the skull is, on a plane through its middle, where hair, ears and neck are. It is
textured from a video of the person (`facial_jax.tracking.surroundings`) and moves as the head does.
Both surfaces are met by a pixel's ray in closed form: no mesh, no rasterizer.
"""

import flax.struct
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from facial_jax.precision import full_precision
from facial_jax.rendering.camera import Camera, rotation_from_euler
from facial_jax.rendering.mapping import map_frames

_MIN_SLOPE = 0.05
"""Of a ray against the plane: a head is never turned so far that one looks along it."""


@flax.struct.dataclass
class HeadShell:
    """The shell's shape, in the head's space."""

    center: Float[Array | np.ndarray, "3"]
    # of the ellipsoid, decimetres; the plane goes through it, at its z
    radii: Float[Array | np.ndarray, "3"]
    # half axes of the ellipsoid, decimetres


@flax.struct.dataclass
class Surroundings:
    """A person's head and the place where they are, as one video shows them."""

    shell: HeadShell
    # what the head's texture lies on
    extent: Float[Array | np.ndarray, "2 2"]
    # x and y of the centres of the texture's first texel (top left) and of its last, decimetres
    texture: UInt8[Array | np.ndarray, "th tw 4"]
    # red, green, blue as seen (light included), and opacity, of the head
    background: UInt8[Array | np.ndarray, "h w 3"]
    # what does not move, as large as the frames


def shell_points(
    shell: HeadShell, x: Float[Array, "*b"], y: Float[Array, "*b"]
) -> Float[Array, "*b 3"]:
    """The shell's points at these x and y, head space, decimetres."""
    inside = 1 - ((x - shell.center[0]) / shell.radii[0]) ** 2
    inside = inside - ((y - shell.center[1]) / shell.radii[1]) ** 2
    height = shell.radii[2] * jnp.sqrt(jnp.maximum(inside, 0.0))
    return jnp.stack([x, y, shell.center[2] + height], axis=-1)


@full_precision
def shell_seen(
    shell: HeadShell, pose: Float[Array, "6"], camera: Camera, size: tuple[int, int]
) -> Float[Array, "h w 2"]:
    """x and y, head space, of the shell's point that each pixel's centre shows; decimetres.

    Far outside the texture where the plane is seen from behind or along it.
    """
    height, width = size
    rotation = rotation_from_euler(pose[:3])
    column = (jnp.arange(width, dtype=jnp.float32) + 0.5 - camera.center_px[0]) / camera.focal_px
    row = (camera.center_px[1] - jnp.arange(height, dtype=jnp.float32) - 0.5) / camera.focal_px
    # World directions (column, row, −1) and the camera's place, turned back into the head's space.
    eye = jnp.stack([-pose[3], -pose[4], camera.distance - pose[5]]) @ rotation

    def turned_back(axis):
        across, up = column * rotation[0, axis], row * rotation[1, axis]
        return across[None, :] + up[:, None] - rotation[2, axis]

    dx, dy, dz = (turned_back(axis) for axis in range(3))
    to_plane = (shell.center[2] - eye[2]) / jnp.minimum(dz, -_MIN_SLOPE)
    ox, oy, oz = (eye - shell.center) / shell.radii
    rx, ry, rz = (d / shell.radii[i] for i, d in enumerate((dx, dy, dz)))
    a, b = rx * rx + ry * ry + rz * rz, rx * ox + ry * oy + rz * oz
    discriminant = b * b - a * (ox * ox + oy * oy + oz * oz - 1)
    to_ellipsoid = (-b - jnp.sqrt(jnp.maximum(discriminant, 0.0))) / a
    on_ellipsoid = (discriminant > 0) & (oz + to_ellipsoid * rz > 0)
    distance = jnp.where(on_ellipsoid, to_ellipsoid, to_plane)
    return jnp.stack([eye[0] + distance * dx, eye[1] + distance * dy], axis=-1)


def draw_surroundings(
    surroundings: Surroundings, pose: Float[Array, "t 6"], camera: Camera
) -> Float[Array, "t h w 3"]:
    """The head's shell before the background, RGB in [0, 1].

    Args:
        surroundings: the person's.
        pose: of the head, radians and decimetres.
        camera: for images of the background's size.
    """
    background = jnp.asarray(surroundings.background).astype(jnp.float32) / 255
    texture = jnp.asarray(surroundings.texture)
    size, (rows, columns) = background.shape[:2], texture.shape[:2]
    end = jnp.array([[[columns - 1, rows - 1]]], jnp.float32)
    first, last = jnp.asarray(surroundings.extent)[:, None, None]
    scale = end / (last - first)
    texels = texture.reshape(-1, 4)

    def draw(pose):
        place = (shell_seen(surroundings.shell, pose, camera, size) - first) * scale
        within = ((place >= 0) & (place <= end)).all(axis=-1, keepdims=True)
        place = jnp.clip(place, 0.0, end)
        corner = jnp.minimum(place.astype(jnp.int32), end.astype(jnp.int32) - 1)
        share = place - corner.astype(jnp.float32)
        index = corner[..., 1] * columns + corner[..., 0]

        def at(step):
            rows = texels.at[index + step].get(mode="promise_in_bounds")
            return rows.astype(jnp.float32) / 255

        right, down = share[..., :1], share[..., 1:]
        above = at(0) * (1 - right) + at(1) * right
        below = at(columns) * (1 - right) + at(columns + 1) * right
        color = above * (1 - down) + below * down
        opacity = jnp.where(within, color[..., 3:], 0.0)
        return opacity * color[..., :3] + (1 - opacity) * background

    return map_frames(draw, pose)


def check_surroundings(surroundings: Surroundings, size: tuple[int, int]) -> None:
    """Raises ValueError where the background is not of the frames' (height, width)."""
    if (found := tuple(surroundings.background.shape[:2])) != tuple(size):
        raise ValueError(
            f"surroundings: expected a background of the frames' {size[1]}×{size[0]} pixels, got "
            f"{found[1]}×{found[0]}"
        )


def surroundings_arrays(surroundings: Surroundings) -> dict[str, np.ndarray]:
    """As files hold it; the inverse of `surroundings_from_arrays`."""
    return {
        "center": np.asarray(surroundings.shell.center, np.float32),
        "radii": np.asarray(surroundings.shell.radii, np.float32),
        "extent": np.asarray(surroundings.extent, np.float32),
        "texture": np.asarray(surroundings.texture),
        "background": np.asarray(surroundings.background),
    }


def surroundings_from_arrays(arrays: dict[str, np.ndarray]) -> Surroundings:
    """What `surroundings_arrays` gave.

    Raises:
        KeyError: one of them is missing.
        ValueError: one is of another shape or type.
    """
    shapes = {"center": (3,), "radii": (3,), "extent": (2, 2)}
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise ValueError(f"{name}: expected shape {shape}, got {arrays[name].shape}")
    for name, channels in (("texture", 4), ("background", 3)):
        array = arrays[name]
        fits = array.ndim == 3 and array.shape[-1] == channels and min(array.shape[:2]) > 1
        if not fits or array.dtype != np.uint8:
            raise ValueError(
                f"{name}: expected uint8 of shape (height, width, {channels}), got {array.dtype} "
                f"of {array.shape}"
            )
    return Surroundings(
        shell=HeadShell(center=arrays["center"], radii=arrays["radii"]),
        extent=arrays["extent"],
        texture=arrays["texture"],
        background=arrays["background"],
    )


def shown_before(
    image: Float[Array, "*t h w 3"],
    opacity: Float[Array, "*t h w 1"],
    surroundings: Float[Array, "*t h w 3"],
) -> Float[Array, "*t h w 3"]:
    """The rendered face before what is around it; `opacity` as `RenderedFace.mask`."""
    return opacity * image + (1 - opacity) * surroundings
