"""How a body moves below the head in a video: shoulders that breathe, lean and shrug.

Optical flow between the median of the frames and each of them says where what is below the chin is
seen, whether it is drawn with the head's shell or with the room. In frames that are steadied along
it a body stands still, and its median is sharp. Of a new frame is known what goes linearly with the
head's pose.
"""

import numpy as np
from jaxtyping import Float, UInt8

from facial_jax.pictures import opencv
from facial_jax.rendering.camera import pinhole_camera
from facial_jax.rendering.displacement import SWAY_GRID
from facial_jax.rendering.surroundings import Surroundings
from facial_jax.tracking.color_changes import PIXEL_RIDGE, regressors, vertex_changes
from facial_jax.tracking.displacement import head_pixels, optical_flow

_BEGINS = 0.1
"""How far below the chin all that sways does so as a whole, in heights of the picture."""
_STILL, _SWAYS = 0.002, 0.004
"""Root mean square, in heights: up to the first it is a wall's, beside which a body moves."""
_FARTHEST = 0.08
_ROUNDS = 4


def below_chin(
    shape: Float[np.ndarray, "n 3"], pose: Float[np.ndarray, "6"], size: tuple[int, int]
) -> Float[np.ndarray, "sh sw"]:
    """How far each point of the grid sways with the body, in [0, 1].

    Args:
        shape: the person's face without expression, decimetres.
        pose: the usual one of the head, radians and decimetres.
        size: (height, width) of the frames.
    """
    chin = shape[[shape[:, 1].argmin()]].astype(np.float32)
    row = float(head_pixels(chin, pose, pinhole_camera(size))[0, 1]) / size[0]
    share = np.clip((np.linspace(0, 1, SWAY_GRID) - row) / _BEGINS, 0, 1)
    return np.repeat(share[:, None].astype(np.float32), SWAY_GRID, axis=1)


def further_sway(
    sway: Float[np.ndarray, "t sh sw 2"],
    share: Float[np.ndarray, "sh sw"],
    pictures: UInt8[np.ndarray, "t h w 3"],
    steady: UInt8[np.ndarray, "t h w 3"],
) -> Float[np.ndarray, "t sh sw 2"]:
    """The sway with which these pictures would be nearer to the frames.

    Args:
        sway: that is known.
        share: how far each point sways; see `below_chin`.
        pictures: in which nothing sways.
        steady: the frames, steadied by what is known.
    """
    height, width = steady.shape[1:3]
    rows, columns = (np.linspace(0, n - 1, SWAY_GRID).round().astype(int) for n in (height, width))
    smoothing, found = height / SWAY_GRID / 2, []
    for known, picture, frame in zip(sway, pictures, steady, strict=True):
        flow = opencv().GaussianBlur(optical_flow(picture, frame), (0, 0), smoothing)
        found.append(known + share[..., None] * flow[np.ix_(rows, columns)] / height)
    return np.clip(np.stack(found), -_FARTHEST, _FARTHEST)


def steadied(
    frames: UInt8[np.ndarray, "t h w 3"], sway: Float[np.ndarray, "t sh sw 2"]
) -> UInt8[np.ndarray, "t h w 3"]:
    """The frames as they would be if nothing swayed."""
    cv2, (height, width) = opencv(), frames.shape[1:3]
    column, row = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in (width, height)))
    # The grid's first and last points lie on pixels' centres.
    across, down = (
        ((SWAY_GRID - 1) * x / (n - 1)).astype(np.float32)
        for x, n in ((column, width), (row, height))
    )
    seen = []
    for frame, grid in zip(frames, sway, strict=True):
        off = height * cv2.remap(grid, across, down, cv2.INTER_LINEAR)
        places = column + off[..., 0], row + off[..., 1]
        edge = cv2.BORDER_REPLICATE
        seen.append(cv2.remap(frame, *places, cv2.INTER_CUBIC, borderMode=edge))
    return np.stack(seen)


def video_sway(
    frames: UInt8[np.ndarray, "t h w 3"], share: Float[np.ndarray, "sh sw"]
) -> Float[np.ndarray, "t sh sw 2"]:
    """How what is below the head sways in each frame; 0 where nothing does.

    `share`: how far each point sways; see `below_chin`.
    """
    sway = np.zeros((len(frames), SWAY_GRID, SWAY_GRID, 2), np.float32)
    for _ in range(_ROUNDS):
        steady = steadied(frames, sway)
        usual = np.median(steady, axis=0).round().astype(np.uint8)
        sway = further_sway(sway, share, np.broadcast_to(usual, steady.shape), steady)
    moves = np.sqrt(np.square(sway).sum(axis=-1).mean(axis=0))
    return sway * np.clip((moves - _STILL) / (_SWAYS - _STILL), 0, 1)[..., None]


def with_sway(
    around: Surroundings, sway: Float[np.ndarray, "t sh sw 2"], pose: Float[np.ndarray, "t 6"]
) -> Surroundings:
    """The same with what of the sway goes with the pose, by ridge regressions.

    Args:
        around: what steadied frames show, and how it changes with the pose.
        sway: of these frames.
        pose: of the head in them, radians and decimetres.
    """
    rows = np.flatnonzero(sway.any(axis=(0, 2, 3)))
    if not len(rows):
        return around
    lowest, changes = sway[:, rows[0] :], around.changes
    given = regressors(pose, changes.mean, changes.deviation)
    flat = lowest.reshape(len(sway), -1, 2)
    found = vertex_changes(given, flat, np.ones(flat.shape[:2], bool), held_back=PIXEL_RIDGE)
    return around.replace(changes=changes.replace(sway=found.reshape(-1, *lowest.shape[1:])))


def whole_grid(sway: Float[np.ndarray, "t lowest sw 2"]) -> Float[np.ndarray, "t sh sw 2"]:
    """The same with the rows above that do not sway."""
    above = SWAY_GRID - sway.shape[1]
    return np.pad(sway, ((0, 0), (above, 0), (0, 0), (0, 0)))
