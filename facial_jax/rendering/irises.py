"""Irises that look somewhere: small pictures of them, drawn between the lids."""

import flax.struct
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, UInt8

from facial_jax.face.eyes import EYEBALL_RADIUS_DM, IRIS_RADIUS_DM, gaze_direction
from facial_jax.precision import full_precision
from facial_jax.rendering.camera import (
    Camera,
    camera_vertices,
    project_to_pixels,
    rotation_from_euler,
    transform_vertices,
)
from facial_jax.rendering.sampling import sample_bilinear

TEXELS = 24
REACH = 1.2
"""Pictures of irises reach this many of an iris' radii from its middle."""
_WINDOW = 6
"""Pixels near an eye are looked at in a square of a sixth of the picture."""
_MIN_FACING = 0.4
"""Cosine of the angle under which an iris is seen, at least: beyond that it is hardly drawn wrong,
but its picture would be stretched without bound."""


@flax.struct.dataclass
class Irises:
    """A person's irises, the picture's left one first."""

    texture: UInt8[Array | np.ndarray, "2 k k 3"]
    # as seen, light included, from above
    offset: Float[Array | np.ndarray, "2 2"]
    # of either eye's gaze from the gaze of both, radians
    usual_gaze: Float[Array | np.ndarray, "2"]
    # relative to the head, radians; where the eyes look while nothing else is known


@flax.struct.dataclass
class PlacedIrises:
    """Where a frame shows both irises."""

    middle: Float[Array, "2 2"]
    # pixels
    facing: Float[Array, "2 3"]
    # unit vectors of where they look; x right, y up, z towards the viewer
    radius: Float[Array, "2"]
    # pixels


@full_precision
def place_irises(
    centres: Float[Array, "2 3"],
    gaze: Float[Array, "2 2"],
    pose: Float[Array, "6"],
    camera: Camera,
) -> PlacedIrises:
    """Where the irises are seen.

    Args:
        centres: of the eyeballs, head space, decimetres.
        gaze: of either eye relative to the head, radians.
        pose: of the head.
        camera: for the picture.
    """
    rotation, direction = rotation_from_euler(pose[:3]), gaze_direction(gaze)
    points = transform_vertices(centres + EYEBALL_RADIUS_DM * direction, rotation, pose[3:])
    seen = camera_vertices(camera, points)
    facing = direction @ rotation.T
    radius = IRIS_RADIUS_DM * camera.focal_px / seen[:, 2]
    return PlacedIrises(project_to_pixels(camera, seen), facing, radius)


def on_iris(
    offset: Float[Array, "*b 2"], facing: Float[Array, "3"], roll: Float[Array, ""]
) -> Float[Array, "*b 2"]:
    """Places on the iris' disc from places in the picture, in one unit, y down in both.

    Args:
        offset: in the picture, from the iris' middle.
        facing: where the iris looks, see `PlacedIrises`.
        roll: of the head.
    """
    normal = jnp.stack([facing[0], -facing[1]]).reshape((1,) * (offset.ndim - 1) + (2,))
    cosine = jnp.maximum(facing[2], _MIN_FACING)
    along = (offset * normal).sum(axis=-1, keepdims=True)
    disc = offset + normal * along / (cosine * (1 + cosine))
    cos, sin = jnp.cos(roll), jnp.sin(roll)
    x, y = disc[..., 0], disc[..., 1]
    return jnp.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)


def from_iris(
    disc: Float[Array, "*b 2"], facing: Float[Array, "3"], roll: Float[Array, ""]
) -> Float[Array, "*b 2"]:
    """The inverse of `on_iris`."""
    cos, sin = jnp.cos(roll), jnp.sin(roll)
    x, y = disc[..., 0], disc[..., 1]
    turned = jnp.stack([cos * x + sin * y, cos * y - sin * x], axis=-1)
    normal = jnp.stack([facing[0], -facing[1]]).reshape((1,) * (disc.ndim - 1) + (2,))
    cosine = jnp.maximum(facing[2], _MIN_FACING)
    # Along the normal, on_iris stretches by 1 + |n|² / (c (1 + c)).
    square = (normal**2).sum()
    along = (turned * normal).sum(axis=-1, keepdims=True)
    return turned - normal * along / (cosine * (1 + cosine) + square)


