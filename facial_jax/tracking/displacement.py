"""Where the points of a head's shell are seen in a video, beside where its pose has them.

What is shown of a frame is compared with it by optical flow (DIS; Kroeger et al., ECCV 2016), and
the shell's points are displaced along it. Textures that are made with what was found in each frame
are sharp. A new frame gets what goes linearly with the pose; the most of it does not (hair that
swings, shoulders that stay behind).
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from facial_jax.attributes import POSE_SIZE
from facial_jax.compilation import jit
from facial_jax.pictures import opencv
from facial_jax.precision import full_precision
from facial_jax.rendering.camera import (
    Camera,
    camera_vertices,
    pinhole_camera,
    project_to_pixels,
    rotation_from_euler,
    transform_vertices,
)
from facial_jax.rendering.surroundings import Surroundings
from facial_jax.tracking.color_changes import PIXEL_RIDGE, vertex_changes

GRID = 60, 55
"""Rows and columns over a shell: one point every 0.08 dm."""
_SMOOTHING = 1 / 64
"""Standard deviation of the smoothing of the flow, in heights of the picture."""
_PATCH, _STRIDE = 8, 3
"""Of the flow, in pixels."""
_FARTHEST_DM = 0.35


def no_displacement(count: int) -> Float[np.ndarray, "t gh gw 2"]:
    """Of so many frames."""
    return np.zeros((count, *GRID, 2), np.float32)


def extent_points(
    extent: Sequence[Sequence[float]] | Float[np.ndarray, "2 2"], shape: tuple[int, int]
) -> tuple[Float[np.ndarray, "rows columns"], Float[np.ndarray, "rows columns"]]:
    """x and y of a grid (rows, columns) over an extent, as `Surroundings.extent`: the places that
    `grid_place` counts.
    """
    (left, top), (right, bottom) = extent
    return np.meshgrid(np.linspace(left, right, shape[1]), np.linspace(top, bottom, shape[0]))


def grid_points(
    around: Surroundings, shape: tuple[int, int] = GRID
) -> Float[np.ndarray, "gh gw 3"]:
    """The head's points, so many rows and columns, head space, decimetres."""
    x, y = extent_points(np.asarray(around.extent), shape)
    height = opencv().resize(np.asarray(around.height, np.float32), shape[::-1])
    return np.stack([x, y, height], axis=-1).astype(np.float32)


def further_displacement(
    displacement: Float[np.ndarray, "t gh gw 2"],
    around: Surroundings,
    pose: Float[np.ndarray, "t 6"],
    shown: UInt8[np.ndarray, "t h w 3"],
    frames: UInt8[np.ndarray, "t h w 3"],
) -> Float[np.ndarray, "t gh gw 2"]:
    """The displacement with which the shown pictures would be nearer to the frames.

    Args:
        displacement: with which they are shown, decimetres.
        around: gives the head's points.
        pose: of the head in each frame, radians and decimetres.
        shown: pictures of the person at these poses.
        frames: the video's.
    """
    shape, camera = displacement.shape[1:3], pinhole_camera(frames.shape[1:3])
    points = grid_points(around, shape)
    border, further = opencv().BORDER_REPLICATE, []
    for known, row, picture, frame in zip(displacement, pose, shown, frames, strict=True):
        moved = (points + np.pad(known, ((0, 0), (0, 0), (0, 1)))).reshape(-1, 3)
        pixels = np.asarray(head_pixels(moved, row, camera)).reshape(*shape, 2)
        across, down = (pixels - np.float32(0.5)).transpose(2, 0, 1)
        flow = opencv().remap(
            optical_flow(picture, frame), across, down, opencv().INTER_LINEAR, borderMode=border
        )
        back = np.asarray(_from_pixels(moved, row, camera))
        off = np.einsum("nij,nj->ni", back, flow.reshape(-1, 2)).reshape(*shape, 2)
        further.append(np.clip(known + off, -_FARTHEST_DM, _FARTHEST_DM))
    return np.stack(further)


def optical_flow(
    picture: UInt8[np.ndarray, "h w 3"], other: UInt8[np.ndarray, "h w 3"]
) -> Float[np.ndarray, "h w 2"]:
    """How far right and down what one picture shows is in the other one; pixels, smooth."""
    cv2 = opencv()
    finder = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    finder.setFinestScale(0)
    finder.setPatchSize(_PATCH)
    finder.setPatchStride(_STRIDE)
    flow = finder.calc(*(cv2.cvtColor(x, cv2.COLOR_RGB2GRAY) for x in (picture, other)), None)
    return cv2.GaussianBlur(flow, (0, 0), _SMOOTHING * len(picture))


@jit
@full_precision
def head_pixels(
    points: Float[Array | np.ndarray, "n 3"], pose: Float[Array | np.ndarray, "6"], camera: Camera
) -> Float[Array, "n 2"]:
    """Where points of the head (head space, decimetres) are seen at a pose."""
    posed = transform_vertices(points, rotation_from_euler(pose[:3]), pose[3:])
    return project_to_pixels(camera, camera_vertices(camera, posed))


@jit
@full_precision
def _from_pixels(
    points: Float[Array | np.ndarray, "n 3"], pose: Float[Array | np.ndarray, "6"], camera: Camera
) -> Float[Array, "n 2 2"]:
    """What turns pixels, at these points of the head, into decimetres in the plane of the face."""
    rotation = rotation_from_euler(pose[:3])
    placed = camera_vertices(camera, transform_vertices(points, rotation, pose[3:]))
    right_up = jnp.array([1.0, -1.0])[None] * placed[:, 2:] / camera.focal_px
    return jnp.linalg.inv(rotation[:2, :2])[None] * right_up[:, None, :]


def displacement_by_pose(
    displacement: Float[np.ndarray, "t gh gw 2"],
    around: Surroundings,
    pose: Float[np.ndarray, "t 6"],
    given: Float[np.ndarray, "t 7"],
    size: tuple[int, int],
) -> Float[np.ndarray, "7 gh gw 2"]:
    """What of it goes with the pose, as `SurroundingsChanges.displacement`: ridge regressions.

    Args:
        displacement: in each frame.
        around: gives the head's points.
        pose: of the head in each frame.
        given: what is regressed on, of these poses.
        size: (height, width) of the frames, beyond which nothing is seen.
    """
    camera, points = pinhole_camera(size), grid_points(around).reshape(-1, 3)
    pixels = np.stack([np.asarray(head_pixels(points, row, camera)) for row in pose])
    seen = ((pixels > 0) & (pixels < np.array(size[::-1]))).all(axis=-1)
    flat = displacement.reshape(len(pose), -1, 2)
    found = vertex_changes(given, flat, seen, held_back=PIXEL_RIDGE)
    return found.reshape(1 + POSE_SIZE, *GRID, 2)
