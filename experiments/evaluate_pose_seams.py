"""Whether heads jump at the borders of generated windows, in long speech.

    python -m experiments.evaluate_pose_seams --data FOLDER --models PoseGAN DIR CNN DIR

A person's test clips are one speech. The folders are those that `train_pose_gan --each-subject`
wrote.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tyro

from data_specs.clips import open_clips
from facial_jax.data.splits import TEST
from facial_jax.files import write_text
from facial_jax.metrics.pose_seams import measure_seams
from facial_jax.models.pose_gan.generation import GENERATOR_FILE, generate_poses, load_pose_gan
from facial_jax.plots import svg_bars


@dataclass(frozen=True)
class Arguments:
    """What is measured, and on what."""

    data: Path
    """The folder of a data set."""
    models: dict[str, Path] = field(default_factory=dict)
    """Folders with a network for each person, by the name that the table gives them."""
    subjects: tuple[str, ...] = ()
    """Whose test clips; everybody's, if not given."""
    output: Path = Path("runs/pose_seams.svg")
    """The plot."""


def main(arguments: Arguments) -> None:
    """Prints the table and saves the plot."""
    test, bars = open_clips(arguments.data, TEST), {}
    print(f"{'largest change':20s}{'at seams':>12s}{'elsewhere':>12s}{'usual':>12s}")
    for name, folder in arguments.models.items():
        seams = []
        for person in arguments.subjects or test.subjects:
            model = load_pose_gan(folder / person / GENERATOR_FILE)
            speech = np.concatenate([clip.features for clip in test.of_subject(person)])
            seams.append(measure_seams(generate_poses(model, speech), model.statistics.std))
        at, elsewhere = (
            max(getattr(x, key) for x in seams) for key in ("largest_at_seams", "largest_elsewhere")
        )
        usual = float(np.median([x.usual_elsewhere for x in seams]))
        print(f"{name:20s}{at:12.3f}{elsewhere:12.3f}{usual:12.3f}")
        bars[name] = {"at seams": at, "elsewhere": elsewhere}
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    write_text(arguments.output, svg_bars("largest change from frame to frame", bars))


if __name__ == "__main__":
    main(tyro.cli(Arguments))
