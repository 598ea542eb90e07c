"""Does a personalized FACIAL-GAN move like its person? On people whom the general one never heard.

Fine-tunes the general FACIAL-GAN on each person's clips and lets both speak the person's test
clips. For each person: blinks per minute and their duration, and the standard deviation of pitch,
yaw and roll. `real` is the person, `general` the general network, `fine-tuned` the one trained as
in the paper; `personalized` also has the person's range of movement and habits of blinking
(`facial_jax.models.facial_gan.calibration` and `blinking`), as `personalize` makes it.

Then networks are trained to tell the people apart by their real motion, and shown the real motion
of the test clips and the generated one: by windows of the pose, by the same about each window's
mean, which leaves the movement alone, and by ten seconds of blinks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facial_jax.attributes import Attributes
from facial_jax.data.clips import Clip, ClipSource
from facial_jax.data.windows import subject_statistics
from facial_jax.face.procedural import procedural_face_model
from facial_jax.metrics.motion import blink_statistics, pose_spread
from facial_jax.metrics.recognition import recognize, train_recognizer
from facial_jax.models.facial_gan.config import FacialGanTrainingConfig
from facial_jax.models.facial_gan.generation import (
    WINDOW_FRAMES,
    FacialGan,
    blink_when_due,
    generate_attributes,
    load_facial_gan,
)
from facial_jax.models.facial_gan.habits import learn_habits
from facial_jax.models.facial_gan.initialization import load_networks
from facial_jax.models.facial_gan.task import train_facial_gan

MEASURES = {
    "blinks/min": "{:.1f}",
    "blink s": "{:.3f}",
    "pitch deg": "{:.2f}",
    "yaw deg": "{:.2f}",
    "roll deg": "{:.2f}",
}
KINDS = ("real", "general", "fine-tuned", "personalized")
RECOGNITION = {"pose": WINDOW_FRAMES, "movement": WINDOW_FRAMES, "blinks": 250}
"""What people are told apart by, and how many frames of it are seen at once."""
TRAINING_STRIDE, TEST_STRIDE = 5, 64


@dataclass(frozen=True)
class People:
    """Clips of people whom the general FACIAL-GAN never heard."""

    train: ClipSource
    validation: ClipSource
    test: ClipSource


def evaluate_personalization(
    people: People,
    general: Path,
    work: Path,
    *,
    clips: int,
    training: FacialGanTrainingConfig,
    say: Callable[[str], None],
) -> dict[str, dict]:
    """Fine-tunes for each person; the tables `habits` and `accuracies`.

    Args:
        people: whom.
        general: the FACIAL-GAN that general_train wrote, its discriminator beside it.
        work: a folder for each person's training; what it holds is not trained again.
        clips: the number of clips of each person to train on.
        training: how.
        say: is given each table as text, as soon as it is known.
    """
    model = load_facial_gan(general)
    motions: dict[str, dict[str, list[Attributes]]] = {kind: {} for kind in KINDS}
    habits: dict[str, dict[str, dict[str, float]]] = {}
    for subject in people.test.subjects:
        spoken = read_clips(people.test.of_subject(subject))
        motions["real"][subject] = [clip.attributes for clip in spoken]
        own = people.train.of_subject(subject).first(clips)
        others = people.validation.of_subject(subject)
        tuned = fine_tune(general, own, others, training, work / subject)
        for kind, one in zip(KINDS[1:], (model, *tuned), strict=True):
            motions[kind][subject] = [speak(one, clip) for clip in spoken]
        fps = float(spoken[0].frame_rate)
        habits[subject] = {kind: measure(motions[kind][subject], fps) for kind in KINDS}
        say(person_table(subject, habits[subject]))
    say(nearer_table(habits))
    known = {
        s: [clip.attributes for clip in read_clips(people.train.of_subject(s))]
        for s in people.test.subjects
    }
    accuracies = {}
    for what, frames in RECOGNITION.items():
        accuracies[what] = recognition(what, known, motions)
        say(
            f"recognised by {what}, {frames} frames (chance {1 / len(known):.3f}): "
            + ", ".join(f"{kind} {value:.2f}" for kind, value in accuracies[what].items())
        )
    return {"habits": habits, "accuracies": accuracies}


def read_clips(clips: ClipSource) -> list[Clip]:
    """All of them."""
    return [clips[i] for i in range(len(clips))]


def fine_tune(
    general: Path,
    clips: ClipSource,
    others: ClipSource,
    training: FacialGanTrainingConfig,
    work: Path,
) -> tuple[FacialGan, FacialGan]:
    """The person's FACIAL-GAN, trained unless the work folder holds it: as it is, and with the
    person's range of movement and habits of blinking."""
    model = train_facial_gan(
        training,
        load_networks(general),
        clips,
        others,
        subject_statistics(clips),
        work,
        face_model=procedural_face_model(),
    )
    return model, learn_habits(model, clips, [clip.features for clip in others])


