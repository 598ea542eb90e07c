"""Tables of how well FACIAL-GAN does on clips it never saw, beside baselines.

    python -m experiments.evaluate_facial_gan --data FOLDER --models full FILE without_local FILE

For known speakers and for new ones: what `facial_jax.metrics.facial_gan` measures.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from data_specs.clips import open_clips
from data_specs.synthetic_talking_head.builder import NEW_SPEAKERS
from facial_jax.data.splits import TEST, TRAIN
from facial_jax.files import write_text
from facial_jax.metrics.facial_gan import baselines, measure, model_method, text_table


@dataclass(frozen=True)
class Arguments:
    """What is measured, and on what."""

    data: Path
    """The folder of a data set."""
    models: dict[str, Path] = field(default_factory=dict)
    """Files that general_train or personalize wrote, by the name that the table gives them."""
    prefixes: tuple[str, ...] = ("", NEW_SPEAKERS)
    """Prefixes of the splits: `new_speakers_` for speakers that were not trained on."""
    subject: str | None = None
    """Only this speaker, if given."""
    output: Path | None = None
    """A JSON file of the tables."""


def main(arguments: Arguments) -> None:
    """Prints the tables."""
    tables = {}
    for prefix in arguments.prefixes:
        train, test = (open_clips(arguments.data, prefix + split) for split in (TRAIN, TEST))
        if arguments.subject is not None:
            train, test = (clips.of_subject(arguments.subject) for clips in (train, test))
        methods = baselines(train)
        for name, path in arguments.models.items():
            methods[name] = model_method(path)
        title = "new speakers" if prefix == NEW_SPEAKERS else "known speakers"
        tables[title] = measure(methods, train, test)
        print(f"{title}: {len(test.subjects)}, {len(test)} clips")
        print(text_table(tables[title]), flush=True)
    if arguments.output is not None:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        write_text(arguments.output, json.dumps(tables, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Arguments))
