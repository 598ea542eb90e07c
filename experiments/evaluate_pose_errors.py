"""How far generated head poses are from the true ones, Table 2 of the paper on head poses.

    python -m experiments.evaluate_pose_errors --data FOLDER --models PoseGAN DIR CNN DIR

The folders are those that `train_pose_gan --each-subject` wrote.
"""

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from data_specs.clips import open_clips
from facial_jax.data.splits import TEST, TRAIN
from facial_jax.files import write_text
from facial_jax.metrics.pose_errors import mean_table, measure_methods, text_table, whole_windows
from facial_jax.metrics.pose_methods import person_methods
from facial_jax.models.pose_gan.rest_frame import pose_statistics
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
    output: Path = Path("runs/pose_errors.svg")
    """The plot."""


def main(arguments: Arguments) -> None:
    """Prints the table and saves the plot."""
    train, test = open_clips(arguments.data, TRAIN), open_clips(arguments.data, TEST)
    tables = []
    for person in arguments.subjects or test.subjects:
        clips = train.of_subject(person)
        statistics = pose_statistics(clips)
        methods = person_methods(person, clips, statistics, arguments.models)
        windows = whole_windows(test.of_subject(person), statistics)
        tables.append(measure_methods(methods, windows))
    table = mean_table(tables)
    print(text_table(table))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    bars = {
        name: {"L2 of pose": x["pose"], "10 times L2 of motion": 10 * x["motion"]}
        for name, x in table.items()
    }
    write_text(arguments.output, svg_bars("distance from the true poses", bars))


if __name__ == "__main__":
    main(tyro.cli(Arguments))
