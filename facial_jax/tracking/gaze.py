"""Where a person looks, and what their irises look like, as a video shows them.

A ray from the camera through the middle of an iris meets the eyeball where the iris is. The eyeball
is where the face model's lids are, so that what is measured is drawn again at the same place.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8

from facial_jax.attributes import Attributes, Identity
from facial_jax.compilation import in_batches, jit
from facial_jax.face.eyes import (
    EYEBALL_RADIUS_DM,
    eyeball_centres,
    eyeball_vertices,
    gaze_angles,
)
from facial_jax.face.model import FaceModel, face_shape
from facial_jax.face.procedural.lids import closed_lids
from facial_jax.precision import full_precision
from facial_jax.rendering.camera import Camera, pinhole_camera, rotation_from_euler
from facial_jax.rendering.irises import (
    REACH,
    TEXELS,
    Irises,
    from_iris,
    place_irises,
)
from facial_jax.rendering.mapping import map_frames
from facial_jax.rendering.render import render
from facial_jax.rendering.sampling import sample_bilinear

MAX_BLINK_LOOKED = 1.5
"""AU45 intensity up to which an eye is open far enough to tell where it looks."""
MAX_GAZE_RAD = 0.8
MIN_LOOKS = 8
"""Frames with open eyes: with fewer nothing is known of a gaze."""
_MEDIAN_FRAMES = 3
_BATCH = 8
_MIN_SEEN, _MIN_SHARE = 3, 0.1
"""Frames, and their share, that must show a texel."""
_RINGS = 12


def person_eyeballs(model: FaceModel, identity: Float[Array | np.ndarray, "80"]) -> Array:
    """Centres (2, 3) of the person's eyeballs in head space, decimetres."""
    still = jnp.zeros(model.expression_basis.shape[-1], jnp.float32)
    return eyeball_centres(face_shape(model, jnp.asarray(identity), still), model.landmarks)


def measure_gaze(
    centres: Float[Array, "2 3"],
    pose: Float[np.ndarray, "t 6"],
    irises: Float[np.ndarray, "t 2 2"],
    blink: Float[np.ndarray, "t"],
    camera: Camera,
) -> Float[np.ndarray, "t 2 2"] | None:
    """Pitch and yaw of either eye relative to the head, in radians; the picture's left eye first.

    What a blink hides is interpolated. None if nothing is seen of a gaze.

    Args:
        centres: of the eyeballs, from `person_eyeballs`.
        pose: of the head.
        irises: their middles in the camera's pixels; NaN where not seen.
        blink: AU45 intensity.
        camera: for the pictures in which the irises were found.
    """
    from scipy.ndimage import median_filter  # takes long to import

    looked = np.isfinite(irises).all(axis=(1, 2)) & (np.nan_to_num(blink) <= MAX_BLINK_LOOKED)
    if looked.sum() < MIN_LOOKS:
        return None
    angles = np.asarray(_angles(centres, jnp.asarray(pose), jnp.asarray(irises), camera))
    index, known = np.arange(len(pose)), np.flatnonzero(looked)
    gaze = np.empty((len(pose), 2, 2), np.float32)
    for eye, axis in np.ndindex(2, 2):
        gaze[:, eye, axis] = np.interp(index, known, angles[known, eye, axis])
    gaze = median_filter(gaze, size=(_MEDIAN_FRAMES, 1, 1), mode="nearest")
    return gaze.clip(-MAX_GAZE_RAD, MAX_GAZE_RAD)


@jit
@full_precision
def _angles(centres, pose, irises, camera):
    def one(pose, irises):
        rotation = rotation_from_euler(pose[:3])
        place = jnp.stack([-pose[3], -pose[4], camera.distance - pose[5]]) @ rotation
        x = (irises[:, 0] - camera.center_px[0]) / camera.focal_px
        y = (camera.center_px[1] - irises[:, 1]) / camera.focal_px
        ray = jnp.stack([x, y, -jnp.ones_like(x)], axis=-1) @ rotation
        ray = ray / jnp.linalg.norm(ray, axis=-1, keepdims=True)
        # Of the eyeball's centre from the camera: along the ray, and beside it.
        way = centres - place[None]
        along = (way * ray).sum(axis=-1, keepdims=True)
        beside = along * ray - way
        square = (beside**2).sum(axis=-1, keepdims=True)
        before = jnp.sqrt(jnp.maximum(EYEBALL_RADIUS_DM**2 - square, 0.0))
        return gaze_angles(beside - before * ray)

    return jax.vmap(one)(pose, irises)


