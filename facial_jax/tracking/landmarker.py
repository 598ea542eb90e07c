"""Face landmarks from MediaPipe's Face Landmarker, on the CPU, followed from frame to frame.

Only the points that the fit uses are kept, the irises, and how the head has turned: about 600 bytes
a frame.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, UInt8

from facial_jax.mediapipe_models import Model, mediapipe, on_cpu
from facial_jax.tracking.landmarks import IBUG_FROM_MEDIAPIPE

MODEL = Model(
    what="face landmark model",
    name="face_landmarker.task",
    url="https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/"
    "face_landmarker.task",
    sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
)

MAX_FACES = 2
MAX_JUMP = 0.6  # of a head's width: a face that is farther from its last place is another face
MAX_MISSING_S = 1.0  # a face that comes back later is a new one, until `choose_face` links the two

_HEAD_TOP, _HEAD_BOTTOM = 10, 152
_FACE_POINTS = 468  # the others are the irises', which move in the head
_IRISES = (468, 473)  # their centres, the picture's left one first


class Rows:
    """Arrays of one shape, in one array that grows.

    As many small arrays they would lie between the video's frames in the heap, and keep it from
    being given back or used again: 60 kilobytes a frame in place of 600 bytes.
    """

    def __init__(self, *shape: int):
        self._values = np.empty((1024, *shape), np.float32)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.array(self._values[: self._count], dtype)

    def __getitem__(self, index: int) -> np.ndarray:
        return self._values[: self._count][index]

    def append(self, row: np.ndarray) -> None:
        """Adds an array at the end."""
        if self._count == len(self._values):
            self._values = np.concatenate([self._values, np.empty_like(self._values)])
        self._values[self._count] = row
        self._count += 1


@dataclass
class Face:
    """One face followed through the frames of a shot."""

    frames: list[int] = field(default_factory=list)
    # numbers of the frames it was seen in
    points: Rows = field(default_factory=lambda: Rows(68, 2))
    # (68, 2) pixels of the frames as they were given
    blink_scores: list[tuple[float, float]] = field(default_factory=list)
    # MediaPipe's score of either closed eye, in [0, 1]; the picture's left eye first
    widths: list[float] = field(default_factory=list)
    # of the head, in pixels
    irises: Rows = field(default_factory=lambda: Rows(2, 2))
    # (2, 2) pixels of the irises' centres, the picture's left one first
    turns: Rows = field(default_factory=lambda: Rows(3, 3))
    # (3, 3) rotation of the head from where it was in the first of these frames
    first_shape: np.ndarray | None = None
    # (468, 3) all points of that frame, in pixels; x right, y up, z towards the viewer


@dataclass(frozen=True)
class Landmarks:
    """The face that a shot is about."""

    points: Float[np.ndarray, "t 68 2"]
    # pixels (x right, y down, centres at +0.5), iBUG's order; NaN where the face was not seen
    blink_scores: Float[np.ndarray, "t 2"]
    # MediaPipe's score of either closed eye; NaN where the face was not seen
    irises: Float[np.ndarray, "t 2 2"]
    # the irises' centres in the same pixels, the picture's left one first; NaN where not seen
    turns: Float[np.ndarray, "t 3 3"]
    # rotation of the head from one unknown turn, the same in all frames; NaN where not seen
    seen: Bool[np.ndarray, "t"]
    # whether the face was found
    face_count: int
    # how many faces the shot has for at least a fifth of its time
    other_share: float
    # share of the frames in which another face was seen


class Landmarker:
    """Finds faces frame by frame; a context manager, as it holds MediaPipe's graph."""

    def __init__(self, fps: float):
        """Raises ImportError if MediaPipe or a library it needs is missing."""
        mp, vision = mediapipe()
        self._mp = mp
        # With one face MediaPipe filters its points over time, which makes them lag. Two are asked
        # for, to learn about the second and to get every frame's points as they are.
        options = vision.FaceLandmarkerOptions(
            base_options=on_cpu(MODEL),
            running_mode=vision.RunningMode.VIDEO,
            num_faces=MAX_FACES,
            output_face_blendshapes=True,
        )
        self._landmarker = vision.FaceLandmarker.create_from_options(options)
        self._fps = fps
        self._count = self._shot_start = 0
        self._faces: list[Face] = []

    def __enter__(self) -> "Landmarker":
        return self

    def __exit__(self, *exception) -> None:
        self._landmarker.close()

    def add(self, image: UInt8[np.ndarray, "h w 3"]) -> None:
        """Looks for faces in the next frame."""
        picture = self._mp.Image(image_format=self._mp.ImageFormat.SRGB, data=image)
        time_ms = round(self._count * 1000 / self._fps)
        detection = self._landmarker.detect_for_video(picture, time_ms)
        index = self._count - self._shot_start
        self._count += 1
        height, width = image.shape[:2]
        taken: set[int] = set()
        for points, scores in zip(
            detection.face_landmarks, detection.face_blendshapes, strict=True
        ):
            # MediaPipe's z is smaller towards the viewer and in x's unit.
            shape = np.array(
                [(p.x * width, p.y * height, -p.z * width) for p in points], np.float32
            )
            xy = shape[:, :2]
            named = {s.category_name: s.score for s in scores}
            size = float(np.linalg.norm(xy[_HEAD_TOP] - xy[_HEAD_BOTTOM]))
            which = self._nearest(xy.mean(axis=0), size, index, taken)
            taken.add(which)
            face = self._faces[which]
            face.frames.append(index)
            face.points.append(xy[np.asarray(IBUG_FROM_MEDIAPIPE)])
            face.irises.append(xy[np.asarray(_IRISES)])
            # MediaPipe's right eye is the person's, on the picture's left.
            face.blink_scores.append((named["eyeBlinkRight"], named["eyeBlinkLeft"]))
            face.widths.append(size)
            shape = shape[:_FACE_POINTS] * np.array([1, -1, 1], np.float32)
            if face.first_shape is None:
                face.first_shape = shape
            face.turns.append(rotation_between(face.first_shape, shape))

    def _nearest(self, center: np.ndarray, size: float, index: int, taken: set[int]) -> int:
        """The known face at this place, or a new one."""
        best, distance = None, MAX_JUMP
        for number, face in enumerate(self._faces):
            if number in taken or index - face.frames[-1] > MAX_MISSING_S * self._fps:
                continue
            away = float(np.linalg.norm(face.points[-1].mean(axis=0) - center)) / size
            if away < distance:
                best, distance = number, away
        if best is None:
            self._faces.append(Face())
            return len(self._faces) - 1
        return best

    def shot(self) -> Landmarks:
        """What was found since the last call: the face that is largest for longest.

        The next frame starts a new shot.
        """
        faces, count = self._faces, self._count - self._shot_start
        self._faces, self._shot_start = [], self._count
        return choose_face(faces, count)