def speak(model: FacialGan, clip: Clip) -> Attributes:
    """The clip's speech by this model, as `synthesize` makes it."""
    attributes = generate_attributes(model, clip.features)
    if model.blink_habits is not None:
        return attributes
    return attributes.replace(blink=blink_when_due(attributes.blink, float(clip.frame_rate)))


def measure(motion: list[Attributes], fps: float) -> dict[str, float]:
    """The numbers of one person's recordings."""
    blinks = blink_statistics([np.asarray(one.blink) for one in motion], fps)
    spread = np.degrees(pose_spread([np.asarray(one.pose) for one in motion])[:3]).tolist()
    return dict(zip(MEASURES, (blinks.per_minute, blinks.duration_s, *spread), strict=True))


def person_table(subject: str, habits: dict[str, dict[str, float]]) -> str:
    """One line for each kind of motion."""
    lines = [f"{subject:16s}" + "".join(f"{name:>12s}" for name in MEASURES)]
    for kind, values in habits.items():
        cells = (f"{form.format(values[name]):>12s}" for name, form in MEASURES.items())
        lines.append(f"  {kind:14s}" + "".join(cells))
    return "\n".join(lines)


def nearer_table(habits: dict[str, dict[str, dict[str, float]]]) -> str:
    """For how many people a model is nearer than the general one, and how far off on average."""
    lines = [f"{'nearer':16s}" + "".join(f"{name:>12s}" for name in MEASURES)]
    wins = []
    errors: dict[str, list[float]] = {kind: [] for kind in KINDS[1:]}
    for name in MEASURES:
        real = np.array([person["real"][name] for person in habits.values()])
        off = {
            kind: np.abs([person[kind][name] for person in habits.values()] - real)
            for kind in errors
        }
        # A model that does not blink has no duration: it is not near.
        off = {kind: np.nan_to_num(value, nan=np.inf) for kind, value in off.items()}
        wins.append([int((off[kind] < off["general"]).sum()) for kind in KINDS[2:]])
        for kind in errors:
            errors[kind].append(float((off[kind] / real).mean()))
    for kind, counts in zip(KINDS[2:], zip(*wins, strict=True), strict=True):
        cells = (f"{f'{n} of {len(habits)}':>12s}" for n in counts)
        lines.append(f"  {kind:14s}" + "".join(cells))
    lines.append("mean relative error")
    for kind, values in errors.items():
        lines.append(f"  {kind:14s}" + "".join(f"{value:12.2f}" for value in values))
    return "\n".join(lines)


def windows_of(what: str, motion: Attributes, stride: int) -> np.ndarray:
    """(n, frames, channels) what a recognizer sees of a recording."""
    rows = np.asarray(motion.blink)[:, None] if what == "blinks" else np.asarray(motion.pose)
    frames = RECOGNITION[what]
    windows = np.stack([rows[i : i + frames] for i in range(0, len(rows) - frames + 1, stride)])
    return windows - windows.mean(axis=1, keepdims=True) if what == "movement" else windows


def recognition(
    what: str,
    known: dict[str, list[Attributes]],
    motions: dict[str, dict[str, list[Attributes]]],
) -> dict[str, float]:
    """Trains on the known people's real motion; the share of windows recognised of each kind."""

    def labelled(people: dict[str, list[Attributes]], stride: int):
        parts = [
            np.concatenate([windows_of(what, motion, stride) for motion in people[subject]])
            for subject in known
        ]
        return np.concatenate(parts), np.repeat(np.arange(len(known)), [len(x) for x in parts])

    recognizer = train_recognizer(*labelled(known, TRAINING_STRIDE))
    accuracies = {}
    for kind, people in motions.items():
        windows, labels = labelled(people, TEST_STRIDE)
        accuracies[kind] = float((recognize(recognizer, windows) == labels).mean())
    return accuracies
