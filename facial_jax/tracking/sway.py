"""How a body moves below the head in a video: shoulders that breathe, lean and shrug.

What is not drawn with the head's shell is drawn with the background, and of that a body is what
moves below the chin. Optical flow between the background and each frame says where the frame has
it. In frames that are steadied along it a body stands still, and what they show of it is sharp. Of
a new frame is known what goes linearly with the head's pose.
"""

import numpy as np
from jaxtyping import Bool, Float, UInt8

from facial_jax.pictures import opencv
from facial_jax.rendering.camera import pinhole_camera
from facial_jax.rendering.displacement import SWAY_GRID
from facial_jax.rendering.surroundings import Surroundings
from facial_jax.tracking.background import uncovered_background
from facial_jax.tracking.color_changes import PIXEL_RIDGE, regressors, vertex_changes
from facial_jax.tracking.displacement import head_pixels, optical_flow

_BEGINS = 0.1
"""How far below the chin all that sways does so as a whole, in heights of the picture."""
_STILL, _SWAYS = 0.002, 0.004
"""Root mean square, in heights: up to the first it is a wall's, beside which a body moves."""
_FARTHEST = 0.08
_SMOOTHING = 0.04
"""Standard deviation, in heights: a body moves as a whole, also where the head is before it."""
_LEAST_SEEN = 1e-3
_ROUNDS, _ITERATIONS = 4, 2


def no_sway(count: int) -> Float[np.ndarray, "t sh sw 2"]:
    """Of so many frames."""
    return np.zeros((count, SWAY_GRID, SWAY_GRID, 2), np.float32)


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
    covered: Bool[np.ndarray, "t h w"],
) -> Float[np.ndarray, "t sh sw 2"]:
    """The sway with which these pictures would be nearer to the frames.

    Where it fades out it is that of the highest row that sways as a whole: a neck is stretched.

    Args:
        sway: that is known.
        share: how far each point sways; see `below_chin`.
        pictures: in which nothing sways.
        steady: the frames, steadied by what is known.
        covered: where the head is in these, which tells nothing of the body.
    """
    cv2, (height, width) = opencv(), steady.shape[1:3]
    rows, columns = (np.linspace(0, n - 1, SWAY_GRID).round().astype(int) for n in (height, width))
    whole = np.flatnonzero(share.min(axis=1) == 1)
    if not len(whole):
        return np.zeros_like(sway)
    first, found = whole[0], []
    at = np.ix_(rows[first:], columns)
    for known, picture, frame, hidden in zip(sway, pictures, steady, covered, strict=True):
        seen = np.float32(~hidden)[..., None]
        flow = np.concatenate([seen * optical_flow(picture, frame), seen], axis=-1)
        flow = cv2.GaussianBlur(flow, (0, 0), _SMOOTHING * height)[at]
        flow = flow[..., :2] / np.maximum(flow[..., 2:], _LEAST_SEEN)
        further = known[first:] + flow / height
        found.append(np.concatenate([np.repeat(further[:1], first, axis=0), further]))
    return share[..., None] * np.clip(np.stack(found), -_FARTHEST, _FARTHEST)


def room_sway(
    frames: UInt8[np.ndarray, "t h w 3"],
    covered: Bool[np.ndarray, "t h w"],
    share: Float[np.ndarray, "sh sw"],
    sway: Float[np.ndarray, "t sh sw 2"],
) -> Float[np.ndarray, "t sh sw 2"]:
    """How what is below the head sways in each frame; 0 where nothing does.

    Args:
        frames: the video's.
        covered: where the head is in them.
        share: how far each point sways; see `below_chin`.
        sway: to begin with.
    """
    for _ in range(_ROUNDS):
        steady, hidden = steadied(frames, sway), steadied_mask(covered, sway)
        room = np.broadcast_to(uncovered_background(steady, hidden), steady.shape)
        sway = further_sway(sway, share, room, steady, hidden)
    moves = np.sqrt(np.square(sway).sum(axis=-1).mean(axis=0))
    return sway * np.clip((moves - _STILL) / (_SWAYS - _STILL), 0, 1)[..., None]


def steadied(
    frames: UInt8[np.ndarray, "t h w *c"], sway: Float[np.ndarray, "t sh sw 2"]
) -> UInt8[np.ndarray, "t h w *c"]:
    """The frames as they would be if nothing swayed."""
    cv2, seen = opencv(), []
    for frame, grid in zip(frames, sway, strict=True):
        column, row = _pixels(frame.shape[:2])
        off = _at(grid, column, row, frame.shape[:2])
        places = column + off[..., 0], row + off[..., 1]
        seen.append(cv2.remap(frame, *places, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))
    return np.stack(seen)


def steadied_mask(
    covered: Bool[np.ndarray, "t h w"], sway: Float[np.ndarray, "t sh sw 2"]
) -> Bool[np.ndarray, "t h w"]:
    """What is covered, in steadied frames."""
    return steadied(np.uint8(255) * covered, sway) > 127


def swaying(
    background: UInt8[np.ndarray, "h w 3"], sway: Float[np.ndarray, "t sh sw 2"]
) -> UInt8[np.ndarray, "t h w 3"]:
    """The background as each frame has it: what is steadied is the background again."""
    cv2, seen, (column, row) = opencv(), [], _pixels(background.shape[:2])
    for grid in sway:
        across, down = column, row
        for _ in range(_ITERATIONS):
            off = _at(grid, across, down, background.shape[:2])
            across, down = column - off[..., 0], row - off[..., 1]
        edge = cv2.BORDER_REPLICATE
        seen.append(cv2.remap(background, across, down, cv2.INTER_CUBIC, borderMode=edge))
    return np.stack(seen)


def _pixels(size):
    """Column and row of every pixel's centre, 0 at the first."""
    return np.meshgrid(*(np.arange(n, dtype=np.float32) for n in size[::-1]))


def _at(grid, column, row, size):
    """The grid's values at some pixels, in pixels; its outermost points lie on the outermost."""
    places = (
        ((SWAY_GRID - 1) * x / (n - 1)).astype(np.float32)
        for x, n in zip((column, row), size[::-1], strict=True)
    )
    edge = opencv().BORDER_REPLICATE
    return size[0] * opencv().remap(grid, *places, opencv().INTER_LINEAR, borderMode=edge)


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