def draw_irises(
    image: Float[Array, "h w 3"],
    eyeballs: Float[Array, "h w 1"],
    irises: Irises,
    centres: Float[Array, "2 3"],
    gaze: Float[Array, "2"],
    pose: Float[Array, "6"],
    camera: Camera,
) -> Float[Array, "h w 3"]:
    """The picture of a face with its irises where it looks.

    Args:
        image: RGB in [0, 1]; between the lids the white of the eyes.
        eyeballs: how much of each pixel is between the lids, in [0, 1].
        irises: the person's.
        centres: of the eyeballs, head space, decimetres.
        gaze: relative to the head, radians.
        pose: of the head, radians and decimetres.
        camera: for the picture.
    """
    height, width = image.shape[:2]
    side = max(min(height, width) // _WINDOW, 4)
    texture = jnp.asarray(irises.texture).astype(jnp.float32) / 255
    placed = place_irises(centres, gaze[None] + jnp.asarray(irises.offset), pose, camera)
    k = texture.shape[1]
    for eye in range(2):
        middle = placed.middle[eye]
        left, top = (
            jnp.clip(jnp.round(m - side / 2).astype(jnp.int32), 0, n - side)
            for m, n in ((middle[0], width), (middle[1], height))
        )
        pixel = jnp.arange(side, dtype=jnp.float32) + 0.5
        column, row = (
            pixel + n.astype(pixel.dtype) - m for n, m in zip((left, top), middle, strict=True)
        )
        offset = jnp.stack(jnp.broadcast_arrays(column[None, :], row[:, None]), axis=-1)
        disc = on_iris(offset, placed.facing[eye], pose[2])
        distance = jnp.linalg.norm(disc, axis=-1, keepdims=True)
        share = jnp.clip(placed.radius[eye] + 0.5 - distance, 0.0, 1.0)
        place = (disc / (REACH * placed.radius[eye]) + 1) / 2 * k - 0.5
        color = sample_bilinear(texture[eye], place)
        start = (top, left, jnp.int32(0))
        share = share * lax.dynamic_slice(eyeballs, start, (side, side, 1))
        under = lax.dynamic_slice(image, start, (side, side, 3))
        image = lax.dynamic_update_slice(image, under + share * (color - under), start)
    return image


def irises_arrays(irises: Irises) -> dict[str, np.ndarray]:
    """As files hold it; the inverse of `irises_from_arrays`."""
    return {
        "texture": np.asarray(irises.texture),
        "offset": np.asarray(irises.offset, np.float32),
        "usual_gaze": np.asarray(irises.usual_gaze, np.float32),
    }


def irises_from_arrays(arrays: dict[str, np.ndarray]) -> Irises:
    """What `irises_arrays` gave.

    Raises:
        ValueError: one is missing, or of another shape or type.
    """
    for name, shape in (("offset", (2, 2)), ("usual_gaze", (2,))):
        array = arrays.get(name)
        if array is None or array.shape != shape or not np.isfinite(array).all():
            raise ValueError(f"eyes: expected finite numbers {name} of shape {shape}")
    texture = arrays.get("texture")
    if (
        texture is None
        or texture.dtype != np.uint8
        or texture.ndim != 4
        or texture.shape[0] != 2
        or texture.shape[1] != texture.shape[2]
        or texture.shape[3] != 3
        or texture.shape[1] < 2
    ):
        raise ValueError("eyes: expected uint8 texture of shape (2, k, k, 3)")
    return Irises(texture, arrays["offset"], arrays["usual_gaze"])
