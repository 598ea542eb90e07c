"""Training batches out of the speech corpus: packed, warped, coloured, reverberant and noisy.

Everything is done on mel energies: powers of independent sounds add up, reverberation smears them
over time, equalisation and microphones multiply them, a vocal tract's length shifts them along the
mel axis. That costs a thousandth of what the same on waveforms costs.
"""

from dataclasses import dataclass

import flax.struct
import numpy as np
from jaxtyping import Array, Float, Int

from facial_jax.audio.mfcc import FRAME_RATE, MEL_BANDS, cepstral_transform
from facial_jax.models.acoustic.corpus import PHONES, SpeechCorpus
from facial_jax.models.acoustic.network import CHARACTERS, SILENCE, normalise_log_mel

_DIGITAL_SILENCE = -36.0
_COLOUR_KNOTS = 7
_GLIDE = np.array([1, 2, 3, 2, 1]) / 9.0


@dataclass(frozen=True)
class AugmentationConfig:
    """How strongly the synthetic voices are disturbed; zeros leave them as they are."""

    undisturbed: tuple[tuple[int, float], ...] = ((14000, 0.5), (18500, 0.8))
    """Pairs of a batch's number and the share of the samples that are left as they are from there
    on; before the first pair there are none."""
    tempo: float = 0.25
    """Standard deviation of the logarithm of the local speed."""
    band_shift: float = 0.09
    """Standard deviation of the logarithm of the mel axis's stretch."""
    cepstral_weights: float = 0.25
    """Standard deviation of the logarithm of each cepstral coefficient's weight: spectra become
    sharper or flatter."""
    phone_colour: float = 0.5
    """Standard deviation, in nepers, of the spectral envelope that each phone has with each
    speaker."""
    segment_colour: float = 0.3
    """Standard deviation, in nepers, of the spectral envelope of each single phone."""
    spectral_tilt: float = 1.2
    """Standard deviation, in nepers, of slow equalisation curves of the voice."""
    gain_drift: float = 0.5
    """Standard deviation, in nepers, of a slowly changing gain."""
    reverberation: float = 0.5
    """Share of the samples with reverberation."""
    noise: float = 0.65
    """Share of the samples with noise."""
    babble: float = 0.2
    """Share of the samples with other voices behind."""
    empty: float = 0.05
    """Share of the samples in which nobody speaks."""
    masks: int = 2
    """How many stretches of time, and of bands, may be blanked out in a sample."""

    def undisturbed_share(self, step: int) -> float:
        """Share of the batch's samples that are left as they are."""
        return max((entry for entry in self.undisturbed if entry[0] <= step), default=(0, 0.0))[1]

    @classmethod
    def none(cls) -> "AugmentationConfig":
        """Speech as espeak-ng speaks it."""
        return cls((), *([0.0] * 11), 0)


@dataclass(frozen=True)
class BatchConfig:
    """Shapes of a batch."""

    samples: int = 16
    """Recordings."""
    frames: int = 256
    """Rows of logits per recording, at 50 per second."""
    context: int = 36
    """Rows of input before and after them."""
    characters: int = 144
    """Longest spelling."""


@flax.struct.dataclass
class SpeechBatch:
    """Input and targets of one training step."""

    rows: Float[Array | np.ndarray, "b t 26"]
    """Normalised log mel energies; t = frames + 2 context."""
    labels: Int[Array | np.ndarray, "b characters"]
    """What is spoken, padded with zeros."""
    label_lengths: Int[Array | np.ndarray, "b"]
    """How many of the labels are not padding."""
    phones: Int[Array | np.ndarray, "b frames"]
    """Index into PHONES, or UNKNOWN_PHONE."""


def _smooth_curve(rng, length: int, knots: int, deviation: float) -> np.ndarray:
    positions = np.linspace(0, knots - 1, length)
    return np.interp(positions, np.arange(knots), rng.normal(0.0, deviation, knots))


