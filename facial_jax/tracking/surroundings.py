"""A person's head and the place around it, as a video shows them.

What moves with the head is the median of the frames seen from the head; what does not, the median
of the frames where the head is not before it. Which of both a point of the head's shell shows is
told by what varies less. The one depends on the other, so both are found in turns, beginning with
the face's ellipsoid as the head. The shell's height is found as in a plane sweep (Collins, CVPR
1996): it is the one at which what the frames show of a point varies least.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy.ndimage import binary_propagation, distance_transform_edt, gaussian_filter

from facial_jax.compilation import jit
from facial_jax.pictures import disc, opencv
from facial_jax.rendering.camera import Camera, pinhole_camera
from facial_jax.rendering.color_changes import SurroundingsChanges
from facial_jax.rendering.displacement import grid_place
from facial_jax.rendering.sampling import sample_bilinear
from facial_jax.rendering.surroundings import Surroundings, draw_shell
from facial_jax.tracking.background import still_background, uncovered_background
from facial_jax.tracking.color_changes import PixelChanges, PixelRange, regressors, spread
from facial_jax.tracking.displacement import displacement_by_pose, extent_points, head_pixels
from facial_jax.tracking.matting import (
    NOISE,
    further_opacity,
    inside_and_edge,
    matted,
    without_holes,
)
from facial_jax.tracking.sway import no_sway, steadied, steadied_mask, swaying
from facial_jax.tracking.texture import evenly_spread

MAX_FRAMES = 64
MAX_FRAMES_OF_CHANGES = 256
EXTENT_DM = ((-2.2, 2.2), (2.2, -2.6))
"""x, and y from top to bottom, of the head's texture: whole crops, wherever the head is in them."""
_CORNERS_DM = tuple(zip(*EXTENT_DM, strict=True))
"""The same as `Surroundings.extent` has it."""
_GRID = 120, 110
"""Rows and columns of heights: one every 0.04 dm."""
_RADII = (1.17, 1.31, 0.75)
"""Half axes of the ellipsoid that heights are sought around, as shares of the face's half width,
half height and whole depth: behind the face, as wide as a head at the ears, as high as the crown.
"""
_OFFSETS_DM = (-0.9, -0.7, -0.5, -0.3, -0.15, 0.0, 0.15, 0.3, 0.45)
"""Heights that are tried, from the ellipsoid's front, or the plane through its middle."""
_STIFFNESS = 30.0
"""Grey levels by which a point must vary less, per dm² that it lies off the most likely height."""
_SMOOTHING_DM = 0.15
"""Of heights."""
_MIN_DRAWN_SHARE = 0.25
"""A point that fewer frames show tells nothing of the head's height."""
_TOLD_SHARES = 0.2, 0.5
"""Shares of the frames that show a point. From the second it is as opaque as they tell; up to the
first, in which all things stand still, as the nearest one above or below that half of them show:
heads and necks go on beyond a frame."""
_REACH_DM = 0.25
"""How far beyond what any frame shows they go on."""
_TURNS = 3
COVERED = 0.1
"""Opacity from which a pixel is not the background's."""
_OPAQUE = 0.3, 0.7
"""The background's share of both variances at which the head begins to be seen, and is opaque."""
_OFTEN = 1 / 8
"""Share of the frames in which a pixel beside the head must be uncovered to be believed there."""
_ALIKE = 16.0
"""Grey levels by which two colours may differ that are thought to be the same."""
_OPACITY_SMOOTHING_DM = 0.06
_OWN = 0.95
"""Opacity from which a texel at the head's edge shows nothing but the head."""
_INLET_DM = 0.4
"""Width of what is peeled off into the head no farther."""
_BESIDE_DM, _CHIN_DM = 0.3, -0.85
"""How far beside the shell there may be hair, and the y from which on there is none."""
_ROWS = 32
_FINER = 1.5
"""Texels of the shell in a pixel of the frames."""


def surroundings_frames(count: int, at_most: int = MAX_FRAMES) -> Int[np.ndarray, "n"]:
    """Numbers of the frames that are looked at: up to 64 of `count` if no other, evenly spread."""
    return evenly_spread(count, at_most)


