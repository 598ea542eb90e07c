"""How far the built-in mean face's landmarks lie from those of real faces, seen from the front.

    python -m benchmarks.bench_face_proportions --videos a.mp4 b.mp4 \\
        --landmarker face_landmarker.task

Per video MediaPipe's landmarks of the still frames (frontal, lips closed, eyes open) are aligned by
a similarity to the mean face's projected ones, over all but the jaw, and averaged; then the videos
are averaged, and that average made mirror-symmetric, as the mean face is. Distances are in percent
of the distance of the outer eye corners. MediaPipe's points of the jaw follow the outline seen in
the picture, not places of the skull: they are listed apart.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import tyro

from facial_jax.face.procedural import procedural_face_model
from facial_jax.rendering.camera import camera_vertices, pinhole_camera, project_to_pixels
from facial_jax.tracking.landmarks import IBUG_FROM_MEDIAPIPE

GROUPS = {
    "jaw": range(17),
    "brows": range(17, 27),
    "nose": range(27, 36),
    "eyes": range(36, 48),
    "outer lips": range(48, 60),
    "inner lips": range(60, 68),
}
# The other side's landmark of each of the 68.
MIRROR = np.array(
    [
        *(*range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1)),
        *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
        *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65),
    ]
)
MAX_ANGLE_DEG = 12.0
MAX_JAW_OPEN, MAX_BLINK = 0.05, 0.3


@dataclass(frozen=True)
class Arguments:
    """What is measured."""

    videos: tuple[Path, ...]
    """Videos of real people, one each."""

    landmarker: Path
    """MediaPipe's face_landmarker.task."""

    stride: int = 3
    """Distance between the frames that are measured."""


def still_landmarks(video: Path, landmarker: Path, stride: int) -> np.ndarray:
    """(k, 68, 2) pixels in the frontal frames with closed lips and open eyes."""
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(landmarker)),
        output_face_blendshapes=True,
        output_facial_transformation_matrixes=True,
    )
    kept = []
    with (
        vision.FaceLandmarker.create_from_options(options) as detector,
        av.open(str(video)) as container,
    ):
        for number, frame in enumerate(container.decode(video=0)):
            if number % stride:
                continue
            image = frame.to_ndarray(format="rgb24")
            detection = detector.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=image))
            if not detection.face_landmarks:
                continue
            scores = {s.category_name: s.score for s in detection.face_blendshapes[0]}
            forward = np.asarray(detection.facial_transformation_matrixes[0])[:3, 2]
            yaw, pitch = np.rad2deg(np.arctan2(forward[:2], forward[2]))
            blink = max(scores["eyeBlinkLeft"], scores["eyeBlinkRight"])
            still = scores["jawOpen"] < MAX_JAW_OPEN and blink < MAX_BLINK
            if still and max(abs(yaw), abs(pitch)) < MAX_ANGLE_DEG:
                height, width = image.shape[:2]
                points = np.array(
                    [(p.x * width, p.y * height) for p in detection.face_landmarks[0]]
                )
                kept.append(points[np.array(IBUG_FROM_MEDIAPIPE)])
    return np.array(kept).reshape(-1, 68, 2)


def align(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """`points` moved, turned and scaled to the target, least squares over all but the jaw."""
    z, w = (p[:, 0] + 1j * p[:, 1] for p in (points, target))
    z0, w0 = z[17:].mean(), w[17:].mean()
    factor = np.vdot(z[17:] - z0, w[17:] - w0) / np.vdot(z[17:] - z0, z[17:] - z0)
    moved = (z - z0) * factor + w0
    return np.stack([moved.real, moved.imag], axis=-1)


def mean_face_landmarks() -> np.ndarray:
    """(68, 2) pixels of the built-in mean face as the renderer's camera sees it."""
    model, camera = procedural_face_model(), pinhole_camera((512, 512))
    vertices = camera_vertices(camera, model.mean_shape)
    return np.asarray(project_to_pixels(camera, vertices), np.float64)[np.asarray(model.landmarks)]


def main(arguments: Arguments) -> None:
    """Measures and prints."""
    target = mean_face_landmarks()
    people, counts = [], {}
    for video in arguments.videos:
        frames = still_landmarks(video, arguments.landmarker, arguments.stride)
        counts[video.stem] = len(frames)
        if len(frames):
            people.append(np.mean([align(points, target) for points in frames], axis=0))
    if not people:
        raise SystemExit(
            f"videos: no still, frontal face in {', '.join(map(str, arguments.videos))}"
        )
    average = np.mean(people, axis=0)
    mirrored = average[MIRROR] * [-1.0, 1.0] + [512.0, 0.0]
    average = align(0.5 * (average + mirrored), target)
    eyes = np.linalg.norm(target[45] - target[36])
    error = 100 * np.linalg.norm(target - average, axis=-1) / eyes
    groups = {**GROUPS, "all but the jaw": range(17, 68)}
    report = {
        "frames": counts,
        "percent of the eye distance": {
            name: {
                "median": round(float(np.median(error[list(index)])), 2),
                "max": round(float(error[list(index)].max()), 2),
                "worst": int(list(index)[error[list(index)].argmax()]),
            }
            for name, index in groups.items()
        },
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main(tyro.cli(Arguments))
