"""From a video to a tracked face: everything in one function."""

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, UInt8

from facial_jax.attributes import POSE_SIZE, Attributes, Identity
from facial_jax.editing import gaussian_filter
from facial_jax.face.model import FaceModel
from facial_jax.face.procedural import procedural_face_model
from facial_jax.frame_rate import FrameRate
from facial_jax.pictures import resize
from facial_jax.rendering.camera import pinhole_camera
from facial_jax.tracking import alignment, fitting, photometric
from facial_jax.tracking.blink import blink_intensity, relative_opening
from facial_jax.tracking.frame_identity import fit_frame_identities
from facial_jax.tracking.frames import VideoFrames, open_frames
from facial_jax.tracking.gaze import measure_gaze, person_eyeballs
from facial_jax.tracking.landmarker import Landmarker, Landmarks
from facial_jax.tracking.shots import ShotDetector

CROP_SIZE = 512
MIN_CROP_SIZE, MAX_CROP_SIZE = 32, 2048
DETECTION_SIDE = 1280  # frames with a longer side are made smaller to look for faces
SMALL_FACE = 1 / 6  # of the longer side; smaller faces are looked at once more, in a square
CLOSER = 1.5  # that square's side over the crop's
CROP_FACES = 2.4  # the crop's side over the height from brows to chin
BRIDGED_S = 0.4  # gaps up to this length are bridged
POSE_SMOOTHING_S = 0.04  # standard deviations of the Gaussian filter
EXPRESSION_SMOOTHING_S = 0.02
IDENTITY_SMOOTHING_S = 0.08
MIN_SHOT_S = 0.2
PHOTOMETRIC_KEYFRAMES = 6
FIRST_FRAMES = 256  # frames among which the identity's keyframes are chosen


@dataclass(frozen=True)
class Crop:
    """A square of the frames as shown, in their pixels."""

    left: int
    # of the square's left edge
    top: int
    # of its upper edge
    side: int
    # its width and height


@dataclass(frozen=True)
class Shot:
    """A part of the video without a cut."""

    start: int
    # number of its first frame in the video
    landmarks: Landmarks
    # the face in it, in pixels of the frames as shown

    @property
    def stop(self) -> int:
        """Number of the frame after its last."""
        return self.start + len(self.landmarks.seen)


@dataclass(frozen=True)
class TrackedVideo:
    """One person in one shot of a video, t frames at a constant rate."""

    attributes: Attributes
    # expression, pose and blink per frame; seen by `pinhole_camera((size, size))` in the crop
    identity: Identity
    # shape, texture and light
    valid: Bool[np.ndarray, "t"]
    # where the face was seen, or bridged between frames where it was
    seen: Bool[np.ndarray, "t"]
    # where the face was seen
    landmarks: Float[np.ndarray, "t 68 2"]
    # detected, in pixels of the resized crop; NaN where not seen
    irises: Float[np.ndarray, "t 2 2"]
    # the irises' centres, in the same pixels, the picture's left one first; NaN where not seen
    fitted_landmarks: Float[np.ndarray, "t 68 2"]
    # the fitted model's, in the same pixels
    fit_error: Float[np.ndarray, "t"]
    # their mean distance without the jaw's over that of the eyes' outer corners; NaN if not seen
    photometric_error: tuple[float, float]
    # mean difference of colours on the skin of the keyframes: after landmarks only, in the end
    video: VideoFrames
    # what was tracked
    start: int
    # number of the shot's first frame in the video
    crop: Crop
    # the square around the head
    size: int
    # what the crop is resized to, in pixels
    frame_count: int
    # of the whole video
    cuts: tuple[int, ...]
    # numbers of the frames that begin a new shot
    face_count: int
    # how many faces the shot has
    other_face_share: float
    # share of frames in which another face was seen
    changes: Float[np.ndarray, "c"]
    # mean change of grey between the video's frames, in [0, 1]
    border_changes: Float[np.ndarray, "c"]
    # the same in the picture's upper corners
    frame_identity: Float[np.ndarray, "t 80"] | None = None
    # shape of every frame, if it was asked for
    gaze: Float[np.ndarray, "t 2 2"] | None = None
    # of either eye, see `Clip.gaze`

    def __len__(self) -> int:
        return len(self.valid)

    @property
    def fps(self) -> Fraction:
        """Frames per second."""
        return self.video.fps

    def frames(self, indices: Iterable[int] | None = None) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        """The crop's frames, resized: all, or those with the given rising numbers."""
        return _cropped_frames(self.video, self.crop, self.start, len(self), self.size, indices)


