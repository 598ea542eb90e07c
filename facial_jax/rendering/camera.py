"""Pinhole and weak-perspective cameras: from model space to camera space, pixels and clip space.

Model space is in decimetres, x to the image's right, y up, z towards the viewer. The camera stands
on the z axis and looks along −z: depth = distance − z. Pixels have x to the right and y down, row 0
on top, pixel centres at +0.5. Clip space is the rasterizer's: row 0 of an image is y = −1.
"""

import flax.struct
import jax
import jax.numpy as jnp
import jaxlie
from jaxtyping import Array, Float

from facial_jax.attributes import Attributes
from facial_jax.precision import full_precision

REFERENCE_SIZE_PX = 224  # Deep3DFaceRecon's image, for which its focal length is given
REFERENCE_FOCAL_PX = 1015.0
REFERENCE_DISTANCE = 10.0  # decimetres


@flax.struct.dataclass
class Camera:
    """A pinhole camera for one image size."""

    focal_px: Float[Array, ""]
    # focal length in pixels
    center_px: Float[Array, "2"]
    # x, y of the optical axis in pixels
    distance: Float[Array, ""]
    # from the camera to the model's origin, decimetres
    near: float = flax.struct.field(pytree_node=False, default=1.0)
    # nearest depth that is drawn, decimetres
    far: float = flax.struct.field(pytree_node=False, default=20.0)
    # farthest depth that is drawn, decimetres


def pinhole_camera(
    size: tuple[int, int],
    *,
    focal_px_at_224: float = REFERENCE_FOCAL_PX,
    distance: float = REFERENCE_DISTANCE,
) -> Camera:
    """The camera of Deep3DFaceRecon, its focal length scaled with the image's height.

    Args:
        size: (height, width) of the image in pixels.
        focal_px_at_224: focal length for an image 224 pixels high.
        distance: from the camera to the model's origin, decimetres.
    """
    height, width = size
    return Camera(
        focal_px=jnp.asarray(focal_px_at_224 * height / REFERENCE_SIZE_PX, jnp.float32),
        center_px=jnp.asarray([width / 2, height / 2], jnp.float32),
        distance=jnp.asarray(distance, jnp.float32),
    )


@flax.struct.dataclass
class WeakPerspectiveCamera:
    """A camera so far away that depth does not change what is seen: pixels = scale · (x, y) + t."""

    scale: Float[Array, "*b"]
    # pixels per decimetre
    center_px: Float[Array, "*b 2"]
    # where the model's origin is seen, x right and y down, pixels
    distance: float = flax.struct.field(pytree_node=False, default=REFERENCE_DISTANCE)
    # what depth is counted from, decimetres; it only orders points


def weak_perspective_pose(
    pose: Float[Array, "*b 6"], size: tuple[int, int]
) -> tuple[Float[Array, "*b 3"], WeakPerspectiveCamera]:
    """Angles in radians and the camera of published pose vectors.

    Args:
        pose: pitch, yaw, roll in degrees; scale in pixels per decimetre; the translation x (right)
            and y (up) of the model's origin from the middle of the image in pixels: the first six
            of the published 71-vectors.
        size: (height, width) of the image for which they are given.
    """
    height, width = size
    angles_rad = jnp.deg2rad(pose[..., :3])
    center_px = jnp.stack([width / 2 + pose[..., 4], height / 2 - pose[..., 5]], axis=-1)
    return angles_rad, WeakPerspectiveCamera(scale=pose[..., 3], center_px=center_px)


def pinhole_translation(camera: Camera, weak: WeakPerspectiveCamera) -> Float[Array, "*b 3"]:
    """The translation (decimetres) with which a pinhole sees what a weak-perspective camera saw.

    The depth is the one at which the scale is the same, focal length / scale. The model's origin
    and what lies in its plane are then seen in the same pixels; a point z nearer to the viewer
    is seen farther from the origin's pixel by the factor depth / (depth − z).
    """
    depth = camera.focal_px / weak.scale
    # Seen from the pinhole's optical axis, where it is at that depth.
    right = (weak.center_px[..., 0] - camera.center_px[0]) / weak.scale
    up = (camera.center_px[1] - weak.center_px[..., 1]) / weak.scale
    return jnp.stack([right, up, camera.distance - depth], axis=-1)


def weak_perspective_camera(
    camera: Camera, translation: Float[Array, "*b 3"]
) -> WeakPerspectiveCamera:
    """The inverse of `pinhole_translation`: scale and place of the model's origin."""
    scale = camera.focal_px / (camera.distance - translation[..., 2])
    center_px = jnp.stack(
        [
            camera.center_px[0] + scale * translation[..., 0],
            camera.center_px[1] - scale * translation[..., 1],
        ],
        axis=-1,
    )
    return WeakPerspectiveCamera(scale=scale, center_px=center_px)


