"""How good a person's generated pictures are, measured on the part of the clip not trained on.

Frames are made again from their own attributes, and PSNR, SSIM, perceptual distance and CPBD put
beside those of two pictures that cost nothing: the mean of the frames before, and of these the one
whose attributes are nearest. Face, mouth and eyes are also compared alone, beside what the network
is shown, and so are specks and patterns that no real frame has. The protocol *pasted* has only the
face generated. Landmarks of the same frames tell how far the lips, the eyes' opening and the gaze
are off.

The eyes are measured by landmarks on what was made: how their closing goes with the blink that
drove it, with the blink set to zero, and by a network that was trained without the eye attention
map (the paper's ablation). And how a video of the subject trembles, beside the real clip.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from facial_jax.attributes import Attributes, attribute_statistics, pack_attributes, standardize
from facial_jax.compilation import in_batches, jit
from facial_jax.media.container import open_media
from facial_jax.metrics.eyes import opening_error
from facial_jax.metrics.jitter import landmark_jitter
from facial_jax.metrics.landmarks import landmark_distance, mouth_landmark_distance
from facial_jax.metrics.pictures import MEASURES as MEASURES
from facial_jax.metrics.pictures import PROTOCOLS, paste_face, picture_measures, sharpness
from facial_jax.metrics.regions import region_psnr
from facial_jax.metrics.specks import folding_energy, speck_share
from facial_jax.models.rendering_to_video.conditioning import conditioning_pictures, face_regions
from facial_jax.models.rendering_to_video.frames import frame_chunks
from facial_jax.models.rendering_to_video.reference import unit_range_to_uint8
from facial_jax.pictures import picture_grid, resize
from facial_jax.rendering.camera import pinhole_camera
from facial_jax.rendering.render import render
from facial_jax.subject import Subject, load_rendering_to_video
from facial_jax.tracking.blink import relative_opening
from facial_jax.tracking.gaze import MAX_BLINK_LOOKED, measure_gaze, person_eyeballs
from facial_jax.tracking.landmarker import Landmarker
from facial_jax.video import read_frames

LANDMARKER_SIZE = 384
"""What smaller pictures are enlarged to before landmarks are looked for."""
_SHOWN_AT_ONCE = 16
REGIONS = "whole", "face", "mouth", "eyes"
_WORST = 10
CLOSED_EYES = 2.5
"""AU45 from which on eyes count as closed."""
MIN_STD = 1e-3
"""Attributes that move less are not compared."""


class Seen(NamedTuple):
    """What landmarks were found in frames, in their pixels; NaN where no face was seen."""

    points: np.ndarray
    # (t, 68, 2)
    irises: np.ndarray
    # (t, 2, 2)


class Shown(NamedTuple):
    """What the network sees, without any network."""

    pictures: UInt8[np.ndarray, "t h w 3"]
    # RGB
    weights: Float[np.ndarray, "t h w 4"]
    # how much each pixel belongs to `REGIONS`


FindLandmarks = Callable[[np.ndarray, float], Seen]
"""From frames (t, h, w, 3) uint8 and their rate to their landmarks."""


def find_landmarks(frames: np.ndarray, fps: float) -> Seen:
    """What MediaPipe sees in these frames.

    Raises:
        ImportError, ModelMissingError: MediaPipe or its model is missing.
    """
    scale = 1.0
    with Landmarker(fps) as landmarker:
        for frame in frames:
            small = frame.shape[0] == frame.shape[1] < LANDMARKER_SIZE
            scale = frame.shape[0] / LANDMARKER_SIZE if small else 1.0
            landmarker.add(resize(frame, LANDMARKER_SIZE) if small else frame)
        found = landmarker.shot()
    return Seen(found.points * np.float32(scale), found.irises * np.float32(scale))


def generate(subject: Subject, attributes: Attributes) -> np.ndarray:
    """The subject's frames of these attributes, (t, h, w, 3) uint8."""
    chunks = frame_chunks(subject, attributes, chunk_frames=32)
    return np.concatenate(list(chunks))


def nearest_frames(attributes: Attributes, first: int) -> np.ndarray:
    """For each frame from `first` on, the frame before `first` with the nearest attributes.

    Distances are Euclidean over all standardised attributes.
    """
    packed = np.asarray(pack_attributes(attributes))
    statistics = attribute_statistics(packed[:first])
    moving = np.asarray(statistics.std) > MIN_STD
    rows = np.asarray(standardize(packed, statistics))[:, moving]
    # A frame at a time: the differences of all would be gigabytes in minutes of video.
    return np.array([np.square(rows[:first] - row).sum(-1).argmin() for row in rows[first:]])


