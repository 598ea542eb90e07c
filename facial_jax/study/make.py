"""Makes the folder of a user study from clips of several methods.

STUDY/page/index.html, clip_0000.mp4, …    what participants get, on any web space or disk
STUDY/key.json                             which clip is of which method; participants do not
"""

import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path

from facial_jax.files import copy_file, write_text
from facial_jax.study.page import study_page

PAGE, KEY = "page/index.html", "key.json"
VIDEOS = (".mp4", ".webm", ".m4v")
QUESTIONS = (
    "The picture looks real",
    "The lips are in time with the speech",
    "The head moves naturally",
    "The eyes blink naturally",
)
"""The ratings of FACIAL's Table 2, in our words."""
PAIR_QUESTION = "Which of the two moves like a real person?"
"""The question of the pairs, as in the second paper's Table 4, in our words."""


def find_clips(folder: Path) -> dict[str, dict[str, Path]]:
    """By method and name, the videos `folder`/METHOD/NAME.mp4.

    Raises:
        ValueError: there is none.
    """
    clips = {}
    for method in sorted(x for x in folder.iterdir() if x.is_dir()):
        files = {x.stem: x for x in sorted(method.iterdir()) if x.suffix.lower() in VIDEOS}
        if files:
            clips[method.name] = files
    if not clips:
        raise ValueError(f"clips: expected {folder}/METHOD/NAME.mp4, found none")
    return clips


def make_study(
    clips: dict[str, dict[str, Path]],
    output: Path,
    *,
    title: str,
    pairs: bool,
    questions: Sequence[str] = (),
    seed: int = 0,
) -> Path:
    """Copies the clips under names that say nothing, and writes page and key.

    Args:
        clips: by method and name.
        output: the study's folder.
        title: above the page.
        pairs: clips of one name by two methods beside one another, each two methods; otherwise
            each clip alone, to be rated.
        questions: `QUESTIONS` or `PAIR_QUESTION` if there are none.
        seed: of the names' order.

    Returns:
        The page's path.

    Raises:
        ValueError: of pairs, no name is there by two methods.
    """
    page = output / PAGE
    page.parent.mkdir(parents=True, exist_ok=True)
    every = [(method, name) for method, names in clips.items() for name in names]
    random.Random(seed).shuffle(every)
    files = {}
    for number, (method, name) in enumerate(every):
        path = clips[method][name]
        files[method, name] = f"clip_{number:04d}{path.suffix.lower()}"
        copy_file(path, page.parent / files[method, name])
    if pairs:
        trials = [
            [files[a, name], files[b, name]]
            for a, b in itertools.combinations(clips, 2)
            for name in clips[a]
            if name in clips[b]
        ]
        if not trials:
            raise ValueError("clips: expected a name that two methods have, found none")
    else:
        trials = [[file] for file in files.values()]
    # The page's own text must not give the methods away by its order.
    random.Random(seed + 1).shuffle(trials)
    questions = tuple(questions) or ((PAIR_QUESTION,) if pairs else QUESTIONS)
    write_text(page, study_page(title, trials, questions, pairs=pairs))
    key = {file: {"method": m, "name": n} for (m, n), file in files.items()}
    write_text(
        output / KEY,
        json.dumps({"pairs": pairs, "questions": questions, "clips": key}, indent=1) + "\n",
    )
    return page
