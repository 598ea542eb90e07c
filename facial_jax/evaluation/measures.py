"""All measures of one video, and of a generated one beside the real one."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from facial_jax.evaluation.alignment import Alignment, common_pictures, head_pictures
from facial_jax.evaluation.observation import Observation
from facial_jax.face.procedural import procedural_face_model
from facial_jax.frame_rate import count_frames
from facial_jax.metrics.eyes import gaze, gaze_error, opening_error
from facial_jax.metrics.jitter import landmark_jitter
from facial_jax.metrics.landmarks import landmark_distance, mouth_landmark_distance
from facial_jax.metrics.lips import (
    face_lips,
    lips_that_touch,
    motion_correlation,
    score_gestures,
    wide_opening,
)
from facial_jax.metrics.motion import (
    blink_statistics,
    blink_times,
    distribution_distance,
    pose_spread,
)
from facial_jax.metrics.mouth_sync import sound_delay
from facial_jax.metrics.pictures import (
    PROTOCOLS,
    Features,
    paste_face,
    perceptual_features,
    picture_measures,
    sharpness,
)
from facial_jax.metrics.recognised_phones import recognise_phones
from facial_jax.metrics.similarity import Embedder, identity_similarity
from facial_jax.models.syncnet.use import face_crops, load_syncnet, syncnet_score
from facial_jax.tracking.frames import open_frames

Numbers = dict[str, float]


@dataclass(frozen=True)
class Given:
    """What only the user can bring to a measurement."""

    syncnet: Path | None = None
    """`syncnet_v2.model`, for SyncNet's AV offset, LSE-D and LSE-C."""
    vgg: Path | None = None
    """torchvision's `vgg19` weights, for the perceptual distance."""
    embedder: Embedder | None = None
    """For the similarity of identities."""

    def said(self, features: Features) -> tuple[str, ...]:
        """What the measures are made with."""
        return (
            f"perceptual distance: {features[2]}.",
            "SyncNet: not measured, --syncnet names no weights."
            if self.syncnet is None
            else f"SyncNet: {self.syncnet.name}.",
            "identity: not measured, there is no embedder."
            if self.embedder is None
            else "identity: cosine of the embedder's vectors.",
        )


def video_measures(x: Observation, given: Given | None = None) -> tuple[Numbers, list[str]]:
    """What one video says by itself, and what could not be measured, in sentences.

    `closed at p, b, m` is the share of these sounds, as a recogniser hears them, at which the lips
    meet; `closed by chance` the same at any moment. `MouthSync` is this project's own measure,
    `SyncNet` the published one: their confidences have other scales.
    """
    given = given or Given()
    blink, pose = (np.asarray(a)[x.valid] for a in (x.attributes.blink, x.attributes.pose))
    blinks = blink_statistics([blink], x.fps)
    spread = np.degrees(pose_spread([pose])[:3])
    numbers: Numbers = {
        "frames with a face": float(np.isfinite(x.points).all(axis=(1, 2)).mean()),
        "CPBD": float(sharpness(head_pictures(x)).mean()),
        "blinks per s": blinks.per_minute / 60,
        "blink duration, s": blinks.duration_s,
        "pitch, deg": float(spread[0]),
        "yaw, deg": float(spread[1]),
        "roll, deg": float(spread[2]),
    }
    missing: list[str] = []
    _try(numbers, missing, "jitter", lambda: {"jitter": landmark_jitter(x.points)})
    if x.samples is None:
        missing.append("lips and sound: there is no sound.")
        return numbers, missing
    _try(numbers, missing, "lips at p, b, m", lambda: _closed(x))
    _try(numbers, missing, "MouthSync", lambda: _mouth_sync(x))
    if given.syncnet is not None:
        _try(numbers, missing, "SyncNet", lambda: _syncnet(x, given.syncnet))
    return numbers, missing


def pair_measures(
    generated: Observation, real: Observation, alignment: Alignment, given: Given | None = None
) -> tuple[Numbers, list[str]]:
    """How far a generated video is from the real one, and what could not be measured.

    Measures of pictures come by both protocols, see `facial_jax.metrics.pictures`.
    """
    given = given or Given()
    numbers, missing = motion_measures(generated, real, alignment)
    pictures = common_pictures(generated, real, alignment)
    features = perceptual_features(given.vgg)
    pasted = np.stack(
        [
            paste_face(*row)
            for row in zip(pictures.generated, pictures.real, pictures.points, strict=True)
        ]
    )
    shown = {"whole": pictures.generated, "pasted": pasted}
    for protocol in PROTOCOLS:
        measured = picture_measures(shown[protocol], pictures.real, features)
        for name, title in (
            ("psnr_db", "PSNR, dB"),
            ("ssim", "SSIM"),
            ("perceptual", "perceptual"),
            ("cpbd", "CPBD"),
        ):
            numbers[f"{title} ({protocol})"] = float(measured[name].mean())
    if given.embedder is not None:
        numbers["identity (whole)"] = identity_similarity(
            given.embedder, pictures.generated, pictures.real
        )
    return numbers, missing


