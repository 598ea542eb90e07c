"""The table of a user study's answers, with confidence intervals.

Answers of one participant are not independent of one another. Ratings are therefore averaged for
each participant first, and the interval is Student's over participants. Choices between two are
counted, and the interval is Wilson's (1927) over all answers: it is too narrow if participants
answer many pairs each.
"""

import csv
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.stats

COLUMNS = ("participant", "order", "first", "second", "question", "answer", "seconds")
LEVEL = 0.95


class Estimate(NamedTuple):
    """A mean or a share, and what it may as well be."""

    value: float
    # of the ratings, or of the answers
    low: float
    # of the 95 % interval; NaN if there is too little for one
    high: float
    # and its other end
    count: int
    # participants, or answers


def read_answers(paths: Iterable[Path]) -> list[dict[str, str]]:
    """All rows of the files that participants saved; a file given twice counts once.

    Raises:
        ValueError: a file has other columns.
    """
    answers: dict[tuple[str, ...], dict[str, str]] = {}
    for path in paths:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise ValueError(
                    f"{path}: expected the columns {', '.join(COLUMNS)}, got {reader.fieldnames}"
                )
            for row in reader:
                answers[row["participant"], row["order"], row["question"]] = row
    return list(answers.values())


def mean_interval(values: np.ndarray) -> Estimate:
    """Student's interval of a mean over participants."""
    mean, count = float(np.mean(values)), len(values)
    if count < 2:
        return Estimate(mean, float("nan"), float("nan"), count)
    error = float(np.std(values, ddof=1)) / count**0.5
    reach = float(scipy.stats.t.ppf((1 + LEVEL) / 2, count - 1)) * error
    return Estimate(mean, mean - reach, mean + reach, count)


def share_interval(chosen: int, count: int) -> Estimate:
    """Wilson's interval of a share."""
    interval = scipy.stats.binomtest(chosen, count).proportion_ci(LEVEL, method="wilson")
    return Estimate(chosen / count, float(interval.low), float(interval.high), count)


def study_table(answers: Iterable[dict[str, str]], key: Path) -> dict[str, dict[str, Estimate]]:
    """By row and column: methods and questions, or of pairs "A beside B" and questions.

    The number of a pair is the share of answers that chose A.

    Raises:
        ValueError: an answer is of a clip that the key has not, or is none of the choices.
    """
    known = json.loads(key.read_text(encoding="utf-8"))
    table = _choices(answers, known) if known["pairs"] else _ratings(answers, known)
    if not table:
        raise ValueError("answers: expected one at least, got none")
    return table


def _ratings(answers, known) -> dict[str, dict[str, Estimate]]:
    given = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for row in answers:
        method = _method(known, row["first"])
        if row["answer"] not in {"-2", "-1", "0", "1", "2"}:
            raise ValueError(f"answer: expected −2 to 2, got {row['answer']!r}")
        given[method][row["question"]][row["participant"]].append(int(row["answer"]))
    return {
        method: {
            question: mean_interval(np.array([np.mean(x) for x in people.values()]))
            for question, people in questions.items()
        }
        for method, questions in sorted(given.items())
    }


def _choices(answers, known) -> dict[str, dict[str, Estimate]]:
    chosen = defaultdict(lambda: defaultdict(list))
    for row in answers:
        if row["answer"] not in {"first", "second"}:
            raise ValueError(f"answer: expected first or second, got {row['answer']!r}")
        shown = [_method(known, row[place]) for place in ("first", "second")]
        one, other = sorted(shown)
        is_one = shown[row["answer"] == "second"] == one
        chosen[f"{one} beside {other}"][row["question"]].append(is_one)
    return {
        pair: {question: share_interval(sum(x), len(x)) for question, x in questions.items()}
        for pair, questions in sorted(chosen.items())
    }


def _method(known, file: str) -> str:
    if file not in known["clips"]:
        raise ValueError(f"answers: the key has no clip {file!r}; is it the key of this study?")
    return known["clips"][file]["method"]


def text_table(table: dict[str, dict[str, Estimate]]) -> str:
    """A paragraph for each question, a line for each method or pair."""
    questions = list(dict.fromkeys(q for row in table.values() for q in row))
    wide = max(map(len, table)) + 2
    lines = []
    for question in questions:
        lines.append(question)
        for name, row in table.items():
            if question not in row:
                continue
            x = row[question]
            interval = f"[{x.low:+.2f}, {x.high:+.2f}]" if np.isfinite(x.low) else "[too few]"
            lines.append(f"  {name:<{wide}}{x.value:+.2f}  {interval:<16}  of {x.count}")
    return "\n".join(lines)
