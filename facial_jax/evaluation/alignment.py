"""Which frames and pixels of two videos belong together, and what had to be done for it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from facial_jax.evaluation.observation import Observation
from facial_jax.pictures import opencv
from facial_jax.tracking.tracker import head_crop

STEADY = (36, 39, 42, 45, 27, 28, 29, 30, 31, 33, 35)
"""Corners of the eyes and the nose, in iBUG's order: what neither speaks nor blinks."""
PICTURE_SIZE = 256
MAX_PICTURES = 100
"""The largest number of frames of a video that are compared, evenly chosen."""


@dataclass(frozen=True)
class Alignment:
    """How a generated video lies on the real one; n frames in common."""

    generated: slice
    # the common frames of the generated observation
    real: slice
    # and of the real one
    transform: Float[np.ndarray, "2 3"]
    # from the generated frames' pixels to the real ones'
    notes: tuple[str, ...]
    # what was done, in sentences

    def __len__(self) -> int:
        return self.generated.stop - self.generated.start


def align(generated: Observation, real: Observation) -> Alignment:
    """Aligns frames by their number from the start, and pixels by the face if sizes differ.

    Pixels of frames of one size are compared as they are. Otherwise one similarity for the whole
    video moves, turns and scales the generated frames, so that eyes and nose lie on the real ones.

    Raises:
        ValueError: they have other frame rates, or no common frame that shows both faces.
    """
    if generated.video.fps != real.video.fps:
        raise ValueError(
            f"generated: expected {real.video.fps} frames per second as of the real video, got "
            f"{generated.video.fps}; observe it at that rate"
        )
    first = max(generated.start, real.start)
    stop = min(generated.start + len(generated), real.start + len(real))
    if stop <= first:
        raise ValueError(f"generated: {generated.name} and {real.name} have no frame in common")
    a, b = (slice(first - x.start, stop - x.start) for x in (generated, real))
    notes = [_rate_note(generated, real), _length_note(generated, real, first, stop)]
    if generated.video.size == real.video.size:
        transform = np.eye(2, 3)
        notes.append(f"size: both are {_size(real)}; pixels are compared as they are.")
    else:
        transform = similarity(generated.points[a][:, STEADY], real.points[b][:, STEADY])
        scale = float(np.hypot(transform[0, 0], transform[1, 0]))
        turn = float(np.degrees(np.arctan2(transform[1, 0], transform[0, 0])))
        notes.append(
            f"size: {_size(generated)} and {_size(real)}; for the pictures, the generated frames "
            f"were scaled by {scale:.2f}, turned by {turn:+.1f}° and moved, all of them alike, so "
            "that eyes and nose lie on the real ones."
        )
    return Alignment(a, b, transform, tuple(notes))


def similarity(
    generated: Float[np.ndarray, "t n 2"], real: Float[np.ndarray, "t n 2"]
) -> Float[np.ndarray, "2 3"]:
    """The similarity that brings points nearest to others, by least squares (Umeyama 1991).

    Raises:
        ValueError: no frame has both.
    """
    seen = np.isfinite(generated).all(axis=(1, 2)) & np.isfinite(real).all(axis=(1, 2))
    if not seen.any():
        raise ValueError("points: expected both faces in at least one frame, got none")
    a, b = (x[seen].reshape(-1, 2).astype(np.float64) for x in (generated, real))
    middle_a, middle_b = a.mean(axis=0), b.mean(axis=0)
    # As complex numbers a similarity without a mirror is one factor.
    p, q = ((x - m) @ [1, 1j] for x, m in ((a, middle_a), (b, middle_b)))
    factor = (p.conj() @ q) / (p.conj() @ p)
    turn = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.column_stack([turn, middle_b - turn @ middle_a])


@dataclass(frozen=True)
class Pictures:
    """Frames around the head, k of them."""

    numbers: np.ndarray
    # (k,) of the common frames
    generated: UInt8[np.ndarray, "k s s 3"]
    # the generated ones
    real: UInt8[np.ndarray, "k s s 3"]
    # the real ones of the same moments
    points: Float[np.ndarray, "k 68 2"]
    # the real face's landmarks in these pixels


def common_pictures(generated: Observation, real: Observation, alignment: Alignment) -> Pictures:
    """The square around the real head, in both videos, at most `MAX_PICTURES` times."""
    count = len(alignment)
    numbers = np.unique(np.linspace(0, count - 1, min(count, MAX_PICTURES)).round().astype(int))
    points = real.points[alignment.real]
    crop = head_crop(points, real.video.size)
    scale = min(1.0, PICTURE_SIZE / crop.side)
    size = max(round(crop.side * scale), 64)
    scale = size / crop.side
    to_square = np.array([[scale, 0, -scale * crop.left], [0, scale, -scale * crop.top]])
    square = np.vstack([alignment.transform, [0, 0, 1]])
    pictures = [
        _warped(x, part, numbers, matrix, size)
        for x, part, matrix in (
            (generated, alignment.generated, to_square @ square),
            (real, alignment.real, to_square),
        )
    ]
    shared = min(map(len, pictures))
    corner = np.array([crop.left, crop.top])
    return Pictures(
        numbers[:shared],
        *(x[:shared] for x in pictures),
        ((points[numbers] - corner) * scale)[:shared],
    )


def head_pictures(x: Observation) -> UInt8[np.ndarray, "k s s 3"]:
    """The square around the head of one video alone, at most `MAX_PICTURES` times."""
    whole = slice(0, len(x))
    return common_pictures(x, x, Alignment(whole, whole, np.eye(2, 3), ())).real


def _warped(x: Observation, part: slice, numbers: np.ndarray, matrix: np.ndarray, size: int):
    """Some frames in a square; averaged if they become smaller."""
    cv2, wanted, squares = opencv(), set(numbers.tolist()), []
    shrink = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    first = x.start + part.start
    for number, image in enumerate(x.video.read(start=first, stop=x.start + part.stop)):
        if number not in wanted:
            continue
        if shrink < 1:
            image = cv2.GaussianBlur(image, (0, 0), 0.5 * (1 / shrink - 1) + 1e-3)
        # Pixels' centres are at +0.5 in landmarks and at 0 in OpenCV.
        half = matrix[:, :2] @ [0.5, 0.5] - 0.5
        shifted = np.column_stack([matrix[:, :2], matrix[:, 2] + half])
        squares.append(
            cv2.warpAffine(
                image,
                shifted,
                (size, size),
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
        )
    return np.stack(squares)


def _size(x: Observation) -> str:
    height, width = x.video.size
    return f"{width}×{height}"


def _rate_note(generated: Observation, real: Observation) -> str:
    own, rate = (f"{float(fps):.4g}" for fps in (generated.own_fps, real.video.fps))
    if generated.own_fps == real.video.fps:
        return f"frame rate: both {rate} per second."
    return (
        f"frame rate: {own} per second, read at the {rate} of the real video: of each moment the "
        "frame that a player shows."
    )


def _length_note(generated: Observation, real: Observation, first: int, stop: int) -> str:
    fps = real.fps
    lengths = f"{len(generated) / fps:.2f} s and {len(real) / fps:.2f} s with a face"
    common = f"{stop - first} frames from {first / fps:.2f} s on are compared"
    return f"length: {lengths}; {common}, by their time from the start."
