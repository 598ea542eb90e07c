"""Makes a user study: python -m experiments.make_study --clips FOLDER --output STUDY.

Clips are FOLDER/METHOD/NAME.mp4. `--kind ratings` asks four questions of each clip, from −2 to 2
(FACIAL's Table 2); `--kind pairs` shows clips of one name by two methods and asks which is like a
real person (Table 4 of the second paper). STUDY/page is static: open its index.html, or put it on
any web space. Participants save a CSV file each; STUDY/key.json says which clip is whose, and stays
with you. `python -m experiments.study_table` makes the table.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from facial_jax.study.make import find_clips, make_study


@dataclass(frozen=True)
class Arguments:
    """What is asked, of what."""

    clips: Path
    """The folder of the clips, one folder for each method in it."""
    output: Path
    """The study's folder."""
    kind: Literal["ratings", "pairs"] = "ratings"
    """Ratings of single clips, or choices between two."""
    title: str = "Talking faces"
    """Title of the page."""
    questions: tuple[str, ...] = ()
    """Questions in place of the papers'."""
    seed: int = 0
    """Seed of the clips' names; each participant sees the clips in another order."""


def main(arguments: Arguments) -> None:
    """Makes the study and says where its page is."""
    page = make_study(
        find_clips(arguments.clips),
        arguments.output,
        title=arguments.title,
        pairs=arguments.kind == "pairs",
        questions=arguments.questions,
        seed=arguments.seed,
    )
    print(page)


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
