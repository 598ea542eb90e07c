"""Converts DeepSpeech 0.1.0's graph: python -m experiments.convert_deepspeech output_graph.pb

The graph is in deepspeech-0.1.0-models.tar.gz of github.com/mozilla/DeepSpeech's release v0.1.0.
The weights go to the cache, in which the acoustic model `deepspeech` is looked for; TensorFlow is
needed neither now nor later.
"""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import tyro

from facial_jax.audio.acoustic import deepspeech_weights
from facial_jax.interop.deepspeech import deepspeech_variables
from facial_jax.interop.tensorflow_graph import read_constants
from facial_jax.models.layers.parameters import save_variables


@dataclass(frozen=True)
class Arguments:
    """Options."""

    graph: tyro.conf.Positional[Path]
    """output_graph.pb."""
    output: Path | None = None
    """Where the weights go; by default the cache."""


def main(arguments: Arguments) -> None:
    """Reads, checks and writes, or ends with one line that says what is wrong."""
    output = arguments.output or deepspeech_weights()
    try:
        sizes, variables = deepspeech_variables(read_constants(arguments.graph))
        output.parent.mkdir(parents=True, exist_ok=True)
        save_variables(output, variables, {"deepspeech": asdict(sizes)})
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(f"{output}: {sizes}")


if __name__ == "__main__":
    main(tyro.cli(Arguments))
