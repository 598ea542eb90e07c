"""A person's head and the place around it, as a video shows them.

What does not move is the median of the frames; what moves with the head is the median of the frames
seen from the head. Which of both a point of the head's shell shows is told by what varies less.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8
from scipy.ndimage import gaussian_filter

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
from facial_jax.rendering.surroundings import HeadShell, Surroundings, shell_points

MAX_FRAMES = 64
EXTENT_DM = ((-2.2, 2.2), (2.2, -2.6))
"""x, and y from top to bottom, of the head's texture: whole crops, wherever the head is in them."""
SHELL_RADII = (1.17, 1.31, 0.75)
"""The ellipsoid's half axes as shares of the face's half width, half height and whole depth: behind
the face, as wide as a head is at the ears and as high as the crown."""
_SMOOTHING_DM = 0.06
_SEEN_SHARE = 0.25
"""A texel that fewer frames show fades out."""
_OPAQUE = 0.3, 0.7
"""The background's share of both variances at which the head begins to be seen, and is opaque."""
_ROWS = 32


def surroundings_frames(count: int) -> Int[np.ndarray, "n"]:
    """Numbers of the frames that are looked at: up to 64 of `count`, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, MAX_FRAMES)).round().astype(int))


def head_shell(shape: Float[np.ndarray, "n 3"]) -> HeadShell:
    """The shell behind a face of this shape (decimetres, without expression)."""
    low, high = np.asarray(shape).min(axis=0), np.asarray(shape).max(axis=0)
    half = (high - low) * np.array([0.5, 0.5, 1.0])
    return HeadShell(
        center=np.array([*(low + high)[:2] / 2, low[2]], np.float32),
        radii=(half * np.array(SHELL_RADII)).astype(np.float32),
    )


def video_surroundings(
    shape: Float[np.ndarray, "n 3"],
    pose: Float[np.ndarray, "t 6"],
    frames: UInt8[np.ndarray, "t h w 3"],
) -> Surroundings:
    """What these frames show around the face.

    Args:
        shape: the person's face without expression, decimetres.
        pose: of the head in each frame, radians and decimetres.
        frames: the video's, at the size at which they are to be made; see `surroundings_frames`.

    Raises:
        ValueError: there is no frame.
    """
    if not len(frames):
        raise ValueError("frames: expected at least one frame, got none")
    size = frames.shape[1:3]
    camera, shell = pinhole_camera(size), head_shell(shape)
    texel = float((camera.distance - np.median(pose[:, 5])) / camera.focal_px)
    columns, rows = (round(abs(b - a) / texel) + 1 for a, b in EXTENT_DM)
    x, y = (np.linspace(*ends, n) for ends, n in zip(EXTENT_DM, (columns, rows), strict=True))
    x_grid, y_grid = (jnp.asarray(grid, jnp.float32) for grid in np.meshgrid(x, y))
    points = shell_points(shell, x_grid, y_grid).reshape(-1, 3)
    background = np.median(frames, axis=0).astype(np.uint8)
    seen_head, seen_place, within = [], [], []
    for frame, row in zip(frames, np.asarray(pose, np.float32), strict=True):
        pixels = np.asarray(_project(points, row, camera)).reshape(rows, columns, 2)
        seen_head.append(_sample(frame, pixels))
        seen_place.append(_sample(background, pixels))
        within.append(((pixels > 0) & (pixels < size[::-1])).all(axis=-1))
    texture, opacity = _texture(np.stack(seen_head), np.stack(seen_place), np.stack(within), texel)
    rgba = np.concatenate([texture, opacity[..., None] * 255], axis=-1)
    return Surroundings(
        shell=shell,
        extent=np.array([[x[0], y[0]], [x[-1], y[-1]]], np.float32),
        texture=rgba.round().astype(np.uint8),
        background=background,
    )


@jit
@full_precision
def _project(
    points: Float[Array, "n 3"], pose: Float[Array | np.ndarray, "6"], camera: Camera
) -> Float[Array, "n 2"]:
    posed = transform_vertices(points, rotation_from_euler(pose[:3]), pose[3:])
    return project_to_pixels(camera, camera_vertices(camera, posed))


def _sample(
    image: UInt8[np.ndarray, "h w 3"], pixels: Float[np.ndarray, "th tw 2"]
) -> UInt8[np.ndarray, "th tw 3"]:
    """The image at these places, whose pixels' centres lie at +0.5; outside, its edge."""
    cv2 = opencv()
    x, y = np.moveaxis(pixels.astype(np.float32) - np.float32(0.5), -1, 0)
    return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _texture(
    head: UInt8[np.ndarray, "t th tw 3"],
    place: UInt8[np.ndarray, "t th tw 3"],
    within: Bool[np.ndarray, "t th tw"],
    texel: float,
) -> tuple[Float[np.ndarray, "th tw 3"], Float[np.ndarray, "th tw"]]:
    """The head's median colour, and how much a texel is the head's rather than the place's.

    `head`: what the frames show at each texel; `place`: what the background shows there; `within`:
    whether the frame reaches so far; `texel`: decimetres.
    """
    rows, columns = head.shape[1:3]
    texture = np.empty((rows, columns, 3), np.float32)
    off_head, off_place = (np.empty((rows, columns), np.float32) for _ in range(2))
    for start in range(0, rows, _ROWS):
        part = slice(start, start + _ROWS)
        shown = np.where(within[:, part, :, None], head[:, part].astype(np.float32), np.nan)
        seen = within[:, part].any(axis=0)
        shown[:, ~seen] = 0
        texture[part] = np.nanmedian(shown, axis=0)
        off_head[part] = np.nanmean(np.abs(shown - texture[part]), axis=(0, 3))
        off_place[part] = np.nanmean(np.abs(shown - place[:, part]), axis=(0, 3))
    smoothing = _SMOOTHING_DM / texel
    head_variance, place_variance = (
        gaussian_filter(off, smoothing) ** 2 for off in (off_head, off_place)
    )
    share = place_variance / (place_variance + head_variance + 1e-3)
    low, high = _OPAQUE
    opacity = np.clip((share - low) / (high - low), 0, 1)
    return texture, opacity * np.clip(within.mean(axis=0) / _SEEN_SHARE, 0, 1)
