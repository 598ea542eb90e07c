"""How well the acoustic network hears, and how fast.

    python -m benchmarks.bench_acoustic

On synthetic speech of voices and sentences that the training never had: the character error rate.
And the time from speech to features. What it is for, the lips, is measured by `bench_lips`.
"""

import json
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from benchmarks.measure import Row, measure, print_table
from facial_jax.audio.acoustic import (
    BUNDLED,
    AcousticModel,
    BundledAcousticModel,
    load_acoustic_model,
)
from facial_jax.audio.features import speech_features
from facial_jax.audio.mfcc import SAMPLE_RATE
from facial_jax.audio.waveform import AudioSource


def measure_error_rate(model: BundledAcousticModel, speakers: int = 30) -> dict[str, float]:
    """Character error rate on held-out synthetic voices and sentences, as they are spoken."""
    from data_specs.synthetic_talking_head.speech_corpus import make_corpus
    from facial_jax.models.acoustic.decoding import edit_distance, greedy_decode

    corpus = make_corpus(speakers, seed=1, held_out=True)
    errors = 0
    for u, text in enumerate(corpus.texts):
        energies = corpus.log_mel[corpus.bounds[u] : corpus.bounds[u + 1]].astype(np.float32)
        total = np.log(np.exp(energies).sum(axis=1, keepdims=True))
        decoded = greedy_decode(model.from_log_mel(np.concatenate([energies, total], axis=1)))
        errors += edit_distance(decoded.strip(), text)
    return {"character error rate": errors / sum(map(len, corpus.texts))}


def rows(model: AcousticModel, repeats: int) -> Iterator[Row]:
    """From a minute and from ten minutes of sound to features."""
    sound = np.random.default_rng(0).normal(0.0, 0.1, 600 * SAMPLE_RATE).astype(np.float32)
    for minutes in (1, 10):
        source = AudioSource((sound[: minutes * 60 * SAMPLE_RATE], SAMPLE_RATE))
        yield measure(
            f"{minutes} min of sound to features, a minute",
            speech_features,
            source,
            model,
            Fraction(25),
            items=minutes,
            repeats=repeats,
        )


def main(
    weights: str = BUNDLED,
    error_rate: bool = True,
    speed: bool = True,
) -> None:
    """Measure an acoustic network.

    Args:
        weights: the acoustic model: phonemes, bundled, deepspeech, or a file.
        error_rate: measure the character error rate of a model that gives characters (needs the
            extra `train`).
        speed: measure the time from speech to features.
    """
    model = load_acoustic_model(weights)
    if speed:
        print_table(rows(model, repeats=5))
    if error_rate and isinstance(model, BundledAcousticModel):
        print(json.dumps(measure_error_rate(model), indent=2))


if __name__ == "__main__":
    import tyro

    tyro.cli(main)
