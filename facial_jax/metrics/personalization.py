"""Does a personalized FACIAL-GAN move like its person? On people whom the general one never heard.

    python -m experiments.evaluate_personalization --data FOLDER --general FILE

Fine-tunes the general FACIAL-GAN on two minutes of each person and lets both speak the person's
test clips. For each person: blinks per minute and their duration, and the standard deviation of
pitch, yaw and roll. `real` is the person, `general` the general network, `fine-tuned` the one
trained as in the paper; `personalized` also has the person's range of movement and habits of
blinking (`facial_jax.models.facial_gan.calibration` and `blinking`), as `personalize` makes it.

Then networks are trained to tell the people apart by their real motion, and shown the real motion
of the test clips and the generated one: by windows of the pose, by the same about each window's
mean, which leaves the movement alone, and by ten seconds of blinks. What is trained stays in the
work folder; a second run only measures.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import tyro

from data_specs.clips import open_clips
from data_specs.synthetic_talking_head.builder import NEW_SPEAKERS
from experiments.personalize import load_networks
from facial_jax.attributes import Attributes
from facial_jax.data.clips import Clip, ClipSource
from facial_jax.data.splits import TEST, TRAIN, VALIDATION
from facial_jax.data.windows import subject_statistics
from facial_jax.metrics.motion import blink_statistics, pose_spread
from facial_jax.metrics.recognition import recognize, train_recognizer
from facial_jax.models.facial_gan.generation import (
    WINDOW_FRAMES,
    FacialGan,
    blink_when_due,
    generate_attributes,
    load_facial_gan,
)
from facial_jax.models.facial_gan.training import (
    PERSONALIZATION,
    TrainingConfig,
    learn_habits,
    train_facial_gan,
)

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
class Config:
    """Who is learnt, from what, and where it goes."""

    data: Path
    """The folder of a data set."""
    general: Path
    """The FACIAL-GAN that general_train wrote, its discriminator beside it."""
    prefix: str = NEW_SPEAKERS
    """Before the splits' names: which speakers."""
    clips: int = 6
    """So many training clips of each person: two minutes."""
    work_dir: Path = Path("runs/personalization")
    """A folder for each person's training."""
    output: Path | None = None
    """A JSON file of the tables."""
    training: TrainingConfig = field(default_factory=lambda: PERSONALIZATION)


def main(config: Config) -> None:
    """Fine-tunes, and prints the tables."""
    train, test = (open_clips(config.data, config.prefix + split) for split in (TRAIN, TEST))
    general = load_facial_gan(config.general)
    motions: dict[str, dict[str, list[Attributes]]] = {kind: {} for kind in KINDS}
    habits: dict[str, dict[str, dict[str, float]]] = {}
    for subject in test.subjects:
        clips = read_clips(test.of_subject(subject))
        motions["real"][subject] = [clip.attributes for clip in clips]
        for kind, model in zip(KINDS[1:], (general, *fine_tune(config, subject)), strict=True):
            motions[kind][subject] = [speak(model, clip) for clip in clips]
        fps = float(clips[0].frame_rate)
        habits[subject] = {kind: measure(motions[kind][subject], fps) for kind in KINDS}
        print_person(subject, habits[subject])
    print_nearer(habits)
    known = {
        s: [clip.attributes for clip in read_clips(train.of_subject(s))] for s in test.subjects
    }
    accuracies = {what: recognition(what, known, motions) for what in RECOGNITION}
    if config.output is not None:
        config.output.parent.mkdir(parents=True, exist_ok=True)
        tables = {"habits": habits, "accuracies": accuracies}
        config.output.write_text(json.dumps(tables, indent=1) + "\n")


def read_clips(clips: ClipSource) -> list[Clip]:
    """All of them."""
    return [clips[i] for i in range(len(clips))]


def fine_tune(config: Config, subject: str) -> tuple[FacialGan, FacialGan]:
    """The person's FACIAL-GAN, trained unless the work folder holds it: as it is, and with the
    person's range of movement and habits of blinking."""
    clips = open_clips(config.data, config.prefix + TRAIN).of_subject(subject).first(config.clips)
    others = open_clips(config.data, config.prefix + VALIDATION).of_subject(subject)
    model = train_facial_gan(
        config.training,
        load_networks(config.general),
        clips,
        others,
        subject_statistics(clips),
        config.work_dir / subject,
        resolved_config=asdict(config.training),
    )
    return model, learn_habits(model, clips, others)


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


def print_person(subject: str, found: dict[str, dict[str, float]]) -> None:
    """One line for each kind of motion."""
    print(f"{subject:16s}" + "".join(f"{name:>12s}" for name in MEASURES))
    for kind, values in found.items():
        cells = (f"{form.format(values[name]):>12s}" for name, form in MEASURES.items())
        print(f"  {kind:14s}" + "".join(cells), flush=True)


def print_nearer(habits: dict[str, dict[str, dict[str, float]]]) -> None:
    """For how many people a model is nearer than the general one, and how far off on average."""
    print(f"{'nearer':16s}" + "".join(f"{name:>12s}" for name in MEASURES))
    wins = []
    errors: dict[str, list[float]] = {kind: [] for kind in KINDS[1:]}
    for name in MEASURES:
        real = np.array([found["real"][name] for found in habits.values()])
        off = {
            kind: np.abs([found[kind][name] for found in habits.values()] - real) for kind in errors
        }
        # A model that does not blink has no duration: it is not near.
        off = {kind: np.nan_to_num(value, nan=np.inf) for kind, value in off.items()}
        wins.append([int((off[kind] < off["general"]).sum()) for kind in KINDS[2:]])
        for kind in errors:
            errors[kind].append(float((off[kind] / real).mean()))
    for kind, counts in zip(KINDS[2:], zip(*wins, strict=True), strict=True):
        print(f"  {kind:14s}" + "".join(f"{f'{n} of {len(habits)}':>12s}" for n in counts))
    print("mean relative error")
    for kind, values in errors.items():
        print(f"  {kind:14s}" + "".join(f"{value:12.2f}" for value in values), flush=True)


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
    print(
        f"recognised by {what}, {RECOGNITION[what]} frames (chance {1 / len(known):.3f}): "
        + ", ".join(f"{kind} {value:.2f}" for kind, value in accuracies.items()),
        flush=True,
    )
    return accuracies


if __name__ == "__main__":
    main(tyro.cli(Config))