def video_surroundings(
    shape: Float[np.ndarray, "n 3"],
    pose: Float[np.ndarray, "t 6"],
    frames: UInt8[np.ndarray, "t h w 3"],
    *,
    height: Float[np.ndarray, "gh gw"] | None = None,
    displacement: Float[np.ndarray, "t dh dw 2"] | None = None,
    sway: Float[np.ndarray, "t sh sw 2"] | None = None,
) -> Surroundings:
    """What these frames show around the face.

    Args:
        shape: the person's face without expression, decimetres.
        pose: of the head in each frame, radians and decimetres.
        frames: the video's, at the size at which they are to be made; see `surroundings_frames`.
        height: of the head's shell, if it is known.
        displacement: of the head's points in each frame, if it is known.
        sway: of the body in each frame, if it is known (`facial_jax.tracking.sway`).

    Raises:
        ValueError: there is no frame.
    """
    if not len(frames):
        raise ValueError("frames: expected at least one frame, got none")
    camera, pose = pinhole_camera(frames.shape[1:3]), np.asarray(pose, np.float32)
    background = np.median(frames, axis=0).astype(np.uint8)
    if height is None:
        height = _find_height(shape, pose, frames, background, camera)
    texel = float((camera.distance - np.median(pose[:, 5])) / camera.focal_px) / _FINER
    columns, rows = (round(abs(b - a) / texel) + 1 for a, b in EXTENT_DM)
    cv2 = opencv()
    fine = cv2.resize(height, (columns, rows), interpolation=cv2.INTER_LINEAR)
    head, within = _seen_from_head(fine, pose, frames, camera, displacement)
    x, y = extent_points(_CORNERS_DM, (rows, columns))
    opacity, extent = _in_ellipsoid(shape, x, y), np.array(_CORNERS_DM, np.float32)
    shell = height, extent, pose, camera, frames.shape[1:3], displacement
    sway = no_sway(len(frames)) if sway is None else sway
    steady = steadied(frames, sway)

    def covered(opacity):
        return steadied_mask(head_opacity(opacity, *shell) > COVERED, sway)

    def room(opacity):
        # Above the head may be hair that was not taken for it: only what stands still is believed.
        hidden = covered(opacity)
        still = still_background(steady, uncovered_background(steady, hidden), hidden)[..., 0] > 127
        return uncovered_background(steady, covered(_wider(opacity, texel, y > 0)), hidden | ~still)

    for _ in range(_TURNS):
        background = room(opacity)
        behind = swaying(background, sway)
        place, _ = _seen_from_head(fine, pose, behind, camera, displacement)
        texture, opacity = _texture(head, place, within, texel)
        # Of hair that is of one colour nothing tells whether it moves.
        opacity = np.where(y > _CHIN_DM, without_holes(opacity), opacity)
    # Once, and last: where head is taken for place, the next background has it.
    face, neck = _in_ellipsoid(shape, x, y) > 0, y < np.asarray(shape)[:, 1].min()
    opacity = _peeled(opacity, texture, place, face, neck, texel)
    background = uncovered_background(steady, covered(opacity))
    rgba = np.concatenate([texture, opacity[..., None] * 255], axis=-1)
    return Surroundings(
        extent=extent,
        height=height,
        texture=rgba.round().astype(np.uint8),
        background=background,
    )


