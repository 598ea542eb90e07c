"""How far a sound is off a face that speaks, by MouthSync: from a waveform and expressions."""

from fractions import Fraction

import numpy as np
from jaxtyping import Float

from facial_jax.audio.acoustic import PHONEMES, load_acoustic_model
from facial_jax.audio.features import speech_features
from facial_jax.audio.mfcc import SAMPLE_RATE
from facial_jax.audio.waveform import AudioSource
from facial_jax.face.model import FaceModel
from facial_jax.frame_rate import count_frames, resample_frames
from facial_jax.metrics.shifts import Shift
from facial_jax.models.sync.motion import mouth_distances, mouth_motion
from facial_jax.models.sync.speech import FPS, speech_rows
from facial_jax.models.sync.use import load_mouth_sync, measure_mouth_sync


def sound_delay(
    expression: Float[np.ndarray, "t 64"],
    fps: Fraction,
    samples: Float[np.ndarray, "n"],
    face_model: FaceModel,
) -> Shift:
    """By how many frames of 1/25 s the sound comes later than the mouth, with its confidence.

    Args:
        expression: of the face model, at `fps` frames per second.
        fps: any rate.
        samples: the sound, starting with the first frame, mono at 16 kHz in [-1, 1].
        face_model: what the expressions are of.

    Raises:
        ValueError: the mouth does not move, or there is less than 16/25 s.
    """
    rate = Fraction(FPS)
    source = AudioSource((samples, SAMPLE_RATE))
    features = speech_features(source, load_acoustic_model(PHONEMES), rate)
    count = min(len(features), count_frames(Fraction(len(expression)) / fps, rate))
    distances = resample_frames(mouth_distances(face_model, expression), fps, rate, count)
    rows = speech_rows(features[:count], [samples])
    return measure_mouth_sync(load_mouth_sync(), mouth_motion(distances, float(FPS)), rows)


def shifted(samples: Float[np.ndarray, "n"], seconds: float) -> Float[np.ndarray, "n"]:
    """The same sound later by this time, or earlier if negative; silence fills the gap."""
    count = round(seconds * SAMPLE_RATE)
    moved = np.roll(samples, count)
    if count > 0:
        moved[:count] = 0
    if count < 0:
        moved[count:] = 0
    return moved
