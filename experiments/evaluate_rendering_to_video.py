"""How good are a person's generated pictures? Measured on the part of the clip not trained on.

    python -m experiments.evaluate_rendering_to_video --subject FOLDER --data FOLDER --first 480

Prints what `facial_jax.metrics.rendering_to_video` measures of the frames from `--first` on, made
again from their own attributes. The eyes are also measured on a network that was trained without
the eye attention map, if `--without-attention` names one; `--driven` measures how a video of the
subject trembles, beside the real clip.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from facial_jax.files import write_text
from facial_jax.mediapipe_models import ModelMissingError
from facial_jax.metrics import rendering_to_video as evaluation
from facial_jax.models.rendering_to_video.reference import load_reference
from facial_jax.subject import load_subject


@dataclass(frozen=True)
class Arguments:
    """Whose pictures are measured, and on what."""

    subject: Path
    """The subject's folder."""
    data: Path
    """The folder that its network was trained on: attributes.npz and frames.npy."""
    first: int
    """Number of the first frame that was not trained on."""
    without_attention: Path | None = None
    """A network that was trained without the eye attention map."""
    driven: Path | None = None
    """A video of this subject driven by speech, to see how it trembles."""
    output: Path | None = None
    """A JSON file of what is printed."""


def main(arguments: Arguments) -> None:
    """Measures and prints."""
    subject = load_subject(arguments.subject)
    frames, attributes, *_ = load_reference(arguments.data)
    frames = np.asarray(frames)
    if not 0 < arguments.first < len(frames):
        raise SystemExit(f"error: first: expected 1 to {len(frames) - 1}, got {arguments.first}")
    held_out = attributes[arguments.first :]
    generated = evaluation.generate(subject, held_out)
    numbers = {
        "pictures": evaluation.means(
            evaluation.compare_pictures(generated, frames, attributes, arguments.first)
        )
    }
    print(evaluation.table(numbers["pictures"], evaluation.MEASURES), flush=True)
    real = frames[arguments.first :]
    shown = evaluation.shown_to_network(subject, held_out)
    numbers["regions"] = evaluation.compare_regions(shown, held_out.blink, real, generated)
    columns = tuple(numbers["regions"]["generated"])
    print("\n" + evaluation.table(numbers["regions"], columns), flush=True)
    try:
        numbers["protocols"] = evaluation.compare_landmarks(subject, held_out, real, generated)
        columns = tuple(numbers["protocols"]["whole"])
        print("\n" + evaluation.table(numbers["protocols"], columns), flush=True)
        numbers["eyes"] = evaluation.compare_eyes(
            subject,
            held_out,
            real,
            generated,
            without_attention=arguments.without_attention,
        )
        columns = tuple(numbers["eyes"]["real"])
        print("\n" + evaluation.table(numbers["eyes"], columns), flush=True)
        if arguments.driven is not None:
            numbers["jitter"] = evaluation.measure_jitter(
                arguments.driven, frames, float(subject.fps)
            )
            print("\njitter: " + ", ".join(f"{k} {v:.5f}" for k, v in numbers["jitter"].items()))
    except (ImportError, ModelMissingError) as error:
        print(f"eyes and jitter were not measured: {error}")
    if arguments.output is not None:
        write_text(arguments.output, json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Arguments))