def changing_surroundings(
    around: Surroundings,
    pose: Float[np.ndarray, "t 6"],
    frames: UInt8[np.ndarray, "t h w 3"],
    *,
    displacement: Float[np.ndarray, "t dh dw 2"] | None = None,
    sway: Float[np.ndarray, "t sh sw 2"] | None = None,
) -> Surroundings:
    """The same with how its colours change as the head moves; their means are the frames', too.

    At the head's edge colours and opacity are the head's own (`facial_jax.tracking.matting`), and
    the opacity changes, too.

    Args:
        around: what `video_surroundings` found.
        pose: of the head in each frame, radians and decimetres.
        frames: the same video's, of the same size; see `MAX_FRAMES_OF_CHANGES`.
        displacement: of the head's points in each frame, if it is known.
        sway: of the body in each frame, if it is known.
    """
    camera, pose = pinhole_camera(frames.shape[1:3]), np.asarray(pose, np.float32)
    sway = no_sway(len(frames)) if sway is None else sway
    around = _with_all_uncovered(around, pose, frames, displacement, sway)
    around, edge = _matted(around, pose, frames, displacement)
    background = np.asarray(around.background)
    color, opacity = np.split(np.asarray(around.texture).astype(np.float32), [3], axis=-1)
    opacity, at_edge = opacity / 255, edge[..., None]
    fine = opencv().resize(np.asarray(around.height), edge.shape[::-1])
    mean, deviation = spread(pose)
    given = regressors(pose, mean, deviation)
    texel, y = _texels(around)
    hidden = _wider(opacity[..., 0], texel, y > _CHIN_DM)
    # At the edge a texel's colour is only a part of what is seen; elsewhere it is what is seen.
    colors = PixelChanges(given, color.shape, share=np.where(at_edge, opacity, 1))
    opacities, room = PixelChanges(given, opacity.shape), PixelChanges(given, background.shape)
    of_color, of_opacity, of_room = (
        PixelRange(first) for first in (color, opacity, background.astype(np.float32))
    )
    for i, (row, frame) in enumerate(zip(pose[:, None], frames[:, None], strict=True)):
        of_frame = None if displacement is None else displacement[i : i + 1]
        (seen,), (within,) = _seen_from_head(fine, row, frame, camera, of_frame)
        of_body = sway[i : i + 1]
        place = swaying(background, of_body)
        (behind,), _ = _seen_from_head(fine, row, place, camera, of_frame)
        toward = color - behind
        off = seen - np.where(at_edge, behind + opacity * toward, color)
        now = np.clip(opacity + further_opacity(off, toward), 0, 1)
        more = np.where(at_edge, now - opacity, 0)
        opacities.add(more, within)
        colors.add(off - more * toward, within)
        of_opacity.add(opacity + more, within)
        of_color.add(seen, within)
        head = head_opacity(
            hidden, around.height, around.extent, row, camera, frame.shape[1:3], of_frame
        )
        ((steady,), (covered,)) = steadied(frame, of_body), steadied_mask(head > COVERED, of_body)
        room.add(steady.astype(np.float32) - background, ~covered)
        of_room.add(steady, ~covered)
    rgba, *by_rgba = np.concatenate([colors.solve(), 255 * opacities.solve()], axis=-1)
    rgba += np.concatenate([color, 255 * opacity], axis=-1)
    room_mean, *by_room = room.solve()
    # What is seen at the edge is of the place, too: there the head is as its nearest inner texel.
    mixed = edge & (opacity[..., 0] < _OWN)
    nearest = distance_transform_edt(mixed, return_distances=False, return_indices=True)
    range_of_color = PixelRange(color, *of_color.both[:, *nearest]).both
    by_pose = None
    if displacement is not None:
        by_pose = displacement_by_pose(displacement, around, pose, given, frames.shape[1:3])
    return around.replace(
        texture=_bytes(rgba),
        background=_bytes(background + room_mean),
        changes=SurroundingsChanges(
            mean=mean,
            deviation=deviation,
            texture=_signed_bytes(by_rgba),
            background=_signed_bytes(by_room),
            texture_range=_bytes(np.concatenate([range_of_color, 255 * of_opacity.both], axis=-1)),
            background_range=_bytes(of_room.both),
            displacement=by_pose,
        ),
    )


def _with_all_uncovered(
    around: Surroundings,
    pose: Float[np.ndarray, "t 6"],
    frames: UInt8[np.ndarray, "t h w 3"],
    displacement: Float[np.ndarray, "t dh dw 2"] | None,
    sway: Float[np.ndarray, "t sh sw 2"],
) -> Surroundings:
    """The same with the background that these frames show: more of it than fewer do."""
    covered = steadied_mask(covered_by_head(around, pose, frames.shape[1:3], displacement), sway)
    pixel = np.ones((3, 3), np.uint8)
    wider = np.stack([opencv().dilate(np.uint8(one), pixel) > 0 for one in covered])
    # Beside the head pixels show a mixture of both.
    seldom = (~covered).mean(axis=0) < _OFTEN
    background = uncovered_background(steadied(frames, sway), covered | seldom, wider)
    return around.replace(background=background)