def motion_measures(
    generated: Observation, real: Observation, alignment: Alignment
) -> tuple[Numbers, list[str]]:
    """The part of `pair_measures` that needs no pictures; of a video beside itself, the best."""
    a, b = alignment.generated, alignment.real
    numbers: Numbers = {}
    missing: list[str] = []

    def measure(name, function):
        _try(numbers, missing, name, lambda: {name: function()})

    measure("LMD, %", lambda: landmark_distance(generated.points[a], real.points[b]))
    measure("mouth LMD, %", lambda: mouth_landmark_distance(generated.points[a], real.points[b]))
    measure("eye opening error", lambda: opening_error(generated.points[a], real.points[b]))
    gazes = [gaze(x.points, x.irises) for x in (generated, real)]
    measure("gaze error, %", lambda: gaze_error(gazes[0][a], gazes[1][b]))
    measure("mouth correlation", lambda: _mouth_correlation(generated, real, alignment))
    blinks = [
        blink_times([np.asarray(x.attributes.blink)[part]], x.fps)
        for x, part in ((generated, a), (real, b))
    ]
    for field, name in (("durations_s", "blink durations"), ("intervals_s", "blink intervals")):
        values = [getattr(x, field) for x in blinks]
        distance = distribution_distance(*values)
        if np.isfinite(distance):
            numbers[f"{name} off, s"] = distance
        else:
            missing.append(f"{name}: one of the videos has too few blinks.")
    return numbers, missing


def mouth_gap(x: Observation) -> np.ndarray:
    """(t,) the lips' gap with the head held still, decimetres; NaN where there is no face."""
    return np.where(x.valid, _lips(x).gap, np.nan)


def _lips(x: Observation):
    model = procedural_face_model()
    expression = np.where(x.valid[:, None], np.asarray(x.attributes.expression), 0)
    return face_lips(model, np.zeros(80, np.float32), expression.astype(np.float32))


def _closed(x: Observation) -> Numbers:
    lips = lips_that_touch(_lips(x), x.valid)
    score = score_gestures(
        [lips],
        [recognise_phones(x.samples)],
        wide=wide_opening(lips.gap[x.valid]),
        fps=[x.fps],
        seen=[x.valid],
    )["closed"]
    if not score.sounds:
        raise ValueError("no p, b or m was heard")
    return {"closed at p, b, m": score.value, "closed by chance": score.chance}


def _mouth_sync(x: Observation) -> Numbers:
    expression = np.where(x.valid[:, None], np.asarray(x.attributes.expression), 0)
    delay = sound_delay(
        expression.astype(np.float32), x.video.fps, x.samples, procedural_face_model()
    )
    return {
        "MouthSync sound delay, 1/25 s": float(delay.sound_delay_frames),
        "MouthSync confidence": delay.confidence,
    }


def _syncnet(x: Observation, path: Path) -> Numbers:
    video = open_frames(x.video.path, fps=25)
    first = round(x.start / x.video.fps * 25)
    count = count_frames(Fraction(len(x)) / x.video.fps, Fraction(25))
    nearest = np.minimum((np.arange(count) * float(x.video.fps / 25)).astype(int), len(x) - 1)
    frames = video.read(start=first, stop=first + count)
    faces = face_crops(frames, x.points[nearest])
    score = syncnet_score(load_syncnet(path), faces, x.samples)
    return {
        "SyncNet AV offset, 1/25 s": float(score.av_offset_frames),
        "SyncNet LSE-D": score.lse_d,
        "SyncNet LSE-C": score.lse_c,
    }


def _mouth_correlation(generated: Observation, real: Observation, alignment: Alignment) -> float:
    a, b = alignment.generated, alignment.real
    seen = generated.valid[a] & real.valid[b]
    gaps = _lips(generated).gap[a], _lips(real).gap[b]
    return motion_correlation([gaps[0]], [gaps[1]], fps=[real.fps], seen=[seen])[0]


def _try(numbers: dict[str, Any], missing: list[str], what: str, measure) -> None:
    """Adds what is measured; what a video does not have is said and left out."""
    try:
        values: Mapping[str, float] = measure()
    except ValueError as error:
        missing.append(f"{what}: {error}")
        return
    numbers |= {name: float(value) for name, value in values.items()}
