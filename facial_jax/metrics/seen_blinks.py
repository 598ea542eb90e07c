"""Blinks that are seen in generated clips, with and without the eye attention map: FACIAL's Fig. 9.

Many 4-second clips of speech are spoken by the subject. Blinks are counted in what was drawn, by
landmarks, not in the curve that drove it: a network that does not draw closed eyes has none.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

from facial_jax.attributes import Attributes
from facial_jax.audio.mfcc import SAMPLE_RATE
from facial_jax.audio.waveform import AudioSource
from facial_jax.metrics.motion import blinks_per_clip, distribution_distance
from facial_jax.metrics.rendering_to_video import LANDMARKER_SIZE, generate, with_network
from facial_jax.pictures import resize
from facial_jax.speech_attributes import attributes_from_speech
from facial_jax.subject import Subject
from facial_jax.tracking.blink import blink_intensity
from facial_jax.tracking.landmarker import Landmarker

CLIP_S = 4.0
ASKED = "asked for"
WITH, ZERO, WITHOUT, REAL = "with map", "map set to zero", "trained without", "real"

DetectBlinks = Callable[[Sequence[UInt8[np.ndarray, "_ h w 3"]], float], list[np.ndarray]]
"""From clips and their rate to each one's AU45 intensities (t,)."""


def speech_clips(paths: Iterable[Path], count: int) -> Iterator[Float[np.ndarray, "n"]]:
    """Up to `count` pieces of four seconds of recordings, mono at 16 kHz, without the rests."""
    size, done = round(CLIP_S * SAMPLE_RATE), 0
    for path in paths:
        samples = np.concatenate([block[:, 0] for block in AudioSource(path).blocks(SAMPLE_RATE)])
        for first in range(0, len(samples) - size + 1, size):
            if done == count:
                return
            done += 1
            yield samples[first : first + size]


def detect_blinks(clips: Sequence[UInt8[np.ndarray, "_ h w 3"]], fps: float) -> list[np.ndarray]:
    """AU45 of each clip by MediaPipe; the open eye is what it is over all of them together.

    Raises:
        ImportError, ModelMissingError: MediaPipe or its model is missing.
        ValueError: there is no face in a clip.
    """
    points, scores = [], []
    for clip in clips:
        with Landmarker(fps) as landmarker:
            for frame in clip:
                small = frame.shape[0] == frame.shape[1] < LANDMARKER_SIZE
                landmarker.add(resize(frame, LANDMARKER_SIZE) if small else frame)
            landmarks = landmarker.shot()
        if not landmarks.seen.any():
            raise ValueError("clips: expected a face in every one, found none in one of them")
        # The nearest frame with a face stands for those without.
        frames, seen = np.arange(len(clip)), np.flatnonzero(landmarks.seen)
        nearest = seen[np.abs(frames[:, None] - seen).argmin(axis=1)]
        points.append(landmarks.points[nearest])
        scores.append(landmarks.blink_scores[nearest])
    blink = blink_intensity(np.concatenate(points), np.concatenate(scores))
    return np.split(blink, np.cumsum([len(clip) for clip in clips])[:-1])


def count_seen_blinks(
    subject: Subject,
    speech: Iterable[Float[np.ndarray, "_"]],
    *,
    without_attention: Path | None = None,
    real: Float[np.ndarray, "t"] | None = None,
    real_fps: float = 25.0,
    detect: DetectBlinks = detect_blinks,
) -> dict[str, Int[np.ndarray, "_"]]:
    """Blinks in each clip of four seconds: asked for by the attributes, seen, and real.

    Args:
        subject: who speaks.
        speech: pieces of four seconds at 16 kHz.
        without_attention: a network that was trained without the eye attention map.
        real: AU45 of the person's own video.
        real_fps: its frames per second.
        detect: finds the blinks in pictures.

    Raises:
        ValueError: there is not one piece of speech.
    """
    fps = float(subject.fps)
    asked = [
        attributes_from_speech(AudioSource((samples, SAMPLE_RATE)), subject, fps=subject.fps)
        for samples in speech
    ]
    if not asked:
        raise ValueError(f"speech: expected a recording of {CLIP_S:g} s at least, got none")
    counts = {ASKED: _counts([np.asarray(x.blink) for x in asked], fps)}
    drawn: dict[str, tuple[Subject, list[Attributes]]] = {
        WITH: (subject, asked),
        ZERO: (subject, [_open_eyed(x) for x in asked]),
    }
    if without_attention is not None:
        other = with_network(subject, without_attention)
        drawn[WITHOUT] = (other, drawn[ZERO][1])
    for name, (who, attributes) in drawn.items():
        counts[name] = _counts(detect([generate(who, x) for x in attributes], fps), fps)
    if real is not None:
        counts[REAL] = blinks_per_clip([real], real_fps, seconds=CLIP_S)
    return counts


def _open_eyed(attributes: Attributes) -> Attributes:
    return attributes.replace(blink=np.zeros_like(np.asarray(attributes.blink)))


def _counts(blinks: Sequence[np.ndarray], fps: float) -> np.ndarray:
    return blinks_per_clip(blinks, fps, seconds=CLIP_S)


def text_table(counts: dict[str, Int[np.ndarray, "_"]]) -> str:
    """The histogram and mean of each row, and how far it is from the real or the asked-for one."""
    best = counts.get(REAL, counts[ASKED])
    most = max(int(x.max(initial=0)) for x in counts.values())
    head = "".join(f"{i:>6d}" for i in range(most + 1))
    to = REAL if REAL in counts else ASKED
    lines = [f"{'blinks in a clip':<18}{head}   clips    mean   distance from {to}"]
    for name, count in counts.items():
        bins = "".join(f"{n:>6d}" for n in np.bincount(count, minlength=most + 1))
        distance = distribution_distance(count.astype(float), best.astype(float))
        lines.append(f"{name:<18}{bins}{len(count):>8d}{count.mean():>8.2f}{distance:>12.2f}")
    return "\n".join(lines)
