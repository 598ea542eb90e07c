"""How much of a person's manner generated head poses have, Table 3 of the paper on head poses.

    python -m experiments.evaluate_pose_manner --data FOLDER --models PoseGAN DIR CNN DIR

The folders are those that `train_pose_gan --each-subject` wrote.
"""

import collections
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tyro

from data_specs.clips import open_clips
from facial_jax.cache import enable_compilation_cache
from facial_jax.data.splits import TEST, TRAIN
from facial_jax.files import write_text
from facial_jax.metrics.pose_errors import whole_windows
from facial_jax.metrics.pose_manner import REAL, measure_manner, text_table
from facial_jax.metrics.pose_methods import person_methods
from facial_jax.models.pose_gan.rest_frame import pose_statistics
from facial_jax.plots import svg_bars

TRAIN_STRIDE, TEST_STRIDE = 20, 64


@dataclass(frozen=True)
class Arguments:
    """What is measured, and on what."""

    data: Path
    """The folder of a data set."""
    models: dict[str, Path] = field(default_factory=dict)
    """Folders with a network for each person, by the name that the table gives them."""
    subjects: tuple[str, ...] = ()
    """Whose test clips; everybody's, if not given."""
    output: Path = Path("runs/pose_manner.svg")
    """The plot."""


def main(arguments: Arguments) -> None:
    """Prints the table and saves the plot."""
    train, test = open_clips(arguments.data, TRAIN), open_clips(arguments.data, TEST)
    real, poses = {}, collections.defaultdict(dict)
    for person in arguments.subjects or test.subjects:
        clips = train.of_subject(person)
        statistics = pose_statistics(clips)
        methods = person_methods(person, clips, statistics, arguments.models)
        methods = {REAL: lambda windows: windows.poses} | methods

        def in_units(standardised, statistics=statistics):
            return np.concatenate(standardised) * statistics.std + statistics.mean

        known = whole_windows(clips, statistics, stride=TRAIN_STRIDE)
        real[person] = in_units([batch.poses for batch in known])
        windows = whole_windows(test.of_subject(person), statistics, stride=TEST_STRIDE)
        for name, method in methods.items():
            poses[name][person] = in_units([method(batch) for batch in windows])
    table = measure_manner(real, poses)
    print(text_table(table))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    bars = {n: {"confidence": x.confidence, "recognized": x.recognized} for n, x in table.items()}
    write_text(arguments.output, svg_bars("in the right person", bars))


if __name__ == "__main__":
    enable_compilation_cache()
    main(tyro.cli(Arguments))
