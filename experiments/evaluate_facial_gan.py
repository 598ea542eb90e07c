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
class Config:
    """What is measured, and on what."""

    data: Path
    """The folder of a data set."""
    models: dict[str, Path] = field(default_factory=dict)
    """Files that general_train or personalize wrote, by the name that the table gives them."""
    prefixes: tuple[str, ...] = ("", NEW_SPEAKERS)
    """Before the splits' names: which speakers."""
    subject: str | None = None
    """Only this one, if given."""
    output: Path | None = None
    """A JSON file of the tables."""


def main(config: Config) -> None:
    """Prints the tables."""
    tables = {}
    for prefix in config.prefixes:
        train, test = (open_clips(config.data, prefix + split) for split in (TRAIN, TEST))
        if config.subject is not None:
            train, test = (clips.of_subject(config.subject) for clips in (train, test))
        methods = baselines(train)
        for name, path in config.models.items():
            methods[name] = model_method(path)
        title = "new speakers" if prefix == NEW_SPEAKERS else "known speakers"
        tables[title] = measure(methods, train, test)
        print(f"{title}: {len(test.subjects)}, {len(test)} clips")
        print(text_table(tables[title]), flush=True)
    if config.output is not None:
        config.output.parent.mkdir(parents=True, exist_ok=True)
        write_text(config.output, json.dumps(tables, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Config))