@full_precision
def rotation_from_euler(angles_rad: Float[Array, "*b 3"]) -> Float[Array, "*b 3 3"]:
    """R = Rz·Ry·Rx from (pitch, yaw, roll), the rotations about x, y, z, in radians."""
    pitch, yaw, roll = jnp.moveaxis(angles_rad, -1, 0)

    def one(about_x, about_y, about_z):
        # jaxlie's roll, pitch and yaw are the rotations about x, y and z. It mixes dtypes inside.
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return jaxlie.SO3.from_rpy_radians(about_x, about_y, about_z).as_matrix()

    matrices = jax.vmap(one)(pitch.reshape(-1), yaw.reshape(-1), roll.reshape(-1))
    return matrices.reshape(*pitch.shape, 3, 3)


@full_precision
def euler_from_rotation(rotation: Float[Array, "*b 3 3"]) -> Float[Array, "*b 3"]:
    """The inverse of `rotation_from_euler`: (pitch, yaw, roll) in radians, yaw within ±π/2.

    At ±π/2 pitch and roll are one rotation: they are finite there, and nothing more.
    """

    def one(matrix):
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            about_x, about_y, about_z = jaxlie.SO3.from_matrix(matrix).as_rpy_radians()
        # Rounding takes jaxlie's sine beyond 1 at ±π/2.
        beyond = jnp.isnan(about_y) & jnp.isfinite(matrix).all()
        about_y = jnp.where(beyond, jnp.copysign(jnp.pi / 2, -matrix[2, 0]), about_y)
        return jnp.stack([about_x, about_y, about_z])

    angles = jax.vmap(one)(rotation.reshape(-1, 3, 3))
    return angles.reshape(*rotation.shape[:-2], 3)


def transform_vertices(
    vertices: Float[Array, "*b n 3"],
    rotation: Float[Array, "*b 3 3"],
    translation: Float[Array, "*b 3"],
) -> Float[Array, "*b n 3"]:
    """Head to world, still in decimetres with z towards the viewer: v @ Rᵀ + t."""
    # Written out: on a CPU three times as fast as a matrix product with so few columns.
    rows = [
        sum(vertices[..., j] * rotation[..., i, j, None] for j in range(3))
        + translation[..., i, None]
        for i in range(3)
    ]
    return jnp.stack(rows, axis=-1)


def pose_vertices(
    vertices: Float[Array, "*b n 3"], attributes: Attributes
) -> Float[Array, "*b n 3"]:
    """`transform_vertices` by the attributes' pose (radians and decimetres)."""
    rotation = rotation_from_euler(attributes.pose[..., :3])
    return transform_vertices(vertices, rotation, attributes.pose[..., 3:])


def camera_vertices(
    camera: Camera | WeakPerspectiveCamera, vertices_world: Float[Array, "*b n 3"]
) -> Float[Array, "*b n 3"]:
    """Camera space: x right, y up, z the depth from the camera (distance − z), in decimetres."""
    x, y, z = jnp.moveaxis(vertices_world, -1, 0)
    return jnp.stack([x, y, camera.distance - z], axis=-1)


def project_to_pixels(
    camera: Camera | WeakPerspectiveCamera, vertices_camera: Float[Array, "*b n 3"]
) -> Float[Array, "*b n 2"]:
    """Pixel positions (x right, y down), meaningful for vertices in front of the camera only."""
    x, y, depth = jnp.moveaxis(vertices_camera, -1, 0)
    if isinstance(camera, WeakPerspectiveCamera):
        scale, center = camera.scale[..., None], camera.center_px[..., None, :]
        return jnp.stack([center[..., 0] + x * scale, center[..., 1] - y * scale], axis=-1)
    scale = camera.focal_px / depth
    return jnp.stack([camera.center_px[0] + x * scale, camera.center_px[1] - y * scale], axis=-1)


def clip_positions(
    camera: Camera, vertices_camera: Float[Array, "*b n 3"], size: tuple[int, int]
) -> Float[Array, "*b n 4"]:
    """Homogeneous clip-space positions (x, y, z, w) for the rasterizer.

    w is the depth; x/w and y/w are −1 at the image's left and top edge and 1 at its right and
    bottom edge; z/w is −1 at the near and 1 at the far plane.
    """
    height, width = size
    x, y, depth = jnp.moveaxis(vertices_camera, -1, 0)
    x_clip = (2 / width) * (camera.focal_px * x + camera.center_px[0] * depth) - depth
    y_clip = (2 / height) * (-camera.focal_px * y + camera.center_px[1] * depth) - depth
    near, far = camera.near, camera.far
    z_clip = ((far + near) * depth - 2 * far * near) / (far - near)
    return jnp.stack([x_clip, y_clip, z_clip, depth], axis=-1)