def track(
    video: str | os.PathLike | VideoFrames,
    face_model: FaceModel | None = None,
    *,
    fps: FrameRate | None = None,
    size: int = CROP_SIZE,
    identity: Float[np.ndarray, "80"] | None = None,
    per_frame_identity: bool = False,
    progress: Callable[..., Iterable] = iter,
) -> TrackedVideo:
    """Finds the person in a video and fits the face model to every frame.

    The video is read four times: for the landmarks, for the few frames that texture and light come
    from, for those of the alignment's texture, and to align all (`alignment.align`); small faces
    are looked at once more (`look_closer`). Of a frame only numbers are kept, so that memory hardly
    grows with the length.

    Args:
        video: a file that FFmpeg reads, or what `open_frames` made of it.
        face_model: any; the built-in one by default.
        fps: frames per second to track at; the video's own by default.
        size: what the square around the head is resized to.
        identity: the person's shape, if it is known from another video; texture and light are this
            one's.
        per_frame_identity: fit a shape to every frame too, around that of all of them.
        progress: wraps the iteration over the frames, such as a progress bar.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be read as video, or there is no face in it; more than half of its
            pictures or of its sound cannot be decoded; a size that is not an
            even number from 32 to 2048.
        ImportError: MediaPipe or a library it needs is missing.
        ModelMissingError: MediaPipe's model is missing and cannot be fetched.
    """
    check_crop_size(size)
    frames = video if isinstance(video, VideoFrames) else open_frames(video, fps=fps)
    if frames.sound is not None:
        frames.sound.check()
    model = procedural_face_model() if face_model is None else face_model
    shots, detector = find_faces(frames, progress=progress)
    shot = max(shots, key=lambda s: s.landmarks.seen.sum())
    frame_count = shots[-1].stop
    shot = look_closer(frames, shot, progress=progress)
    detected = shot.landmarks
    if not detected.seen.any():
        raise ValueError(
            f"video: no face in any of the {frame_count} frames of {frames.path}; it should show "
            "one person from the front, the face at least 60 pixels wide"
        )
    crop = head_crop(detected.points, frames.size)
    corner = np.array([crop.left, crop.top], np.float32)
    points = (detected.points - corner) / crop.side  # image widths
    weights = fitting.landmark_weights(points, relative_opening(detected.points))

    landmarks = fitting.landmark_model(model)
    start = fitting.initial_parameters(model, points)
    some = np.flatnonzero(detected.seen)
    some = some[np.linspace(0, len(some) - 1, min(len(some), FIRST_FRAMES)).round().astype(int)]
    average = np.zeros(landmarks.identity_basis.shape[-1], np.float32)
    first = fitting.fit_frames(landmarks, average, start[some], points[some], weights[some])
    fitted_identity, chosen, parameters = fitting.fit_identity(
        landmarks, first, points[some], weights[some]
    )
    keyframes = some[chosen[:PHOTOMETRIC_KEYFRAMES]]
    appearance, errors = _fit_pictures(
        model,
        landmarks,
        fitted_identity,
        parameters[:PHOTOMETRIC_KEYFRAMES],
        _keyframe_images(frames, crop, shot.start, keyframes),
        points[keyframes],
        weights[keyframes],
    )
    face = photometric.appearance_identity(appearance)
    if identity is not None:
        face = face.replace(identity=jnp.asarray(identity, jnp.float32))
    identity = np.asarray(face.identity)
    known = fitting.fit_frames(landmarks, identity, start[some], points[some], weights[some])
    angles = fitting.head_angles(detected.turns, some, known[:, :POSE_SIZE])
    fitted = fitting.fit_frames(landmarks, identity, start, points, weights, angles)
    fps_float = float(frames.fps)
    identities = None
    if per_frame_identity:
        identities, fitted = fit_frame_identities(
            landmarks, identity, fitted, points, weights, angles
        )
        identities = gaussian_filter(
            bridge(identities, detected.seen), IDENTITY_SMOOTHING_S * fps_float
        )
    fitted = bridge(fitted, detected.seen)
    fitted = np.concatenate(
        [
            gaussian_filter(fitted[:, :POSE_SIZE], POSE_SMOOTHING_S * fps_float),
            gaussian_filter(fitted[:, POSE_SIZE:], EXPRESSION_SMOOTHING_S * fps_float),
        ],
        axis=1,
    )
    blink = blink_intensity(detected.points, detected.blink_scores)
    blink = bridge(blink[:, None], detected.seen)[:, 0]
    aligned = alignment.align(
        model,
        landmarks,
        face,
        fitted,
        points,
        weights,
        blink,
        detected.seen,
        fps_float,
        partial(_cropped_frames, frames, crop, shot.start, len(fitted), alignment.SIZE_PX),
        identities=identities,
    )
    irises = (detected.irises - corner) / crop.side
    gaze = measure_gaze(
        person_eyeballs(model, identity),
        aligned[:, :POSE_SIZE],
        irises,
        blink,
        pinhole_camera((1, 1)),
    )
    projected = project_in_batches(
        landmarks, identity if identities is None else identities, aligned
    )
    return TrackedVideo(
        attributes=Attributes(
            expression=aligned[:, POSE_SIZE:],
            pose=aligned[:, :POSE_SIZE],
            blink=blink,
            gaze=None if gaze is None else gaze.mean(axis=1),
        ),
        identity=face,
        valid=bridged(detected.seen, round(BRIDGED_S * fps_float)),
        seen=detected.seen,
        landmarks=points * np.float32(size),
        irises=irises * np.float32(size),
        fitted_landmarks=projected * np.float32(size),
        fit_error=fitting.landmark_error(projected, points).astype(np.float32),
        photometric_error=errors,
        video=frames,
        start=shot.start,
        crop=crop,
        size=size,
        frame_count=frame_count,
        cuts=tuple(s.start for s in shots[1:]),
        face_count=detected.face_count,
        other_face_share=detected.other_share,
        changes=np.asarray(detector.changes, np.float32),
        border_changes=np.asarray(detector.border_changes, np.float32),
        frame_identity=identities,
        gaze=gaze,
    )