def _warp_time(rng, config: AugmentationConfig, log_mel, phones):
    """Speech at an uneven speed; phones follow."""
    if config.tempo == 0.0:
        return log_mel, phones
    speed = np.exp(_smooth_curve(rng, len(log_mel), max(2, len(log_mel) // 12), config.tempo))
    speed *= np.exp(rng.normal(0.0, 0.08))
    times = np.concatenate([[0.0], np.cumsum(1.0 / speed)])
    positions = np.interp(np.arange(int(times[-1])), times, np.arange(len(times)))
    positions = np.minimum(positions, len(log_mel) - 1.0)
    low = np.minimum(positions.astype(np.int64), max(len(log_mel) - 2, 0))
    part = (positions - low)[:, None].astype(np.float32)
    high = np.minimum(low + 1, len(log_mel) - 1)
    warped = log_mel[low] * (1 - part) + log_mel[high] * part
    return warped, phones[np.rint(positions).astype(np.int64)]


def _speaker_transform(rng, config: AugmentationConfig) -> np.ndarray:
    """(26, 26): log mel energies of another speaker = log mel energies @ this."""
    cepstral = cepstral_transform().astype(np.float64)
    weights = np.exp(_smooth_curve(rng, MEL_BANDS, 7, config.cepstral_weights))
    weights[0] = 1.0
    sharpened = cepstral @ np.diag(weights) @ np.linalg.inv(cepstral)
    bend = np.exp(rng.normal(0.0, config.band_shift))
    tilt = np.exp(rng.normal(0.0, config.band_shift / 2))
    positions = np.arange(MEL_BANDS) * bend * np.linspace(1.0, tilt, MEL_BANDS)
    positions = np.clip(positions, 0, MEL_BANDS - 1.001)
    low = positions.astype(np.int64)
    warp = np.zeros((MEL_BANDS, MEL_BANDS))
    warp[low, np.arange(MEL_BANDS)] = 1 - (positions - low)
    warp[low + 1, np.arange(MEL_BANDS)] = positions - low
    return (sharpened @ warp).astype(np.float32)


def _smooth_curves(rng, count: int, knots: int, deviation: float) -> np.ndarray:
    """(count, 26): random curves over the mel bands, linear between knots."""
    positions = np.linspace(0, knots - 1, MEL_BANDS)
    low = np.minimum(positions.astype(np.int64), knots - 2)
    part = positions - low
    values = rng.normal(0.0, deviation, (count, knots))
    return values[:, low] * (1 - part) + values[:, low + 1] * part


def _colour_phones(rng, config: AugmentationConfig, speaker, log_mel, phones):
    """Each phone, and each time that it is spoken, in a colour of its own, with glides."""
    if config.phone_colour == 0.0 and config.segment_colour == 0.0:
        return log_mel
    segments = np.cumsum(np.diff(phones, prepend=phones[0]) != 0)
    curves = _smooth_curves(rng, int(segments[-1]) + 1, _COLOUR_KNOTS, config.segment_colour)
    colour = np.where((phones > 0)[:, None], speaker[phones] + curves[segments], 0.0)
    padded = np.pad(colour, ((2, 2), (0, 0)), mode="edge")
    glided = sum(w * padded[i : i + len(colour)] for i, w in enumerate(_GLIDE))
    return log_mel + glided.astype(np.float32)


def _reverberate(rng, power: np.ndarray) -> np.ndarray:
    """Energies with an exponential tail: RT60 from 0.1 to 0.9 s, other for each band."""
    rt60 = np.exp(rng.uniform(np.log(0.1), np.log(0.9)))
    per_band = rt60 * np.exp(_smooth_curve(rng, MEL_BANDS, 4, 0.25))
    decay = 10.0 ** (-6.0 / (per_band * FRAME_RATE))
    direct_to_reverberant = 10.0 ** (rng.uniform(-0.3, 1.5))
    tail = np.zeros(MEL_BANDS)
    out = np.empty_like(power)
    gain = (1 - decay) / direct_to_reverberant
    for t in range(len(power)):
        out[t] = power[t] + gain * tail
        tail = decay * (tail + power[t])
    return out * np.exp(rng.normal(0.0, 0.15, power.shape))


def _noise_power(rng, frames: int) -> np.ndarray:
    """Random coloured, slowly changing, sometimes bursting noise of mean power 1."""
    colour = _smooth_curve(rng, MEL_BANDS, int(rng.integers(2, 9)), 1.5)
    level = _smooth_curve(rng, frames, max(2, int(frames * rng.uniform(0.005, 0.1))), 1.0)
    # A band's energy is a sum of a few squared Gaussians: its degrees of freedom grow with it.
    freedom = np.linspace(2.0, 16.0, MEL_BANDS)
    grain = rng.gamma(freedom, 1.0 / freedom, (frames, MEL_BANDS))
    if rng.random() < 0.4:
        grain = grain * np.exp(rng.uniform(0.3, 1.0) * level)[:, None]
    return np.exp(colour) * grain / np.exp(colour).mean()


class BatchMaker:
    """Draws batches; batch number `step` depends on the corpus, the configs, the seed and it."""

    def __init__(
        self,
        corpus: SpeechCorpus,
        batch: BatchConfig,
        augmentation: AugmentationConfig,
        *,
        seed: int = 0,
    ):
        self._corpus, self._batch, self._augmentation = corpus, batch, augmentation
        self._seed = seed
        firsts = np.flatnonzero(np.diff(corpus.speakers, prepend=-1))
        self._groups = np.split(np.arange(len(corpus)), firsts[1:])

    def __call__(self, step: int) -> SpeechBatch:
        """The batch of that number."""
        config = self._batch
        rng = np.random.default_rng([self._seed, step])
        total = config.frames + 2 * config.context
        rows = np.full((config.samples, total, MEL_BANDS), SILENCE, np.float32)
        labels = np.zeros((config.samples, config.characters), np.int32)
        lengths = np.zeros(config.samples, np.int32)
        phones = np.zeros((config.samples, config.frames), np.int32)
        middle = slice(config.context, config.context + config.frames)
        for i in range(config.samples):
            augmentation = self._augmentation
            if rng.random() < augmentation.undisturbed_share(step):
                augmentation = AugmentationConfig.none()
            log_mel, phones[i], text = self._recording(rng, augmentation)
            log_mel = self._disturb(rng, augmentation, log_mel)
            rows[i, middle] = self._mask(rng, augmentation, normalise_log_mel(log_mel))
            lengths[i] = len(text)
            labels[i, : len(text)] = [CHARACTERS.index(c) for c in text]
        return SpeechBatch(rows, labels, lengths, phones)

    def _recording(
        self, rng, augmentation: AugmentationConfig
    ) -> tuple[np.ndarray, np.ndarray, str]:
        """One speaker's sentences with pauses between, as far as they fit."""
        corpus, config = self._corpus, self._batch
        log_mel = np.full((config.frames, MEL_BANDS), _DIGITAL_SILENCE, np.float32)
        phones = np.zeros(config.frames, np.int32)
        if rng.random() < augmentation.empty:
            return log_mel, phones, ""
        position = int(rng.integers(0, 20))
        texts: list[str] = []
        transform = _speaker_transform(rng, augmentation)
        colours = _smooth_curves(rng, len(PHONES), _COLOUR_KNOTS, augmentation.phone_colour)
        for _ in range(20):  # tries; a group may hold nothing short enough
            for u in rng.permutation(self._groups[int(rng.integers(len(self._groups)))]):
                a, b = corpus.bounds[u], corpus.bounds[u + 1]
                spectra, frame_phones = _warp_time(
                    rng, augmentation, corpus.log_mel[a:b].astype(np.float32), corpus.phones[a:b]
                )
                length = len(" ".join([*texts, corpus.texts[u]]))
                end = position + len(spectra)
                if end > config.frames or length > config.characters or len(frame_phones) < 4:
                    continue
                coloured = _colour_phones(rng, augmentation, colours, spectra, frame_phones)
                log_mel[position:end] = coloured @ transform
                phones[position:end] = frame_phones
                texts.append(corpus.texts[u])
                position = end + int(rng.integers(3, 50))
            if texts:
                break
        return log_mel, phones, " ".join(texts)

    def _voice_power(self, rng, frames: int) -> np.ndarray:
        start = int(rng.integers(0, len(self._corpus.log_mel) - frames))
        return np.exp(self._corpus.log_mel[start : start + frames].astype(np.float64))

    def _disturb(self, rng, config: AugmentationConfig, log_mel: np.ndarray) -> np.ndarray:
        """Gain, colour, room and noise."""
        frames = len(log_mel)
        speech = np.exp(log_mel.astype(np.float64))
        loud = speech.mean(axis=1)
        spoken = loud > 0.1 * loud.mean()
        level = loud[spoken].mean() if loud.max() > 1.0 else 1e4
        if config.gain_drift > 0.0:
            drift = _smooth_curve(rng, frames, max(2, frames // 40), config.gain_drift)
            speech = speech * np.exp(drift)[:, None]
        if config.spectral_tilt > 0.0:
            knots = int(rng.integers(2, 7))
            speech = speech * np.exp(_smooth_curve(rng, MEL_BANDS, knots, config.spectral_tilt))
        if rng.random() < config.reverberation:
            speech = _reverberate(rng, speech)
        if rng.random() < config.noise:
            snr = 10.0 ** (rng.uniform(0.6, 4.5))
            speech = speech + level / snr * _noise_power(rng, frames)
        if rng.random() < config.babble:
            voices = [self._voice_power(rng, frames) for _ in range(int(rng.integers(1, 6)))]
            babble = np.sum([voice / voice.mean() for voice in voices], axis=0) / len(voices)
            speech = speech + level / 10.0 ** (rng.uniform(0.7, 3.0)) * babble
        return np.log(np.maximum(speech, 1e-15)).astype(np.float32)

    def _mask(self, rng, augmentation: AugmentationConfig, rows: np.ndarray) -> np.ndarray:
        for _ in range(augmentation.masks):
            if rng.random() < 0.5:
                start = int(rng.integers(0, len(rows)))
                rows[start : start + int(rng.integers(1, 8))] = 0.0
            if rng.random() < 0.5:
                band = int(rng.integers(0, MEL_BANDS))
                rows[:, band : band + int(rng.integers(1, 5))] = 0.0
        return rows