def _matted(
    around: Surroundings,
    pose: Float[np.ndarray, "t 6"],
    frames: UInt8[np.ndarray, "t h w 3"],
    displacement: Float[np.ndarray, "t dh dw 2"] | None,
) -> tuple[Surroundings, Bool[np.ndarray, "th tw"]]:
    """The same with the head's own colours and opacity at its edge, and where that is.

    Only where it is known what is behind the head, and that it stands still, and above the chin: a
    neck is of the place, too.
    """
    numbers = surroundings_frames(len(frames))
    pose, frames = pose[numbers], frames[numbers]
    displacement = None if displacement is None else displacement[numbers]
    camera = pinhole_camera(frames.shape[1:3])
    color, opacity = np.split(np.asarray(around.texture).astype(np.float32), [3], axis=-1)
    opacity = opacity[..., 0] / 255
    background, (texel, y) = np.asarray(around.background), _texels(around)
    inside, edge = inside_and_edge(opacity, texel)

    def seen(pictures):
        return _seen_from_head(fine, pose, pictures, camera, displacement)

    fine = opencv().resize(np.asarray(around.height), opacity.shape[::-1])
    covered = covered_by_head(around, pose, frames.shape[1:3], displacement)
    still = still_background(frames, background, covered)
    still, _ = seen([still] * len(pose))
    known = gaussian_filter(still.mean(axis=0)[..., 0], _OPACITY_SMOOTHING_DM / texel) > 127
    edge &= known & (y > _CHIN_DM)
    place, _ = seen([background] * len(pose))
    shown, within = seen(frames)
    color, opacity = matted(color, opacity, inside, edge, shown, place, within)
    rgba = np.concatenate([color, 255 * opacity[..., None]], axis=-1)
    return around.replace(texture=_bytes(rgba)), edge


def cropped_to_head(around: Surroundings) -> Surroundings:
    """The same, the shell as far as there is a head: less to keep, and less to draw."""
    head = np.asarray(around.texture)[..., 3] > 0
    if not head.any():
        return around
    spans = []
    for axis in (1, 0):
        (seen,) = head.any(axis=axis).nonzero()
        spans.append((max(int(seen[0]) - 1, 0), min(int(seen[-1]) + 2, head.shape[1 - axis])))
    part = tuple(slice(*span) for span in spans)
    extent = np.asarray(around.extent)
    texels = (extent[1] - extent[0]) / (np.array(head.shape[::-1]) - 1)
    ends = np.array([[start, stop - 1] for start, stop in spans[::-1]]).T
    cropped = (extent[0] + ends * texels).astype(np.float32)

    def within(grid):
        """The grid over the cropped extent, twice as dense: its points lie between those."""
        share = (cropped[1] - cropped[0]) / (extent[1] - extent[0])
        columns, rows = np.ceil(2 * share * (np.array(grid.shape[1::-1]) - 1)) + 1
        points = np.stack(extent_points(cropped, (int(rows), int(columns))), axis=-1)
        points = jnp.asarray(points, jnp.float32)
        place = grid_place(points, jnp.asarray(extent), grid.shape)
        return np.asarray(sample_bilinear(jnp.asarray(grid), place))

    changes = around.changes
    if changes is not None:
        displacement = changes.displacement
        if displacement is not None:
            displacement = np.stack([within(one) for one in displacement])
        changes = changes.replace(
            texture=changes.texture[:, *part],
            texture_range=changes.texture_range[:, *part],
            displacement=displacement,
        )
    return around.replace(
        extent=cropped,
        height=within(np.asarray(around.height)[..., None])[..., 0],
        texture=around.texture[part],
        changes=changes,
    )