def gaze_offset(gaze: Float[np.ndarray, "t 2 2"]) -> Float[np.ndarray, "2 2"]:
    """Of either eye from the mean of both: the median over the frames, radians."""
    return np.median(gaze - gaze.mean(axis=1, keepdims=True), axis=0).astype(np.float32)


def video_irises(
    model: FaceModel,
    identity: Identity,
    attributes: Attributes,
    gaze: Float[np.ndarray, "t 2 2"],
    frames: UInt8[np.ndarray, "t h w 3"],
    *,
    usual_gaze: Float[np.ndarray, "2"],
) -> Irises:
    """The median of what the frames show of each iris between the lids.

    What the lids always hide takes the colour of the rest at the same distance from the middle.

    Args:
        model: the face model.
        identity: the person's.
        attributes: of the frames; eyes open, see `texture.texture_frames`.
        gaze: of either eye in these frames, from `measure_gaze`.
        frames: the video's, cropped as it was tracked.
        usual_gaze: see `Irises`.
    """
    offset = gaze_offset(gaze)
    camera = pinhole_camera(frames.shape[1:3])
    centres = person_eyeballs(model, identity.identity)
    lids = closed_lids(model)

    def sample(rows):
        person = identity, attributes[rows], gaze[rows]
        return _sample(model, lids, *person, frames[rows], centres, camera)

    samples = in_batches(sample, len(frames), _BATCH)
    times = np.isfinite(samples[..., 0]).sum(axis=0)
    seen = times >= max(_MIN_SEEN, _MIN_SHARE * len(frames))
    texture = np.zeros((2, TEXELS, TEXELS, 3), np.float32)
    texture[seen] = np.nanmedian(samples[:, seen], axis=0)
    rounded = [_filled(*eye).clip(0, 255).round() for eye in zip(texture, seen, strict=True)]
    return Irises(np.stack(rounded).astype(np.uint8), offset, np.asarray(usual_gaze, np.float32))


def _texels() -> Float[np.ndarray, "k k 2"]:
    """Places of the texels on the disc, in radii of the iris, y down."""
    line = ((np.arange(TEXELS) + 0.5) / TEXELS * 2 - 1) * REACH
    return np.stack(np.meshgrid(line, line), axis=-1).astype(np.float32)


@jit
def _sample(model, lids, identity, attributes, gaze, frames, centres, camera):
    """What each frame shows at each texel, (b, 2, k, k, 3), NaN where the lids hide it."""
    size = frames.shape[1:3]
    eyeballs = eyeball_vertices(model.mean_shape, model.landmarks)
    rendered = render(model, identity, attributes, camera, size, lids=lids, eyeballs=eyeballs)
    disc = jnp.asarray(_texels())

    def one(pose, gaze, frame, mask):
        placed = place_irises(centres, gaze, pose, camera)
        eyes = []
        for eye in range(2):
            way = from_iris(disc * placed.radius[eye], placed.facing[eye], pose[2])
            pixel = way + placed.middle[eye][None, None] - 0.5
            shown = sample_bilinear(mask, pixel) > 0.99
            eyes.append(jnp.where(shown, sample_bilinear(frame, pixel), jnp.nan))
        return jnp.stack(eyes)

    return map_frames(one, attributes.pose, gaze, frames, rendered.eyeballs)


def _filled(
    texture: Float[np.ndarray, "k k 3"], seen: Bool[np.ndarray, "k k"]
) -> Float[np.ndarray, "k k 3"]:
    """Where nothing was seen, the median of the ring about the middle; grey if all is unseen."""
    if not seen.any():
        return np.full_like(texture, 60.0)
    ring = np.linalg.norm(_texels(), axis=-1) / (REACH * 2**0.5) * (_RINGS - 1)
    ring = ring.round().astype(int)
    known = np.array([k for k in range(_RINGS) if (seen & (ring == k)).any()])
    median = np.array([np.median(texture[seen & (ring == k)], axis=0) for k in known])
    filled = texture.copy()
    for channel in range(3):
        of_ring = np.interp(np.arange(_RINGS), known, median[:, channel])
        filled[..., channel][~seen] = of_ring[ring[~seen]]
    return filled
