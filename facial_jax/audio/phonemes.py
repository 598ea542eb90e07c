"""The acoustic model `phonemes`: what a recogniser of real speech hears, 50 rows a second.

    sound ─▶ windows of 6 s ─▶ recogniser ─▶ phones and band energies ─▶ rows of the recording

The recogniser attends over its whole input, and recognises less if most of that is silence. So a
recording is cut into windows of 6 s on a grid that begins with it, every 4 s; the middle 4 s of
each are kept. The size of the blocks of sound does not change the rows. Cutting a recording does:
rows near the cut have another context, and loudness is relative to the recording's.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from facial_jax.audio.hama_package import check_package
from facial_jax.audio.known_phones import KnownPhone, align_phones, known_phone_rows
from facial_jax.audio.lip_groups import CONSONANTS, VOWELS, group_matrix
from facial_jax.audio.phone_rows import BAND_EDGES_HZ, FEATURES, find_phones, phone_rows
from facial_jax.audio.recogniser import (
    ROW_HOP,
    SAMPLE_RATE,
    STFT_BINS,
    STFT_HOP,
    STFT_LENGTH,
    RecogniserConfig,
    RecogniserWeights,
    recognise,
)
from facial_jax.backend import on_cpu
from facial_jax.compilation import jit
from facial_jax.precision import full_precision

ROWS_VERSION = 1
"""Goes up when the same sound gives other rows; part of `phonemes_hash`."""
WINDOW_ROWS, MARGIN_ROWS = 300, 50
STEP_ROWS = WINDOW_ROWS - 2 * MARGIN_ROWS
_SILENCE_ROWS = 25
"""Digital silence that is added at both ends of a recording."""
_SPECTRA = 2 * WINDOW_ROWS
_WINDOW_SAMPLES = (_SPECTRA - 1) * STFT_HOP + STFT_LENGTH
_LOWEST_POWER = 1e-10


def phonemes_hash() -> str:
    """SHA-256, in hexadecimal, of what the rows depend on: the package's files and this code.

    Raises FileNotFoundError or ValueError as `hama_package.check_package`.
    """
    parts = (check_package(), str(ROWS_VERSION), repr(CONSONANTS), repr(VOWELS))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class PhonemeAcousticModel:
    """Phones in time and the loudness of four bands (see `facial_jax.audio.phone_rows`).

    Rows of zeros mean that nobody speaks: silence, noise, music.
    """

    def __init__(
        self, weights: RecogniserWeights, config: RecogniserConfig, tokens: tuple[str, ...]
    ):
        """`tokens`: in the order of the recogniser's output."""
        self._groups = group_matrix(tokens)
        self._weights = jax.device_put(weights)
        # On CPUs a short recording should not wait for windows that it has not.
        self._batch = 1 if on_cpu() else 16
        self._recognise_windows = jit(
            lambda weights, samples, valid: _recognise_windows(
                weights, config, self._groups, samples, valid
            )
        )

    @property
    def feature_count(self) -> int:
        """How many features a row has."""
        return FEATURES

    def __call__(
        self,
        blocks: Iterable[np.ndarray],
        *,
        progress: Callable[[Iterable], Iterable] = iter,
    ) -> Float[np.ndarray, "t features"]:
        """A row for every 20 ms of sound, the first at its beginning: ceil(n / 320) rows.

        Args:
            blocks: mono float32 sound at 16 kHz, in [−1, 1], (n,) or (n, 1) at a time.
            progress: wraps the iteration over blocks, such as a progress bar.

        Raises:
            ValueError: there is not one sample.
        """
        return phone_rows(*self._recognise(blocks, progress))

    def phones(
        self,
        blocks: Iterable[np.ndarray],
        *,
        progress: Callable[[Iterable], Iterable] = iter,
    ) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n groups"]]:
        """When phones are spoken, in seconds, and which of `LIP_GROUPS` each may have been."""
        return find_phones(self._recognise(blocks, progress)[0])

    def find_known(
        self, groups: Sequence[int], blocks: Iterable[np.ndarray]
    ) -> Float[np.ndarray, "n"]:
        """The middles, in seconds, of phones that are said in this order: see `align_phones`."""
        return align_phones(groups, self._recognise(blocks, iter)[0])

    def _recognise(
        self, blocks: Iterable[np.ndarray], progress: Callable[[Iterable], Iterable]
    ) -> tuple[Float[np.ndarray, "t groups"], Float[np.ndarray, "t 4"]]:
        """Probabilities of groups and log energies of bands, row after row."""
        count, batches = 0, []
        for samples, valid, rows in _batches(_windows(iter(progress(blocks))), self._batch):
            batches.append(
                jax.tree.map(np.asarray, self._recognise_windows(self._weights, samples, valid))
            )
            count = rows
        probabilities, energies = (
            np.concatenate([part.reshape(-1, part.shape[-1]) for part in parts])[:count]
            for parts in zip(*batches, strict=True)
        )
        return probabilities, energies


