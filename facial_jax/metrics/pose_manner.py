"""Whose head moves like this? (CVM, Sec. 5, Table 3.)

A classifier learns to tell people apart by windows of 256 of their true poses, seen from rest. Then
it is shown what each method makes of a person's test speech: the nearer its confidence in that
person, and the share of windows that it takes for theirs, is to that of the true poses, the more of
the person's manner the method has.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from facial_jax.metrics.recognition import confidences, recognize, train_recognizer

REAL = "real"
PAPER_ACCURACY = 0.92
"""Of the paper's classifier on real sequences."""


@dataclass(frozen=True)
class Manner:
    """What the classifier says about one method's windows, a mean over people."""

    confidence: float
    # in the right person, 0 to 1
    recognized: float
    # share of windows that are taken for the right person's


def measure_manner(
    train: Mapping[str, Float[np.ndarray, "_ t 6"]],
    test: Mapping[str, Mapping[str, Float[np.ndarray, "_ t 6"]]],
    *,
    seed: int = 0,
) -> dict[str, Manner]:
    """Table 3: by method.

    Args:
        train: by person, windows of their true poses, in radians and decimetres.
        test: by method, `REAL` among them, and by person, windows of other clips.
        seed: of the classifier.
    """
    people = sorted(train)
    windows = np.concatenate([train[person] for person in people])
    labels = np.repeat(np.arange(len(people)), [len(train[person]) for person in people])
    recognizer = train_recognizer(windows, labels, seed=seed)

    def judge(windows: Mapping[str, np.ndarray]) -> Manner:
        sure, right = [], []
        for number, person in enumerate(people):
            sure.append(confidences(recognizer, windows[person])[:, number].mean())
            right.append((recognize(recognizer, windows[person]) == number).mean())
        return Manner(float(np.mean(sure)), float(np.mean(right)))

    return {method: judge(windows) for method, windows in test.items()}


def text_table(table: Mapping[str, Manner]) -> str:
    """Table 3, one line for each method."""
    lines = [f"{'':20s}{'confidence':>12s}{'recognized':>12s}"]
    lines += [f"{m:20s}{x.confidence:12.2f}{x.recognized:12.2f}" for m, x in table.items()]
    return "\n".join([*lines, f"paper: {PAPER_ACCURACY:.2f} of real sequences are recognized"])
