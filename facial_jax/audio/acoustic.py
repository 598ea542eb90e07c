"""Acoustic models: from a recording's sound to features at 50 per second."""

import functools
import hashlib
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Float

from facial_jax.audio import hama_package
from facial_jax.audio.deepspeech import DeepSpeechAcousticModel, DeepSpeechConfig
from facial_jax.audio.mfcc import MEL_BANDS, log_mel
from facial_jax.audio.phonemes import PhonemeAcousticModel, phonemes_hash
from facial_jax.cache import cache_directory
from facial_jax.compilation import jit
from facial_jax.models.acoustic.network import (
    SILENCE,
    AcousticConfig,
    AcousticNetwork,
    normalise_log_mel,
)
from facial_jax.models.layers.parameters import check_weights, load_variables, module_from_config

PHONEMES, BUNDLED, DEEPSPEECH, GIVEN = "phonemes", "bundled", "deepspeech", "given"
"""What a subject listens with: one of three acoustic models, or features that its user gives."""
PREFERRED = PHONEMES
"""What networks are trained to listen with unless told otherwise; `phonemes` as soon as the bundled
FACIAL-GAN has been trained with it."""
ACOUSTIC_WEIGHTS = Path(__file__).parents[1] / "assets" / "acoustic.safetensors"
"""The bundled network, trained by `experiments/train_acoustic.py`."""
CHUNK_ROWS = 512


@runtime_checkable
class AcousticModel(Protocol):
    """What turns sound into speech features."""

    @property
    def feature_count(self) -> int:
        """How many features a row has."""
        ...

    def __call__(
        self,
        blocks: Iterable[np.ndarray],
        *,
        progress: Callable[[Iterable], Iterable] = iter,
    ) -> Float[np.ndarray, "t features"]:
        """A row of features for every 20 ms of sound.

        Args:
            blocks: mono float32 sound at 16 kHz, in [−1, 1], (n,) or (n, 1) at a time.
            progress: wraps the iterations over blocks and over the model's chunks, such as a
                progress bar.

        Raises:
            ValueError: there is not one sample.
        """
        ...


class BundledAcousticModel:
    """The project's own network: logits of 28 characters and the blank, then spectral features.

    Runs in chunks of one fixed shape that overlap by the network's context, so that any length
    compiles once, needs the memory of one chunk and gives what the whole in one piece gives.
    """

    def __init__(self, variables: dict, config: AcousticConfig, *, chunk_rows: int = CHUNK_ROWS):
        """Checks the variables against the network; `chunk_rows` is even."""
        if chunk_rows < 2 or chunk_rows % 2:
            raise ValueError(f"chunk_rows: expected an even number of at least 2, got {chunk_rows}")
        self.config, self.chunk_rows = config, chunk_rows
        network = AcousticNetwork(config)
        rows = jax.ShapeDtypeStruct((1, chunk_rows + 2 * config.context, MEL_BANDS), np.float32)
        check_weights(variables, network, rows, source="the acoustic network's weights")
        self._variables = jax.device_put(variables)
        self._apply = jit(network.apply)

    @property
    def feature_count(self) -> int:
        """How many features a row has."""
        return self.config.features

    def __call__(
        self,
        blocks: Iterable[np.ndarray],
        *,
        progress: Callable[[Iterable], Iterable] = iter,
    ) -> Float[np.ndarray, "t features"]:
        """Features of mono sound at 16 kHz, see `AcousticModel`."""
        return self.from_log_mel(log_mel(iter(progress(blocks))), progress=progress)

    def from_log_mel(
        self,
        energies: Float[np.ndarray, "t 27"],
        *,
        progress: Callable[[Iterable], Iterable] = iter,
    ) -> Float[np.ndarray, "t features"]:
        """Features for each row of `log_mel`; `progress` wraps the iteration over chunks."""
        rows = normalise_log_mel(energies)
        context, chunk = self.config.context, self.chunk_rows
        chunks = -(-len(rows) // chunk)
        after = chunks * chunk - len(rows) + context
        padded = np.pad(rows, ((context, after), (0, 0)), constant_values=np.float32(SILENCE))
        logits = [
            np.asarray(
                self._apply(self._variables, padded[None, start : start + chunk + 2 * context])
            )[0]
            for start in progress(range(0, chunks * chunk, chunk))
        ]
        return np.concatenate(logits)[: len(rows)]


def default_acoustic_model() -> str:
    """What networks are trained to listen with unless something else is asked for.

    `PREFERRED`; if that is `phonemes` and its package is not installed, the bundled network, with
    a warning.
    """
    if PREFERRED == PHONEMES and not hama_package.is_installed():
        warnings.warn(
            "the package hama is not installed (pip install hama), so speech is heard by the "
            "bundled acoustic network, which was trained on synthetic voices",
            stacklevel=2,
        )
        return BUNDLED
    return PREFERRED


def deepspeech_weights() -> Path:
    """The file of the acoustic model `deepspeech`, which convert_deepspeech writes."""
    return cache_directory() / "deepspeech.safetensors"


def acoustic_weights(model: str | Path) -> Path:
    """The file of an acoustic model, by its name (but for `phonemes`) or as this file.

    Raises FileNotFoundError if DeepSpeech was not converted yet.
    """
    names = {BUNDLED: ACOUSTIC_WEIGHTS, DEEPSPEECH: deepspeech_weights()}
    path = Path(names.get(str(model), model))
    if str(model) == DEEPSPEECH and not path.is_file():
        raise FileNotFoundError(
            f"DeepSpeech's weights are not at {path}: make them from output_graph.pb of "
            "DeepSpeech 0.1.0 with `python -m experiments.convert_deepspeech output_graph.pb`"
        )
    return path


@functools.cache
def acoustic_model_hash(model: str | Path) -> str:
    """SHA-256 of what an acoustic model is, in hexadecimal: tells what features come from.

    Of its file; of `phonemes`, see `phonemes_hash`.
    """
    if str(model) == PHONEMES:
        return phonemes_hash()
    return hashlib.sha256(acoustic_weights(model).read_bytes()).hexdigest()


@functools.cache
def load_acoustic_model(model: str | Path = BUNDLED) -> AcousticModel:
    """An acoustic model by its name, or from its file.

    Args:
        model: "phonemes", the recogniser in the package hama; "bundled"; "deepspeech", the
            converted DeepSpeech in the cache; or a file that `experiments/train_acoustic.py` or
            `experiments/convert_deepspeech.py` wrote.

    Raises:
        FileNotFoundError: there is no such file or package.
        ValueError: the file is damaged or holds another network, or the package is of a version
            that is not known here.
    """
    if str(model) == PHONEMES:
        return PhonemeAcousticModel(*hama_package.load_recogniser())
    path = acoustic_weights(model)
    variables, fields = load_variables(path)
    try:
        if DEEPSPEECH in fields:
            config = module_from_config(DeepSpeechConfig, fields[DEEPSPEECH])
            return DeepSpeechAcousticModel(variables, config)
        return BundledAcousticModel(variables, module_from_config(AcousticConfig, fields))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} does not hold an acoustic network: {error}") from error