def _wider(
    opacity: Float[np.ndarray, "th tw"], texel: float, where: Bool[np.ndarray, "th _"]
) -> Float[np.ndarray, "th tw"]:
    """The opacity, widened in some rows: hair beside it would leave ghosts in the room."""
    return np.where(where, opencv().dilate(opacity, disc(_BESIDE_DM / texel)), opacity)


def _texels(around: Surroundings) -> tuple[float, Float[np.ndarray, "th 1"]]:
    """How wide one of the shell's texels is, and y of each of their rows; decimetres."""
    (left, top), (right, bottom) = np.asarray(around.extent)
    rows, columns = around.texture.shape[:2]
    return float(right - left) / (columns - 1), np.linspace(top, bottom, rows)[:, None]


def _bytes(colors):
    return np.clip(colors, 0, 255).round().astype(np.uint8)


def _signed_bytes(changes):
    return np.clip(changes, -127, 127).round().astype(np.int8)


def head_opacity(
    opacity: Float[np.ndarray, "th tw"],
    height: Float[np.ndarray, "gh gw"],
    extent: Float[np.ndarray, "2 2"],
    pose: Float[np.ndarray, "t 6"],
    camera: Camera,
    size: tuple[int, int],
    displacement: Float[np.ndarray, "t dh dw 2"] | None = None,
) -> Float[np.ndarray, "t h w"]:
    """How much of each pixel the head is in each frame, in [0, 1]; see `draw_shell`."""
    values, rows = np.asarray(opacity, np.float32)[..., None], _of_frames(displacement, pose)
    return np.stack(
        [
            _draw(values, height, extent, row, camera, size=size, displacement=moved)[..., 0]
            for row, moved in zip(pose, rows, strict=True)
        ]
    )


def covered_by_head(
    around: Surroundings,
    pose: Float[np.ndarray, "t 6"],
    size: tuple[int, int],
    displacement: Float[np.ndarray, "t dh dw 2"] | None = None,
) -> Bool[np.ndarray, "t h w"]:
    """Where the head is in each frame."""
    opacity = np.asarray(around.texture)[..., 3].astype(np.float32) / 255
    shell = np.asarray(around.height), np.asarray(around.extent)
    camera = pinhole_camera(size)
    return head_opacity(opacity, *shell, pose, camera, size, displacement) > COVERED


def _of_frames(displacement, pose):
    return [None] * len(pose) if displacement is None else displacement


_draw = jit(draw_shell, static_argnames=("size",))


def _ellipsoid(
    shape: Float[np.ndarray, "n 3"], x: Float[np.ndarray, "*b"], y: Float[np.ndarray, "*b"]
) -> Float[np.ndarray, "*b"]:
    """Heights of an ellipsoid behind this face, and around it of the plane through its middle."""
    low, depth, inside = _about_face(shape, x, y)
    return low + depth * np.sqrt(np.maximum(inside, 0))


def _in_ellipsoid(
    shape: Float[np.ndarray, "n 3"], x: Float[np.ndarray, "*b"], y: Float[np.ndarray, "*b"]
) -> Float[np.ndarray, "*b"]:
    """1 where that ellipsoid is, else 0."""
    return (_about_face(shape, x, y)[2] > 0).astype(np.float32)


def _about_face(shape, x, y):
    """The ellipsoid's middle height, its half depth, and how far within its outline a point is."""
    low, high = np.asarray(shape).min(axis=0), np.asarray(shape).max(axis=0)
    radii = (high - low) * np.array([0.5, 0.5, 1.0]) * np.array(_RADII)
    middle = (low + high) / 2
    inside = 1 - ((x - middle[0]) / radii[0]) ** 2 - ((y - middle[1]) / radii[1]) ** 2
    return low[2], radii[2], inside


