"""How well the acoustic network hears, and how fast.

    python -m benchmarks.bench_acoustic --speech obama2.wav --reference obama2_official.npz

On real speech: how much of real DeepSpeech logits a ridge regression from 16-frame windows of our
features explains, beside the same from plain MFCCs, and from the phones that PocketSphinx hears. On
synthetic speech of voices and sentences that the training never had: the character error rate. And
the time from speech to features.
"""

import itertools
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d

from benchmarks.measure import Row, measure, print_table
from facial_jax.audio.acoustic import BUNDLED, AcousticModel, load_acoustic_model
from facial_jax.audio.features import feature_windows, speech_features
from facial_jax.audio.mfcc import FRAME_RATE, SAMPLE_RATE, cepstra, frame_count, log_mel
from facial_jax.audio.waveform import AudioSource
from facial_jax.frame_rate import resample_frames

FOLDS = 5
LEFT_OUT = 16
ALPHAS = (1e1, 1e2, 1e3, 1e4, 1e5)
SMOOTHING_FRAMES = 4.0
DEEPSPEECH_FPS = Fraction(30)


def ridge_explained(features: np.ndarray, targets: np.ndarray) -> float:
    """Share of the targets' variance that a ridge regression explains on folds held out.

    Args:
        features: (t, n), standardised here by the training rows.
        targets: (t, m).

    Returns:
        1 − squared error / squared deviation from the mean, over all folds and columns; the best
        over `ALPHAS`.
    """
    t = len(features)
    edges = np.linspace(0, t, FOLDS + 1).astype(int)
    errors = np.zeros(len(ALPHAS))
    for start, end in itertools.pairwise(edges):
        train = np.ones(t, bool)
        train[max(0, start - LEFT_OUT) : end + LEFT_OUT] = False
        mean, std = features[train].mean(0), features[train].std(0) + 1e-6
        x, x_test = (features[train] - mean) / std, (features[start:end] - mean) / std
        target_mean = targets[train].mean(0)
        y, y_test = targets[train] - target_mean, targets[start:end] - target_mean
        kernel, cross = x @ x.T, x_test @ x.T
        for i, alpha in enumerate(ALPHAS):
            predicted = cross @ np.linalg.solve(kernel + alpha * np.eye(len(x)), y)
            errors[i] += np.sum((y_test - predicted) ** 2)
    return float(1 - errors.min() / np.sum((targets - targets.mean(0)) ** 2))


def explained_by(rows: np.ndarray, deepspeech: np.ndarray) -> float:
    """`ridge_explained` of DeepSpeech's logits from 16-frame windows of rows at 50 per second."""
    at_fps = resample_frames(
        rows.astype(np.float32), Fraction(FRAME_RATE), DEEPSPEECH_FPS, len(deepspeech)
    )
    windows = feature_windows(at_fps).reshape(len(at_fps), -1).astype(np.float64)
    targets = gaussian_filter1d(deepspeech.astype(np.float64), SMOOTHING_FRAMES, axis=0)
    return ridge_explained(windows, targets)


def measure_real_speech(
    model: AcousticModel, speech: Path, reference: Path, *, pocketsphinx: bool
) -> dict[str, float]:
    """Explained share of real DeepSpeech logits, from our features and from others."""
    deepspeech = np.load(reference)["deepspeech"]
    energies = log_mel(AudioSource(speech).blocks())
    rows = {"our features": model(energies), "MFCCs": cepstra(energies)}
    if pocketsphinx:
        rows["PocketSphinx's phones"] = pocketsphinx_phones(AudioSource(speech))
    return {f"explained from {name}": explained_by(x, deepspeech) for name, x in rows.items()}


def pocketsphinx_phones(source: AudioSource) -> np.ndarray:
    """(t, phones) at 50 per second, one-hot: PocketSphinx's all-phone decoding of the whole sound.

    Its language weight, of 0.5 to 3, is the one that gives it the best result of this benchmark.
    """
    from pocketsphinx import Decoder, get_model_path

    sound = np.concatenate(list(source.blocks(SAMPLE_RATE)))
    decoder = Decoder(
        hmm=get_model_path("en-us/en-us"),
        allphone=get_model_path("en-us/en-us-phone.lm.bin"),
        lm=None,
        dict=None,
        lw=1.0,
        loglevel="FATAL",
    )
    decoder.start_utt()
    decoder.process_raw((sound * 32767).astype(np.int16).tobytes(), full_utt=True)
    decoder.end_utt()
    segments = list(decoder.seg())
    phones = sorted({segment.word for segment in segments})
    heard = np.zeros((2 * frame_count(len(sound)), len(phones)), np.float32)
    for segment in segments:  # at 100 frames per second
        heard[segment.start_frame : segment.end_frame + 1, phones.index(segment.word)] = 1.0
    return heard[::2]


def measure_error_rate(model: AcousticModel, speakers: int = 30) -> dict[str, float]:
    """Character error rate on held-out synthetic voices and sentences, as they are spoken."""
    from data_specs.synthetic_talking_head.speech_corpus import make_corpus
    from facial_jax.models.acoustic.decoding import edit_distance, greedy_decode

    corpus = make_corpus(speakers, seed=1, held_out=True)
    errors = 0
    for u, text in enumerate(corpus.texts):
        energies = corpus.log_mel[corpus.bounds[u] : corpus.bounds[u + 1]].astype(np.float32)
        total = np.log(np.exp(energies).sum(axis=1, keepdims=True))
        heard = greedy_decode(model(np.concatenate([energies, total], axis=1)))
        errors += edit_distance(heard.strip(), text)
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
    speech: Path | None = None,
    reference: Path | None = None,
    weights: str = BUNDLED,
    pocketsphinx: bool = False,
    error_rate: bool = True,
    speed: bool = True,
) -> None:
    """Measure an acoustic network.

    Args:
        speech: a real recording whose DeepSpeech logits are known.
        reference: npz with those logits as `deepspeech` (t, 29), at 30 per second.
        weights: the acoustic model: bundled, deepspeech, or a file.
        pocketsphinx: measure the phones that PocketSphinx hears, too (needs that package).
        error_rate: measure the character error rate (needs the extra `train`).
        speed: measure the time from speech to features.
    """
    model = load_acoustic_model(weights)
    if speed:
        print_table(rows(model, repeats=5))
    results: dict[str, float] = {}
    if speech is not None and reference is not None:
        results |= measure_real_speech(model, speech, reference, pocketsphinx=pocketsphinx)
    if error_rate:
        results |= measure_error_rate(model)
    if results:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    import tyro

    tyro.cli(main)
