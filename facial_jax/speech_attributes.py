"""Speech in, attributes out: what the face does, made by either paper's networks.

speech ─▶ features ─▶ FACIAL-GAN ───────────────▶ expression, pose, blink
                  └─▶ PoseGAN ─▶ pose ─▶ PGFace ─▶ expression, identity of every frame
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal, get_args

import jax
import numpy as np
from jaxtyping import Float

from facial_jax.attributes import Attributes, unpack_attributes
from facial_jax.audio.acoustic import GIVEN, PHONEMES, load_acoustic_model
from facial_jax.audio.features import given_features
from facial_jax.audio.features import speech_features as speech_features_of
from facial_jax.audio.known_phones import KnownPhone
from facial_jax.audio.phonemes import KnownPhonesModel
from facial_jax.audio.waveform import AudioSource
from facial_jax.editing import gaussian_filter
from facial_jax.face.lips import keep_lips_apart
from facial_jax.frame_rate import FrameRate, count_frames, parse_frame_rate, resample_frames
from facial_jax.models.facial_gan.generation import blink_when_due, generate_attributes
from facial_jax.models.facial_gan.takes import generate_take
from facial_jax.models.pgface.generation import generate_face
from facial_jax.models.pose_gan.generation import generate_poses
from facial_jax.models.pose_gan.takes import generate_pose_take
from facial_jax.progress_bar import progress_bar
from facial_jax.subject import Subject

POSE_SMOOTHING_S = 0.06  # standard deviation of the Gaussian filter
Method = Literal["facial", "pose_gan"]
"""What makes attributes: FACIAL-GAN (ICCV 2021), or PoseGAN with PGFace (CVM 2021)."""
METHODS = get_args(Method)


def attributes_from_speech(
    source: AudioSource,
    subject: Subject,
    *,
    fps: Fraction,
    method: Method = "facial",
    seed: int | None = None,
    speech_features: tuple[np.ndarray, FrameRate] | None = None,
    phones: Sequence[KnownPhone] | None = None,
    progress: bool = False,
) -> Attributes:
    """What the face does while this speech sounds: round(duration · fps) frames.

    The networks run at the rate that they were trained at; their attributes are then resampled.

    Args:
        source: the speech.
        subject: who speaks.
        fps: frames per second of the attributes.
        method: what makes them.
        seed: of another take (see `facial_gan.takes`); None: the one that the speech alone makes.
        speech_features: see `facial_jax.synthesize`.
        phones: all that is said, in order of time; it need not be heard then by subjects that
            listen with `phonemes`. Others listen.
        progress: show progress bars for what takes longer than a second.

    Raises:
        ValueError: features that do not fit, or a method whose networks the subject does not have.
    """
    if method not in METHODS:
        raise ValueError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
    if method == "pose_gan":
        subject.check_pose_gan()
    features = listen(
        source, subject, speech_features=speech_features, phones=phones, progress=progress
    )
    draw = None if seed is None else np.random.default_rng(seed)
    attributes = _by_facial_gan(subject, features, draw, progress)
    if method == "pose_gan":
        attributes = _with_pose_gan(subject, features, attributes, draw, progress)
    std = unpack_attributes(np.asarray(subject.facial_gan.statistics.std)).expression
    expression = keep_lips_apart(subject.face_model, attributes.expression, std)
    attributes = attributes.replace(expression=expression)
    count = count_frames(source.duration, fps)
    return jax.tree.map(lambda x: resample_frames(x, subject.fps, fps, count), attributes)


def listen(
    source: AudioSource,
    subject: Subject,
    *,
    speech_features: tuple[np.ndarray, FrameRate] | None = None,
    phones: Sequence[KnownPhone] | None = None,
    progress: bool = False,
) -> Float[np.ndarray, "t features"]:
    """What the subject hears of this speech, a row for each frame at the subject's own rate.

    Raises:
        ValueError: given features that do not fit, none given if the subject needs them, or
            another acoustic model here than the subject was trained with.
    """
    if speech_features is not None:
        rows, rows_fps = speech_features
        return given_features(rows, parse_frame_rate(rows_fps), source, subject.fps)
    if subject.acoustic_model == GIVEN:
        raise ValueError(
            f"speech_features: subject {subject.name} was trained with features of your own, "
            f"{subject.facial_gan.speech_features} a row; give this recording's (rows, per second)"
        )
    model = load_acoustic_model(subject.acoustic_model)
    subject.check_acoustic_model()
    if phones is not None and subject.acoustic_model == PHONEMES:
        model = KnownPhonesModel(model, phones)
    progress_of_model = progress_bar("listening", progress)
    return speech_features_of(source, model, subject.fps, progress=progress_of_model)


def _by_facial_gan(
    subject: Subject,
    features: Float[np.ndarray, "t features"],
    draw: np.random.Generator | None,
    progress: bool,
) -> Attributes:
    """FACIAL-GAN's attributes, or a drawn take of them."""
    model, bar = subject.facial_gan, progress_bar("animating", progress)
    if draw is None:
        attributes, first = generate_attributes(model, features, progress=bar), 0
    else:
        attributes = generate_take(model, features, draw, progress=bar)
        first = int(draw.integers(1, 1000))
    pose = _smooth(np.asarray(attributes.pose), subject)
    blink = attributes.blink
    if model.blink_habits is None:
        blink = blink_when_due(blink, float(subject.fps), first=first)
    return attributes.replace(pose=pose, blink=blink)


def _with_pose_gan(
    subject: Subject,
    features: Float[np.ndarray, "t features"],
    attributes: Attributes,
    draw: np.random.Generator | None,
    progress: bool,
) -> Attributes:
    """FACIAL-GAN's attributes, of which the blinks stay: PoseGAN and PGFace make none."""
    bar = progress_bar("moving the head", progress)
    if draw is None:
        pose = generate_poses(subject.pose_gan, features, progress=bar)
    else:
        pose = generate_pose_take(subject.pose_gan, features, draw, progress=bar)
    pose = _smooth(pose, subject)
    bar = progress_bar("shaping the face", progress)
    face = generate_face(subject.pgface, features, pose, progress=bar)
    return Attributes(
        pose=pose, expression=face.expression, identity=face.identity, blink=attributes.blink
    )


def _smooth(pose: Float[np.ndarray, "t 6"], subject: Subject) -> Float[np.ndarray, "t 6"]:
    """As smooth as the tracked poses that the networks were learnt from."""
    return gaussian_filter(pose, POSE_SMOOTHING_S * float(subject.fps))