def check_crop_size(size: int) -> None:
    """Refuses what H.264 cannot store, and what no face is seen in or no machine has room for.

    Raises:
        ValueError: a size that is not an even number from 32 to 2048.
    """
    if not MIN_CROP_SIZE <= size <= MAX_CROP_SIZE or size % 2:
        raise ValueError(
            f"size: expected an even number of pixels from {MIN_CROP_SIZE} to {MAX_CROP_SIZE}, "
            f"got {size}"
        )


def find_faces(
    frames: VideoFrames, *, progress: Callable[..., Iterable] = iter
) -> tuple[list[Shot], ShotDetector]:
    """The shots of a video and the face in each, at least one shot."""
    detector, shots = ShotDetector(), []
    start = count = 0
    scale = 1.0
    with Landmarker(float(frames.fps)) as landmarker:

        def close_shot():
            face = landmarker.shot()
            points, irises = ((x * scale).astype(np.float32) for x in (face.points, face.irises))
            face = dataclasses.replace(face, points=points, irises=irises)
            shots.append(Shot(start, face))

        for image in progress(frames.read(max_side=DETECTION_SIDE)):
            if detector.is_cut(image) and count - start >= MIN_SHOT_S * frames.fps:
                close_shot()
                start = count
            landmarker.add(image)
            scale = frames.size[0] / image.shape[0]
            count += 1
        close_shot()
    return shots, detector