def rotation_between(
    first: Float[np.ndarray, "n 3"], second: Float[np.ndarray, "n 3"]
) -> Float[np.ndarray, "3 3"]:
    """The rotation R that brings the first shape nearest to the second: second ≈ s · R · first + t.

    By least squares (Kabsch 1976).
    """
    first, second = first - first.mean(axis=0), second - second.mean(axis=0)
    left, _, right = np.linalg.svd(second.T @ first)
    left[:, 2] *= np.sign(np.linalg.det(left @ right))
    return (left @ right).astype(np.float32)


def choose_face(faces: Iterable[Face], count: int) -> Landmarks:
    """The face with the largest sum of sizes over the frames, and how many others there were.

    Faces that are never seen together and of similar size and place count as one that was lost and
    found again.
    """
    points = np.full((count, 68, 2), np.nan, np.float32)
    scores = np.full((count, 2), np.nan, np.float32)
    irises = np.full((count, 2, 2), np.nan, np.float32)
    turns = np.full((count, 3, 3), np.nan, np.float32)
    seen, others = np.zeros(count, bool), np.zeros(count, bool)
    ranked = sorted(faces, key=lambda f: -sum(f.widths))
    number = min(len(ranked), 1)
    for face in ranked:
        frames = np.array(face.frames)
        if seen[frames].any() or not _alike(face, ranked[0]):
            others[frames] = True
            number += len(frames) >= count / 5
            continue
        points[frames] = np.asarray(face.points)
        scores[frames] = np.array(face.blink_scores, np.float32)
        irises[frames] = np.asarray(face.irises)
        turns[frames] = np.asarray(face.turns) @ rotation_between(
            ranked[0].first_shape, face.first_shape
        )
        seen[frames] = True
    return Landmarks(
        points=points,
        blink_scores=scores,
        irises=irises,
        turns=turns,
        seen=seen,
        face_count=number,
        other_share=float(others.mean()) if count else 0.0,
    )


def _alike(face: Face, other: Face) -> bool:
    """Whether two faces are of similar size at a similar place."""
    sizes = [float(np.median(f.widths)) for f in (face, other)]
    places = [np.median(np.asarray(f.points).mean(axis=1), axis=0) for f in (face, other)]
    away = float(np.linalg.norm(places[0] - places[1]))
    return 0.6 < sizes[0] / sizes[1] < 1.6 and away < 1.5 * sizes[1]