def compare_pictures(
    generated: np.ndarray, frames: np.ndarray, attributes: Attributes, first: int
) -> dict[str, dict[str, np.ndarray]]:
    """The measures of what was generated and of both baselines; and the real frames' CPBD."""
    real = frames[first:]
    mean = np.mean(frames[:first], axis=0, dtype=np.float64).round().astype(np.uint8)
    shown = {
        "generated": generated,
        "mean frame": np.broadcast_to(mean, real.shape),
        "nearest training frame": frames[nearest_frames(attributes, first)],
    }
    measured = {name: picture_measures(pictures, real) for name, pictures in shown.items()}
    return measured | {"real": {"cpbd": sharpness(real)}}


def compare_regions(
    shown: Shown, blink: np.ndarray, real: np.ndarray, generated: np.ndarray
) -> dict[str, dict[str, float]]:
    """PSNR of the face, the mouth and the eyes alone, specks and the pattern of folded pixels.

    That of closed eyes is over the frames with a blink above 2.5, if there are any. The rows: what
    was generated; what the network is shown, without any network; the real frames.
    """
    weights, closed, rows = shown.weights, np.asarray(blink) > CLOSED_EYES, {}
    for name, made in {"generated": generated, "what the network sees": shown.pictures}.items():
        rows[name] = {
            f"{region}_psnr_db": region_psnr(made, real, weights[..., k])
            for k, region in enumerate(REGIONS)
        }
        if closed.any():
            rows[name]["closed_eyes_psnr_db"] = region_psnr(
                made[closed], real[closed], weights[closed, ..., REGIONS.index("eyes")]
            )
        rows[name] |= {
            "specks_permille": 1000 * float(speck_share(made, real).mean()),
            "folding": float(folding_energy(made).mean()),
        }
    return rows | {"real": {"folding": float(folding_energy(real).mean())}}


def shown_to_network(subject: Subject, attributes: Attributes) -> Shown:
    """What the network sees of every frame."""
    scene, attributes = subject.scene(), jax.tree.map(np.asarray, attributes)
    shown = in_batches(
        lambda index: _shown(scene, attributes[index]), len(attributes), _SHOWN_AT_ONCE
    )
    return Shown(*shown)


def worst_mouths(
    shown: Shown, real: np.ndarray, generated: np.ndarray
) -> UInt8[np.ndarray, "h w 3"]:
    """The ten frames in whose mouths the generated picture is farthest off the real one.

    One above the other: real, what the network sees, generated.
    """
    mouth = shown.weights[..., REGIONS.index("mouth")]
    off = list(map(region_psnr, generated[:, None], real[:, None], mouth[:, None]))
    worst = np.sort(np.argsort(off)[:_WORST])
    return np.concatenate(
        [
            picture_grid(pictures[worst], len(worst))
            for pictures in (real, shown.pictures, generated)
        ]
    )


@jit
def _shown(scene, attributes):
    pictures = conditioning_pictures(scene, attributes)
    mask = render(scene.face_model, scene.identity, attributes, scene.camera, scene.size).mask
    whole = jnp.ones_like(mask)
    regions = face_regions(scene, attributes)
    weights = jnp.concatenate([whole, mask, regions], axis=-1)
    return unit_range_to_uint8(pictures[..., :3]), weights


def compare_landmarks(
    subject: Subject,
    attributes: Attributes,
    real: np.ndarray,
    generated: np.ndarray,
    *,
    landmarks: FindLandmarks = find_landmarks,
) -> dict[str, dict[str, float]]:
    """How far what is seen in the generated frames is off what is seen in the real ones.

    LMD of all landmarks and of the mouth, the error of the eyes' opening, that of the gaze in
    degrees; and the pictures' measures by both protocols.
    """
    fps = float(subject.fps)
    made, truth = (landmarks(frames, fps) for frames in (generated, real))
    pasted = np.stack([paste_face(*row) for row in zip(generated, real, truth.points, strict=True)])
    rows = {
        protocol: means({"": picture_measures(pictures, real)})[""]
        for protocol, pictures in zip(PROTOCOLS, (generated, pasted), strict=True)
    }
    rows["whole"] |= {
        "lmd_percent": landmark_distance(made.points, truth.points),
        "mouth_lmd_percent": mouth_landmark_distance(made.points, truth.points),
        "opening_error": opening_error(made.points, truth.points),
    }
    centres = person_eyeballs(subject.face_model, subject.identity.identity)
    camera, blink = pinhole_camera(real.shape[1:3]), np.asarray(attributes.blink)
    pose = np.asarray(attributes.pose)
    looks = [measure_gaze(centres, pose, seen.irises, blink, camera) for seen in (made, truth)]
    if all(look is not None for look in looks):
        open_eyes = blink < MAX_BLINK_LOOKED
        apart = np.linalg.norm(looks[0].mean(axis=1) - looks[1].mean(axis=1), axis=-1)
        rows["whole"]["gaze_error_deg"] = float(np.degrees(apart[open_eyes].mean()))
    return rows


