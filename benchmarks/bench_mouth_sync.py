"""Does the mouth open with the voice? Measured on a video with MediaPipe's face landmarks.

    python -m benchmarks.bench_mouth_sync --video talk.mp4 --landmarker face_landmarker.task

The measure is the correlation between the speech's log energy from 400 to 1100 Hz and the distance
of the inner lips, both with their one-second moving mean taken away; real talking people have 0.2
to 0.3. Also: the share of frames with a face, the range of the head's rotation, and the blinks.
Without a video, the animator that makes the training data is measured on speech of its own.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from data_specs.synthetic_talking_head.prosody import band_log_energy
from facial_jax.metrics.lips import without_moving_mean

MAX_LAG_FRAMES = 2
UPPER_INNER_LIP, LOWER_INNER_LIP, FOREHEAD, CHIN = 13, 14, 10, 152
BLINK_SCORE = 0.4


@dataclass(frozen=True)
class Arguments:
    """What is measured."""

    video: Path | None = None
    """The video; its own sound is used if no speech is given."""
    speech: Path | None = None
    """The speech that the video was made from."""
    landmarker: Path | None = None
    """MediaPipe's face_landmarker.task."""
    seconds: float = 120.0
    """How much synthetic speech the animator is measured on, if there is no video."""


def mouth_sync(
    opening: np.ndarray, samples: np.ndarray, sample_rate: int, fps: float
) -> dict[str, float]:
    """Correlation of mouth and voice at lags of up to 5 frames, and the best one within 2.

    `opening`: (t,) per frame, NaN where no mouth was seen. A positive lag: the mouth comes later.
    """
    times_s = (np.arange(len(opening)) + 0.5) / fps
    seen = np.isfinite(opening)
    filled = np.interp(np.arange(len(opening)), np.flatnonzero(seen), opening[seen])
    second = round(fps)
    voice = without_moving_mean(band_log_energy(samples, sample_rate, times_s), second)
    mouth = without_moving_mean(filled, second)
    lags = {}
    for lag in range(-5, 6):
        v = voice[max(-lag, 0) : len(voice) - max(lag, 0)]
        m = mouth[max(lag, 0) : len(mouth) + min(lag, 0)]
        both = seen[max(lag, 0) : len(mouth) + min(lag, 0)]
        lags[lag] = float(np.corrcoef(v[both], m[both])[0, 1])
    best = max(range(-MAX_LAG_FRAMES, MAX_LAG_FRAMES + 1), key=lags.__getitem__)
    report = {"correlation": lags[best], "lag_frames": best}
    return report | {f"lag {lag:+d}": value for lag, value in lags.items()}


def measure_faces(video: Path, landmarker: Path) -> tuple[dict[str, np.ndarray], float]:
    """Per frame: lip distance over face height, rotation in degrees, blink score; and the rate.

    NaN where no face was found.
    """
    import av
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(landmarker)),
        output_face_blendshapes=True,
        output_facial_transformation_matrixes=True,
    )
    rows = []
    with av.open(str(video)) as container, vision.FaceLandmarker.create_from_options(options) as m:
        stream = container.streams.video[0]
        fps = float(stream.average_rate)
        for frame in container.decode(stream):
            image = np.ascontiguousarray(frame.to_ndarray(format="rgb24"))
            detection = m.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=image))
            rows.append(_face_numbers(detection, image.shape))
    columns = np.array(rows, np.float64).T
    names = ("opening", "pitch", "yaw", "roll", "blink")
    return dict(zip(names, columns, strict=True)), fps


def _face_numbers(detection, shape) -> tuple[float, ...]:
    if not detection.face_landmarks:
        return (np.nan,) * 5
    points = np.array([[p.x * shape[1], p.y * shape[0]] for p in detection.face_landmarks[0]])
    lips = np.linalg.norm(points[UPPER_INNER_LIP] - points[LOWER_INNER_LIP])
    height = np.linalg.norm(points[FOREHEAD] - points[CHIN])
    r = np.asarray(detection.facial_transformation_matrixes[0])[:3, :3]
    pitch, yaw, roll = np.degrees(
        [np.arctan2(r[2, 1], r[2, 2]), np.arcsin(-r[2, 0]), np.arctan2(r[1, 0], r[0, 0])]
    )
    scores = {s.category_name: s.score for s in detection.face_blendshapes[0]}
    blink = (scores["eyeBlinkLeft"] + scores["eyeBlinkRight"]) / 2
    return (lips / height, pitch, yaw, roll, blink)


def count_blinks(score: np.ndarray, threshold: float) -> int:
    """How often the score rises above the threshold."""
    closed = np.nan_to_num(score) > threshold
    return int((closed[1:] & ~closed[:-1]).sum())


def bench_video(video: Path, speech: Path, landmarker: Path) -> dict[str, float]:
    """The whole report on one video."""
    from facial_jax.audio.waveform import AudioSource

    rate = 16000
    samples = np.concatenate(list(AudioSource(speech).blocks(rate)))[:, 0]
    faces, fps = measure_faces(video, landmarker)
    seen = np.isfinite(faces["opening"])
    report = {
        "frames": len(seen),
        "share_of_frames_with_a_face": float(seen.mean()),
        "blinks": count_blinks(faces["blink"], BLINK_SCORE),
        "blinks_per_s": count_blinks(faces["blink"], BLINK_SCORE) * fps / len(seen),
        "opening_5_50_95_percent": np.nanpercentile(faces["opening"], [5, 50, 95])
        .round(4)
        .tolist(),
    }
    for name in ("pitch", "yaw", "roll"):
        report[f"{name}_range_deg"] = float(np.nanmax(faces[name]) - np.nanmin(faces[name]))
        report[f"{name}_std_deg"] = float(np.nanstd(faces[name]))
    return report | mouth_sync(faces["opening"], samples, rate, fps)


def bench_animator(seconds: float) -> dict[str, float]:
    """The same measure on the animator's own coefficients and speech."""
    from data_specs.synthetic_talking_head.animation import demo_attributes
    from data_specs.synthetic_talking_head.visemes import mouth_opening

    attributes, utterance = demo_attributes(0, seconds)
    report = {
        "frames": len(attributes),
        "blinks_per_s": count_blinks(attributes.blink, 2.5) / seconds,
        "yaw_range_deg": float(np.degrees(np.ptp(attributes.pose[:, 1]))),
        "pitch_range_deg": float(np.degrees(np.ptp(attributes.pose[:, 0]))),
    }
    opening = mouth_opening(np.asarray(attributes.expression))
    return report | mouth_sync(opening, utterance.samples, utterance.sample_rate, 25.0)


def main(arguments: Arguments) -> None:
    """Prints the report."""
    if arguments.video is None:
        report = bench_animator(arguments.seconds)
    elif arguments.landmarker is None:
        raise SystemExit("--landmarker: give the path of MediaPipe's face_landmarker.task")
    else:
        report = bench_video(
            arguments.video, arguments.speech or arguments.video, arguments.landmarker
        )
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main(tyro.cli(Arguments))
