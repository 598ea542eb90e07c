"""FACIAL's Fig. 9: blinks in many 4-second clips, drawn with the eye attention map and without.

    python -m experiments.evaluate_blinks --subject demo --speech FILES --count 40

A subject speaks pieces of recordings, and blinks are counted in the pictures by landmarks. Without
the map: the map set to zero, and, if `--without-attention` names one, a network that was trained
without it. `--reference` is the person's own video, whose blinks stand beside.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from facial_jax.cache import enable_compilation_cache
from facial_jax.evaluation.observation import observe
from facial_jax.files import write_text
from facial_jax.metrics.seen_blinks import count_seen_blinks, speech_clips, text_table
from facial_jax.subject import load_subject


@dataclass(frozen=True)
class Arguments:
    """Who blinks, while what is said."""

    speech: tuple[Path, ...]
    """Recordings; pieces of four seconds are taken of them."""
    subject: str = "demo"
    """A bundled subject's name, or a subject's folder."""
    count: int = 40
    """The largest number of pieces."""
    without_attention: Path | None = None
    """A network that was trained without the eye attention map."""
    reference: Path | None = None
    """The person's own video."""
    output: Path | None = None
    """A JSON file of the counts."""


def main(arguments: Arguments) -> None:
    """Prints the table."""
    real = {}
    if arguments.reference is not None:
        seen = observe(arguments.reference)
        real = {"real": np.asarray(seen.attributes.blink), "real_fps": seen.fps}
    counts = count_seen_blinks(
        load_subject(arguments.subject),
        speech_clips(arguments.speech, arguments.count),
        without_attention=arguments.without_attention,
        **real,
    )
    print(text_table(counts))
    if arguments.output is not None:
        lists = {name: count.tolist() for name, count in counts.items()}
        write_text(arguments.output, json.dumps(lists, indent=1) + "\n")


if __name__ == "__main__":
    enable_compilation_cache()
    main(tyro.cli(Arguments, description=__doc__))
