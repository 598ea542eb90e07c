"""What the acoustic network reads, and how many of its characters are wrong."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from facial_jax.models.acoustic.batches import SpeechBatch
from facial_jax.models.acoustic.network import BLANK, CHARACTERS


def greedy_decode(logits: np.ndarray) -> str:
    """The most probable character of each row, repetitions and blanks dropped; (t, 29 or more)."""
    best = np.argmax(logits[:, : BLANK + 1], axis=-1)
    kept = best[(np.diff(best, prepend=-1) != 0) & (best != BLANK)]
    return "".join(CHARACTERS[i] for i in kept)


def edit_distance(a: str, b: str) -> int:
    """Levenshtein's."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]


def character_error_rate(
    logits_of: Callable[[Any], Any], batches: Sequence[SpeechBatch]
) -> tuple[float, str]:
    """Errors per character of the greedy decoding, and one example of what is read."""
    errors = characters = 0
    example = ""
    for batch in batches:
        logits = np.asarray(logits_of(batch.rows))
        for row, label, length in zip(logits, batch.labels, batch.label_lengths, strict=True):
            text = "".join(CHARACTERS[i] for i in label[:length])
            decoded = greedy_decode(row)
            errors += edit_distance(decoded.strip(), text)
            characters += length
            example = example or f"{text!r} read as {decoded!r}"
    return float(errors / max(characters, 1)), example