def _find_height(
    shape: Float[np.ndarray, "n 3"],
    pose: Float[np.ndarray, "t 6"],
    frames: UInt8[np.ndarray, "t h w 3"],
    background: UInt8[np.ndarray, "h w 3"],
    camera: Camera,
) -> Float[np.ndarray, "gh gw"]:
    """The height of the shell, decimetres: see this file's first lines.

    First the offset from the ellipsoid is found that suits the head best as a whole, then that of
    every point, near to it.
    """
    cv2, (rows, columns) = opencv(), _GRID
    left, right = EXTENT_DM[0]
    smoothing = _SMOOTHING_DM / (right - left) * (columns - 1)
    x, y = extent_points(_CORNERS_DM, (rows, columns))
    first = _ellipsoid(shape, x, y)
    pose = pose[::2]
    # As coarse as the grid: finer detail would only add noise.
    blurred = [cv2.GaussianBlur(frame, (0, 0), len(frame) / 192) for frame in frames[::2]]
    place = [cv2.GaussianBlur(background, (0, 0), len(background) / 192)] * len(pose)

    def off(seen, within, about):
        """Mean difference of a point from `about`, where it is in the frame; smooth."""
        apart = np.abs(seen.astype(np.float32) - about).mean(axis=-1)
        mean = (apart * within).sum(axis=0) / np.maximum(within.sum(axis=0), 1)
        return gaussian_filter(mean, smoothing)

    sweep = [_seen_from_head(first + offset, pose, blurred, camera) for offset in _OFFSETS_DM]
    costs = np.stack([off(seen, within, np.median(seen, axis=0)) for seen, within in sweep])
    seen, within = sweep[_OFFSETS_DM.index(0.0)]
    behind = off(seen, within, _seen_from_head(first, pose, place, camera)[0])
    # Where the frames are unlike the background, and some height explains them: there is the head.
    is_head = np.maximum(behind**2 - costs.min(axis=0) ** 2, 0)
    is_head = is_head * (within.mean(axis=0) > _MIN_DRAWN_SHARE)
    offsets = np.array(_OFFSETS_DM)
    likely = int(((costs * is_head).sum(axis=(1, 2)) / max(is_head.sum(), 1e-9)).argmin())
    if not is_head.any():
        return first.astype(np.float32)
    stiff = costs + _STIFFNESS * ((offsets - offsets[likely]) ** 2)[:, None, None]
    gained = stiff[likely] - stiff.min(axis=0) + 1e-2
    offset = gaussian_filter(offsets[stiff.argmin(axis=0)] * gained, smoothing)
    height = first + offset / gaussian_filter(gained, smoothing)
    return gaussian_filter(height, smoothing / 2).astype(np.float32)


def _seen_from_head(
    height: Float[np.ndarray, "th tw"],
    pose: Float[np.ndarray, "t 6"],
    pictures: list[np.ndarray] | np.ndarray,
    camera: Camera,
    displacement: Float[np.ndarray, "t dh dw 2"] | None = None,
) -> tuple[UInt8[np.ndarray, "t th tw 3"], Bool[np.ndarray, "t th tw"]]:
    """What each picture shows at every point of the shell, and whether the point is in the picture.

    Beyond a picture's edge its last pixels are repeated.
    """
    cv2, (rows, columns) = opencv(), height.shape
    x, y = extent_points(_CORNERS_DM, (rows, columns))
    points = np.stack([x, y, height], axis=-1).reshape(-1, 3).astype(np.float32)
    seen, within, around = [], [], np.ones((3, 3), np.uint8)
    for picture, row, moved in zip(pictures, pose, _of_frames(displacement, pose), strict=True):
        there = points
        if moved is not None:
            there = points.copy()
            there[:, :2] += cv2.resize(moved, (columns, rows)).reshape(-1, 2)
        pixels = np.asarray(head_pixels(there, row, camera)).reshape(rows, columns, 2)
        size = np.array(picture.shape[1::-1])
        within.append(((pixels > 0) & (pixels < size)).all(axis=-1))
        # Pixels' centres lie at +0.5.
        across, down = np.moveaxis(pixels - np.float32(0.5), -1, 0)
        edge = cv2.BORDER_REPLICATE
        found = cv2.remap(picture, across, down, cv2.INTER_CUBIC, borderMode=edge)
        # Beside an edge a cubic goes beyond what the picture shows there.
        low, high = (
            cv2.remap(limit(picture, around), across, down, cv2.INTER_NEAREST, borderMode=edge)
            for limit in (cv2.erode, cv2.dilate)
        )
        seen.append(np.clip(found, low, high))
    return np.stack(seen), np.stack(within)


