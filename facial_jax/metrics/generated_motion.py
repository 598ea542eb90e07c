"""The columns of FACIAL's Table 1 that motion alone tells, of models and baselines on known clips.

Landmarks are those of the clip's own face model with the clip's identity, seen by the camera that
its poses are for: nothing of them is the rendering's. What pictures tell (CPBD, SyncNet) is
measured by `facial_jax.evaluation`.
"""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import jax
import numpy as np
from jaxtyping import Float

from facial_jax.attributes import Attributes
from facial_jax.data.clips import Clip, ClipSource
from facial_jax.face.model import FaceModel
from facial_jax.frame_rate import resample_frames
from facial_jax.metrics.landmarks import landmark_distance, mouth_landmark_distance
from facial_jax.metrics.motion import blink_statistics, blinks_per_clip, pose_spread
from facial_jax.metrics.shifts import Shift
from facial_jax.models.facial_gan.generation import FacialGan, blink_when_due, generate_attributes
from facial_jax.models.sync.motion import is_still, mouth_distances, mouth_motion
from facial_jax.models.sync.speech import FPS, speech_rows
from facial_jax.models.sync.use import load_mouth_sync, measure_mouth_sync
from facial_jax.tracking import fitting
from facial_jax.tracking.tracker import project_in_batches

Speak = Callable[[Clip], Attributes]
"""What a method does with a clip's speech, as many frames as the clip has."""
REAL = "real"
COLUMNS = (
    *("LMD, %", "mouth LMD, %", "off by, 1/25 s", "MouthSync", "blinks/s", "blink, s"),
    *("blinks/4 s", "pitch", "yaw", "roll"),
)
"""Distances to the real landmarks; mean error and confidence of MouthSync's delay, which is 0 for
the clip's own sound; blinks; deviations of the head's angles in degrees."""


def model_speaks(model: FacialGan) -> Speak:
    """A trained FACIAL-GAN's attributes, as `synthesize` makes them."""

    def speak(clip: Clip) -> Attributes:
        attributes = generate_attributes(model, clip.features)
        if model.blink_habits is not None:
            return attributes
        return attributes.replace(blink=blink_when_due(attributes.blink, float(clip.frame_rate)))

    return speak


def baselines(train: ClipSource) -> dict[str, Speak]:
    """What a model must be better than, out of the same speakers' training clips.

    The mean attributes of one of them, which never move; and another clip of the speaker, which
    moves as the person does but not with this speech.
    """

    def mean(clip: Clip) -> Attributes:
        seen = train.of_subject(clip.subject)[0].attributes
        return jax.tree.map(lambda x: np.repeat(x.mean(axis=0)[None], len(clip), axis=0), seen)

    def other(clip: Clip) -> Attributes:
        others = train.of_subject(clip.subject)
        seen = others[hash_of(clip.clip) % len(others)].attributes
        index = np.arange(len(clip)) % len(seen)
        return seen[index]

    return {"mean attributes": mean, "another clip": other}


def hash_of(name: str) -> int:
    """A number that a name always has, unlike `hash`."""
    return sum(i * ord(letter) for i, letter in enumerate(name, 1))


def measure_motion(
    methods: Mapping[str, Speak], clips: Sequence[Clip], face_model: FaceModel
) -> dict[str, dict[str, float]]:
    """`COLUMNS` of each method over all clips in which somebody speaks, and of the real motion.

    Raises:
        ValueError: nobody speaks in any of them.
    """
    spoken = [clip for clip in clips if not is_still(_distances(clip.attributes, face_model))]
    if not spoken:
        raise ValueError("clips: expected somebody who speaks in at least one, found nobody")
    every = {REAL: lambda clip: clip.attributes, **methods}
    return {name: _measure(speak, spoken, face_model) for name, speak in every.items()}


def _measure(speak: Speak, clips: Sequence[Clip], face_model: FaceModel) -> dict[str, float]:
    distances, delays, confidences = [], [], []
    blinks, poses, counts = [], [], []
    landmarks = fitting.landmark_model(face_model)
    for clip in clips:
        attributes = jax.tree.map(np.asarray, speak(clip))
        points = [
            np.where(clip.valid[:, None, None], _landmarks(x, clip, landmarks), np.nan)
            for x in (attributes, clip.attributes)
        ]
        distances.append((landmark_distance(*points), mouth_landmark_distance(*points)))
        delay = _sound_delay(attributes, clip, face_model)
        if delay is not None:
            delays.append(float(abs(delay.sound_delay_frames)))
            confidences.append(delay.confidence)
        fps, seen = float(clip.frame_rate), clip.valid
        blinks.append(blink_statistics([attributes.blink[seen]], fps))
        counts.append(blinks_per_clip([attributes.blink[seen]], fps))
        poses.append(np.degrees(pose_spread([attributes.pose[seen]])[:3]))
    durations = [x.duration_s for x in blinks if np.isfinite(x.duration_s)]
    values = (
        *np.mean(distances, axis=0),
        _mean(delays),
        _mean(confidences),
        np.mean([x.per_minute for x in blinks]) / 60,
        _mean(durations),
        _mean(np.concatenate(counts)),
        *np.mean(poses, axis=0),
    )
    return dict(zip(COLUMNS, map(float, values), strict=True))


def _mean(values: Sequence[float] | np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _distances(attributes: Attributes, face_model: FaceModel) -> np.ndarray:
    return mouth_distances(face_model, np.asarray(attributes.expression, np.float32))


def _landmarks(attributes: Attributes, clip: Clip, landmarks) -> Float[np.ndarray, "t 68 2"]:
    parameters = np.concatenate([attributes.pose, attributes.expression], axis=1)
    return project_in_batches(landmarks, clip.identity, parameters.astype(np.float32))


def _sound_delay(attributes: Attributes, clip: Clip, face_model: FaceModel) -> Shift | None:
    """None if the mouth is still."""
    distances = _distances(attributes, face_model)
    if is_still(distances):
        return None
    samples = clip.waveform.astype(np.float32) / np.float32(32768)
    count = round(len(clip) / float(clip.frame_rate) * FPS)
    features, distances = (
        resample_frames(x, clip.frame_rate, Fraction(FPS), count)
        for x in (clip.features, distances)
    )
    rows = speech_rows(features.astype(np.float32), [samples])
    return measure_mouth_sync(load_mouth_sync(), mouth_motion(distances, float(FPS)), rows)


def text_table(table: Mapping[str, Mapping[str, float]]) -> str:
    """A line for each method."""
    lines = [f"{'':20s}" + "".join(f"{name:>15s}" for name in COLUMNS)]
    for name, row in table.items():
        lines.append(f"{name:20s}" + "".join(f"{row[column]:15.3f}" for column in COLUMNS))
    return "\n".join(lines)
