"""The table of a user study: python -m experiments.study_table answers_*.csv --key STUDY/key.json.

Means of the ratings with 95 % intervals over participants, or shares of the choices with Wilson's.
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from facial_jax.study.table import read_answers, study_table, text_table


@dataclass(frozen=True)
class Arguments:
    """Whose answers."""

    answers: tyro.conf.Positional[tuple[Path, ...]]
    """The files that participants saved."""
    key: Path
    """key.json of the study."""


def main(arguments: Arguments) -> None:
    """Prints the table."""
    print(text_table(study_table(read_answers(arguments.answers), arguments.key)))


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