def _texture(
    head: UInt8[np.ndarray, "t th tw 3"],
    place: UInt8[np.ndarray, "t th tw 3"],
    within: Bool[np.ndarray, "t th tw"],
    texel: float,
) -> tuple[Float[np.ndarray, "th tw 3"], Float[np.ndarray, "th tw"]]:
    """The head's median colour, and how much a texel is the head's rather than the place's.

    `head`: what the frames show at each texel; `place`: what the background shows there; `within`:
    whether it is in the frame; `texel`: decimetres.
    """
    rows, columns = head.shape[1:3]
    texture = np.empty((rows, columns, 3), np.float32)
    off_head, off_place = (np.empty((rows, columns), np.float32) for _ in range(2))
    seen_share = within.mean(axis=0)
    for start in range(0, rows, _ROWS):
        part = slice(start, start + _ROWS)
        shown = np.where(within[:, part, :, None], head[:, part].astype(np.float32), np.nan)
        never = seen_share[part] == 0
        shown[:, never] = 0
        texture[part] = np.nanmedian(shown, axis=0)
        off_head[part] = np.nanmean(np.abs(shown - texture[part]), axis=(0, 3))
        off_place[part] = np.nanmean(np.abs(shown - place[:, part]), axis=(0, 3))
        off_place[part][never] = 0
    off_frames, nearest = distance_transform_edt(seen_share == 0, return_indices=True)
    texture = texture[tuple(nearest)]
    smoothing = _OPACITY_SMOOTHING_DM / texel
    head_variance, place_variance = (
        gaussian_filter(off, smoothing) ** 2 for off in (off_head, off_place)
    )
    # Of a bare wall nothing tells whether it moves with the head: it is the background's.
    share = place_variance / (place_variance + head_variance + NOISE**2)
    told, opacity = _ramp(seen_share, *_TOLD_SHARES), _ramp(share, *_OPAQUE)
    row, column = distance_transform_edt(
        seen_share < _TOLD_SHARES[1],
        sampling=(1, rows),  # in the same column, if there is one
        return_distances=False,
        return_indices=True,
    )
    goes_on = (column == np.arange(columns)) & (off_frames * texel < _REACH_DM)
    return texture, told * opacity + (1 - told) * np.where(goes_on, opacity[row, column], 0)


def _peeled(
    opacity: Float[np.ndarray, "th tw"],
    texture: Float[np.ndarray, "th tw 3"],
    place: UInt8[np.ndarray, "t th tw 3"],
    face: Bool[np.ndarray, "th tw"],
    neck: Bool[np.ndarray, "th tw"],
    texel: float,
) -> Float[np.ndarray, "th tw"]:
    """The opacity without what the head has around it that looks like the place behind it, and
    without what is not connected with the face. The neck is left as it is: it is of the place, too.

    Between the head and where the place is seen lies what it is never seen of, and what is filled
    in there varies more than the head's texture, which is a blur of the place. From the outside on,
    all that is of the place's colour is taken away, but for narrow inlets: those are of a bald head
    that shines like the wall.
    """
    behind = np.stack([np.median(place[:, i], axis=0) for i in range(place.shape[1])])
    alike = (np.abs(texture - behind).max(axis=-1) < _ALIKE) & ~neck
    outside = opacity < COVERED
    inside = ~binary_propagation(outside, mask=outside | alike)
    whole = binary_propagation(face & inside, mask=inside)
    closed = opencv().morphologyEx(
        whole.astype(np.uint8), opencv().MORPH_CLOSE, disc(_INLET_DM / 2 / texel)
    )
    whole |= (closed > 0) & ~outside
    kept = gaussian_filter(np.float32(whole), _OPACITY_SMOOTHING_DM / 2 / texel)
    return opacity * _ramp(kept, 0.0, 0.5)


def _ramp(x: Float[np.ndarray, "*b"], low: float, high: float) -> Float[np.ndarray, "*b"]:
    return np.clip((x - low) / (high - low), 0, 1)