def eye_closing(points: np.ndarray, blink: np.ndarray) -> dict[str, float]:
    """How the eyes' closing in a video goes with the blink that drove it.

    Args:
        points: (t, 68, 2) landmarks, NaN where there was no face.
        blink: (t,) AU45.

    Returns:
        Their correlation (1: the eyes close just as the blink says; 0 for eyes that do not move),
        the eyes' mean opening over the person's own when the blink is above 2.5, and when it is
        below 0.5; the share of frames with a face.
    """
    opening = relative_opening(points)
    seen = np.isfinite(opening)
    if seen.sum() < 3:
        raise ValueError("points: expected a face in at least three frames")
    closing, driving = 1 - opening[seen], blink[seen]
    moves = min(closing.std(), driving.std()) > 1e-6

    def opening_where(chosen):
        return float((1 - closing[chosen]).mean()) if chosen.any() else float("nan")

    return {
        "correlation": float(np.corrcoef(closing, driving)[0, 1]) if moves else 0.0,
        "opening_closed": opening_where(driving > CLOSED_EYES),
        "opening_open": opening_where(driving < 0.5),
        "seen": float(seen.mean()),
    }


def with_network(subject: Subject, path: Path) -> Subject:
    """The same subject with another rendering-to-video network."""
    return dataclasses.replace(subject, **load_rendering_to_video(path))


def compare_eyes(
    subject: Subject,
    attributes: Attributes,
    real: np.ndarray,
    generated: np.ndarray,
    *,
    without_attention: Path | None = None,
    landmarks: FindLandmarks = find_landmarks,
) -> dict[str, dict[str, float]]:
    """`eye_closing` of the real frames, of those generated, and of those without the blink.

    A blink of zero scales the eye attention map to zero and leaves lids that move open; nothing
    else of the picture comes from the blink.
    """
    blink, fps = np.asarray(attributes.blink), float(subject.fps)
    open_eyes = attributes.replace(blink=np.zeros_like(blink))
    videos = {
        "real": real,
        "generated": generated,
        "blink set to zero": generate(subject, open_eyes),
    }
    if without_attention is not None:
        other = with_network(subject, without_attention)
        videos["trained without map"] = generate(other, open_eyes)
    return {
        name: eye_closing(landmarks(video, fps).points, blink) for name, video in videos.items()
    }


def measure_jitter(
    driven: Path, frames: np.ndarray, fps: float, *, landmarks: FindLandmarks = find_landmarks
) -> dict[str, float]:
    """How a video of the subject and the real clip tremble, and the one over the other."""
    with open_media(driven, "video") as container:
        rate = float(container.streams.video[0].average_rate)
    generated = read_frames(driven)
    jitter = {
        "driven": landmark_jitter(landmarks(generated, rate).points),
        "real": landmark_jitter(landmarks(frames, fps).points),
    }
    return jitter | {"ratio": jitter["driven"] / jitter["real"]}


def table(rows: dict[str, dict[str, float]], columns: tuple[str, ...]) -> str:
    """Numbers by name and column as text."""
    lines = [f"{'':24s}" + "".join(f"{column:>18s}" for column in columns)]
    for name, row in rows.items():
        cells = (f"{row[c]:18.4f}" if c in row else f"{'':18s}" for c in columns)
        lines.append(f"{name:24s}" + "".join(cells))
    return "\n".join(lines)


def means(measured: dict[str, dict[str, np.ndarray]]) -> dict[str, dict[str, float]]:
    """Over the frames."""
    return {
        name: {measure: float(values.mean()) for measure, values in row.items()}
        for name, row in measured.items()
    }