class KnownPhonesModel:
    """The acoustic model of known phones: of the sound only the loudness is heard."""

    def __init__(self, model: PhonemeAcousticModel, phones: Sequence[KnownPhone]):
        """`phones`: all of a recording's, in order of time."""
        self._model, self._phones = model, phones

    @property
    def feature_count(self) -> int:
        """How many features a row has."""
        return FEATURES

    def __call__(
        self,
        blocks: Iterable[np.ndarray],
        *,
        progress: Callable[[Iterable], Iterable] = iter,
    ) -> Float[np.ndarray, "t features"]:
        """Rows of the recording, see `PhonemeAcousticModel`."""
        return known_phone_rows(self._phones, self._model._recognise(blocks, progress)[1])


@full_precision
def _recognise_windows(
    weights: RecogniserWeights,
    config: RecogniserConfig,
    groups: Float[np.ndarray, "tokens groups"],
    samples: Float[Array, "b n"],
    valid: Bool[Array, "b f"],
) -> tuple[Float[Array, "b step groups"], Float[Array, "b step 4"]]:
    """Probabilities of groups and log energies of bands for the middle rows of windows."""
    middle = slice(MARGIN_ROWS, MARGIN_ROWS + STEP_ROWS)
    log_probabilities, power = recognise(weights, config, samples, valid)
    probabilities = jnp.exp(log_probabilities[:, middle]) @ groups
    bands = power @ _band_matrix()
    # A row takes its spectrum and half of either neighbour.
    near = jnp.pad(bands, ((0, 0), (1, 1), (0, 0)))
    smooth = (near[:, :-2] + 2 * near[:, 1:-1] + near[:, 2:]) / 4
    energies = jnp.log(jnp.maximum(smooth, _LOWEST_POWER))[:, ::2][:, middle]
    return probabilities, energies


def _band_matrix() -> Float[np.ndarray, "201 4"]:
    hertz = np.arange(STFT_BINS) * SAMPLE_RATE / STFT_LENGTH
    low, high = np.array(BAND_EDGES_HZ[:-1]), np.array(BAND_EDGES_HZ[1:])
    return ((hertz[:, None] >= low) & (hertz[:, None] < high)).astype(np.float32)


def _windows(
    blocks: Iterator[np.ndarray],
) -> Iterator[tuple[Float[np.ndarray, "n"], Bool[np.ndarray, "f"], int]]:
    """Windows on the grid, which of their spectra count, and how many rows the sound has by then.

    Raises ValueError if there is not one sample.
    """
    step = STEP_ROWS * ROW_HOP
    pending = np.zeros(MARGIN_ROWS * ROW_HOP + STFT_LENGTH // 2, np.float32)
    total = index = 0
    for block in blocks:
        total += len(block)
        pending = np.concatenate([pending, np.asarray(block, np.float32).reshape(-1)])
        while len(pending) >= _WINDOW_SAMPLES:
            yield pending[:_WINDOW_SAMPLES], _valid_spectra(index, None), -(-total // ROW_HOP)
            pending, index = pending[step:], index + 1
    if total == 0:
        raise ValueError("blocks: expected at least one sample of sound, got none")
    rows = -(-total // ROW_HOP)
    while index * STEP_ROWS < rows:
        samples = np.zeros(_WINDOW_SAMPLES, np.float32)
        samples[: len(pending)] = pending
        yield samples, _valid_spectra(index, rows), rows
        pending, index = pending[step:], index + 1


def _valid_spectra(window: int, rows: int | None) -> Bool[np.ndarray, "f"]:
    """Spectra of the recording and the silence at its ends; `rows`: its length, if it ends here."""
    row = window * STEP_ROWS - MARGIN_ROWS + np.arange(WINDOW_ROWS)
    valid = row >= -_SILENCE_ROWS
    if rows is not None:
        valid &= row < rows + _SILENCE_ROWS
    return np.repeat(valid, 2)


def _batches(windows: Iterable, size: int) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Windows in batches of one size, the last filled up with silence."""
    samples, valid = [], []
    rows = 0
    for window, spectra, rows in windows:
        samples.append(window)
        valid.append(spectra)
        if len(samples) == size:
            yield np.stack(samples), np.stack(valid), rows
            samples, valid = [], []
    if samples:
        empty = size - len(samples)
        yield (
            np.stack(samples + [np.zeros(_WINDOW_SAMPLES, np.float32)] * empty),
            np.stack(valid + [np.ones(_SPECTRA, np.bool_)] * empty),
            rows,
        )