def look_closer(
    frames: VideoFrames, shot: Shot, *, progress: Callable[..., Iterable] = iter
) -> Shot:
    """The shot with the landmarks of a square around its face, if that is small in the picture.

    MediaPipe's detector makes pictures small: it finds a face of a tenth of their longer side in
    some frames only, and in long pictures takes open eyes for half closed ones. Another face that
    is not in the square does not count any more.
    """
    found = shot.landmarks
    if not found.seen.any():
        return shot
    height = float(np.nanmedian(np.ptp(found.points[..., 1], axis=1)))
    if height >= SMALL_FACE * max(frames.size):
        return shot
    part = head_crop(found.points, frames.size)
    side = min(round(CLOSER * part.side), *frames.size)
    left, top = (
        int(np.clip(start - (side - part.side) // 2, 0, n - side))
        for start, n in zip((part.left, part.top), frames.size[::-1], strict=True)
    )
    with Landmarker(float(frames.fps)) as landmarker:
        for image in progress(frames.read(start=shot.start, stop=shot.stop)):
            square = image[top : top + side, left : left + side]
            landmarker.add(resize(square, min(side, DETECTION_SIDE)))
        closer = landmarker.shot()
    if len(closer.seen) < len(found.seen) or closer.seen.sum() < found.seen.sum():
        return shot
    scale, corner = side / min(side, DETECTION_SIDE), np.array([left, top])
    points, irises = (
        (x * scale + corner).astype(np.float32) for x in (closer.points, closer.irises)
    )
    closer = dataclasses.replace(closer, points=points, irises=irises)
    return dataclasses.replace(shot, landmarks=closer)


def head_crop(points: Float[np.ndarray, "t 68 2"], size: tuple[int, int]) -> Crop:
    """A square around the head in all frames of a shot, within the picture.

    Its side is 2.4 times the height from the brows to the chin,
    more if the head moves, and at most the picture's shorter side.

    Args:
        points: landmarks in pixels; NaN where there is no face.
        size: (height, width) of the frames.
    """
    height, width = size
    low = np.nanpercentile(points.min(axis=1), 1, axis=0)
    high = np.nanpercentile(points.max(axis=1), 99, axis=0)
    face = float(np.nanmedian(points[:, 8, 1] - points[:, 17:27, 1].mean(axis=1)))
    face = max(face, float(np.nanmedian(np.ptp(points[..., 0], axis=1))) * 0.7, 8.0)
    top, bottom = low[1] - 0.5 * face, high[1]
    side = max(CROP_FACES * face, 1.15 * (high[0] - low[0]), 1.15 * (bottom - top))
    side = int(min(round(side), height, width))
    middle_x, middle_y = (low[0] + high[0]) / 2, (top + bottom) / 2
    left = int(np.clip(round(middle_x - side / 2), 0, width - side))
    upper = int(np.clip(round(middle_y - side / 2), 0, height - side))
    return Crop(left=left, top=upper, side=side)


def bridge(values: Float[np.ndarray, "t n"], seen: Bool[np.ndarray, "t"]) -> np.ndarray:
    """Values of the frames seen, and linear between them elsewhere; the ends are held."""
    index, known = np.arange(len(values)), np.flatnonzero(seen)
    columns = [np.interp(index, known, values[known, k]) for k in range(values.shape[1])]
    return np.stack(columns, axis=1).astype(np.float32)


def bridged(seen: Bool[np.ndarray, "t"], longest: int) -> Bool[np.ndarray, "t"]:
    """The frames seen and those in gaps of at most `longest` frames between them."""
    edges = np.flatnonzero(np.diff(np.concatenate([[1], seen.astype(np.int8), [1]])))
    valid = seen.copy()
    for first, stop in edges.reshape(-1, 2):
        if stop - first <= longest and first > 0 and stop < len(seen):
            valid[first:stop] = True
    return valid


def project_in_batches(
    landmarks: fitting.LandmarkModel,
    identity: Float[np.ndarray, "*t 80"],
    parameters: Float[np.ndarray, "t 70"],
) -> Float[np.ndarray, "t 68 2"]:
    """The fitted model's landmarks in image widths; `identity` is one, or one for each frame."""
    identities = np.broadcast_to(identity, (len(parameters), identity.shape[-1]))
    return fitting.in_batches(
        lambda *batch: fitting.project_frames(landmarks, *batch), identities, parameters
    )


def _fit_pictures(model, landmarks, identity, parameters, images, points, weights):
    """The appearance from keyframes, and the photometric error before and after."""
    skin = photometric.skin_vertices(model)
    count = len(images)
    # Few keyframes are repeated, so that one program fits all clips.
    index = np.resize(np.arange(count), PHOTOMETRIC_KEYFRAMES)
    parameters, images, points = parameters[index], images[index], points[index]
    frames = fitting.FrameParameters(
        pose=jnp.asarray(parameters[:, :POSE_SIZE]),
        expression=jnp.asarray(parameters[:, POSE_SIZE:]),
    )
    only_landmarks = photometric.PhotometricParameters(
        identity=jnp.asarray(identity),
        texture=jnp.zeros(model.texture_basis.shape[-1], jnp.float32),
        illumination=jnp.zeros((3, 9), jnp.float32),
        pose=frames.pose,
        expression=frames.expression,
    )
    before = photometric.photometric_error(model, skin, only_landmarks, images)
    texture, light = photometric.fit_texture_and_light(model, skin, identity, frames, images)
    appearance = only_landmarks.replace(
        texture=jnp.asarray(texture), illumination=jnp.asarray(light)
    )
    appearance = photometric.refine_appearance(
        model,
        landmarks,
        jnp.asarray(skin, jnp.float32),
        appearance,
        jnp.asarray(images),
        jnp.asarray(points, jnp.float32),
        jnp.asarray(weights[index]),
    )
    after = photometric.photometric_error(model, skin, appearance, images)
    return appearance, (float(before[:count].mean()), float(after[:count].mean()))


def _keyframe_images(frames, crop, start, indices) -> Float[np.ndarray, "k h w 3"]:
    """The crop at some frames of the shot, small, RGB in [0, 1]."""
    order = np.argsort(indices)
    stop = int(indices.max()) + 1
    images = _cropped_frames(frames, crop, start, stop, photometric.SIZE_PX, indices[order])
    small = np.stack(list(images)).astype(np.float32) / 255
    return small[np.argsort(order)]


def _cropped_frames(frames, crop, start, count, size, indices):
    wanted = None if indices is None else {int(i) for i in indices}
    square = (slice(crop.top, crop.top + crop.side), slice(crop.left, crop.left + crop.side))
    for index, image in enumerate(frames.read(start=start, stop=start + count)):
        if wanted is None or index in wanted:
            yield resize(image[square], size)
