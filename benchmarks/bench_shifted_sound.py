"""Is a sound track that was shifted reported as shifted? By MouthSync, for −5 to 5 frames.

    python -m benchmarks.bench_shifted_sound --data FOLDER --clips runs/tracked/*

On clips of a data set whose speakers were not trained on, and on tracked real clips, each of which
`python -m experiments.prepare VIDEO --output runs/tracked` makes.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from data_specs.clips import open_clips
from data_specs.synthetic_talking_head.builder import NEW_SPEAKERS
from facial_jax.data.clips import Clip
from facial_jax.data.splits import TEST
from facial_jax.data.tracked_clip import FILE_NAME, load_tracked_clip
from facial_jax.face.procedural import procedural_face_model
from facial_jax.metrics.mouth_sync import shifted, sound_delay
from facial_jax.models.sync.motion import is_still, mouth_distances
from facial_jax.models.sync.speech import FPS

SHIFTS = range(-5, 6)


@dataclass(frozen=True)
class Arguments:
    """What is measured."""

    data: Path | None = None
    """The folder of a data set."""
    count: int = 4
    """Number of its clips in which somebody speaks."""
    clips: tuple[Path, ...] = ()
    """Folders of tracked real clips."""


def reported(clip: Clip) -> tuple[list[int], float]:
    """The delays that are reported for each of `SHIFTS`, and the confidence without a shift."""
    model = procedural_face_model()
    expression = np.where(clip.valid[:, None], clip.expression, 0)
    samples = clip.waveform.astype(np.float32) / np.float32(32768)
    delays = [
        sound_delay(expression, clip.frame_rate, shifted(samples, k / FPS), model) for k in SHIFTS
    ]
    return [x.sound_delay_frames for x in delays], delays[SHIFTS.index(0)].confidence


def speaking_clips(arguments: Arguments) -> list[Clip]:
    """Clips of the data set's new speakers, one of each first."""
    model, clips = procedural_face_model(), []
    test = open_clips(arguments.data, NEW_SPEAKERS + TEST)
    people = [test.of_subject(subject) for subject in test.subjects]
    for number in range(max(map(len, people))):
        for person in people:
            if number < len(person) and len(clips) < arguments.count:
                clip = person[number]
                if not is_still(mouth_distances(model, clip.expression)):
                    clips.append(clip)
    return clips


def main(arguments: Arguments) -> None:
    """Prints a line for each clip."""
    clips = [] if arguments.data is None else speaking_clips(arguments)
    clips += [load_tracked_clip(folder / FILE_NAME)[0] for folder in arguments.clips]
    header = "".join(f"{k:>5d}" for k in SHIFTS)
    print(f"{'sound shifted by':<24}{header}   worst  confidence")
    for clip in clips:
        delays, confidence = reported(clip)
        own = delays[SHIFTS.index(0)]
        worst = max(abs(d - own - k) for d, k in zip(delays, SHIFTS, strict=True))
        row = "".join(f"{d:>5d}" for d in delays)
        print(f"{clip.clip:<24}{row}{worst:>8d}{confidence:>12.3f}", flush=True)
    print("worst: how many frames off, at most, the offset from the unshifted one's is")


if __name__ == "__main__":
    main(tyro.cli(Arguments))
