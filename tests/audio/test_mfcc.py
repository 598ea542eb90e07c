import librosa
import numpy as np
import pytest

from facial_jax.audio import mfcc


def noise(count, seed=0):
    return np.random.default_rng(seed).normal(0.0, 0.1, count).astype(np.float32)


def mfcc_by_librosa(samples):
    """The definition in float64: librosa's pre-emphasis, spectra and cosine transform.

    Its mel filters have corners between FFT bins, and its lifter begins at one, so these are ours.
    """
    signal = librosa.effects.preemphasis(samples.astype(np.float64) * 32768, coef=0.97, zi=[0.0])
    steps = 1 + max(0, int(np.ceil((len(signal) - 400) / 160)))
    # librosa puts a frame's 400 samples into the middle of the FFT's 512.
    signal = np.pad(signal, (56, (steps - 1) * 160 + 400 + 56 - len(signal)))
    spectra = librosa.stft(
        signal, n_fft=512, hop_length=320, win_length=400, window="boxcar", center=False
    )
    power = np.abs(spectra) ** 2 / 512
    mel = np.log(np.maximum(mfcc.mel_filters() @ power, 1e-300))
    lifter = 1 + 11 * np.sin(np.pi * np.arange(26) / 22)
    rows = librosa.feature.mfcc(S=mel, n_mfcc=26, dct_type=2, norm="ortho").T * lifter
    rows[:, 0] = np.log(power.sum(axis=0))
    return rows


def test_mel_filters_are_librosas_but_for_corners_on_whole_bins():
    ours = mfcc.mel_filters().astype(np.float64)
    theirs = librosa.filters.mel(sr=16000, n_fft=512, n_mels=26, htk=True, norm=None)
    bins = np.arange(257)
    middles = [(filters @ bins) / filters.sum(axis=1) for filters in (ours, theirs)]
    np.testing.assert_allclose(*middles, atol=0.8)
    np.testing.assert_allclose(ours.sum(axis=1), theirs.sum(axis=1), atol=0.8)


@pytest.mark.parametrize("count", [400, 401, 720, 16000, 16321])
def test_mfccs_agree_with_their_definition(count):
    samples = noise(count)
    expected = mfcc_by_librosa(samples)
    got = mfcc.cepstra(mfcc.log_mel([samples]))
    assert got.shape == expected.shape == (mfcc.frame_count(count), 26)
    np.testing.assert_allclose(got, expected, atol=1e-3)


@pytest.mark.parametrize("block", [1000, 16384, 200000])
def test_streamed_frames_equal_those_of_one_piece(block):
    samples = noise(400000)
    whole = mfcc.log_mel([samples])
    streamed = mfcc.log_mel(samples[i : i + block] for i in range(0, len(samples), block))
    np.testing.assert_array_equal(streamed, whole)
    np.testing.assert_allclose(mfcc.cepstra(whole), mfcc_by_librosa(samples), atol=2e-3)


@pytest.mark.parametrize("count", [1, 2, 399, 1600])
def test_short_and_silent_sound_gives_finite_features(count):
    for samples in (np.zeros(count, np.float32), noise(count)):
        rows = mfcc.deepspeech_input(mfcc.cepstra(mfcc.log_mel([samples])))
        assert rows.shape == (mfcc.frame_count(count), 494)
        assert np.isfinite(rows).all()


def test_the_deepspeech_input_has_mean_zero_and_deviation_one():
    rows = mfcc.deepspeech_input(mfcc.cepstra(mfcc.log_mel([noise(48000)])))
    assert abs(rows.mean()) < 1e-5
    assert abs(rows.std() - 1) < 1e-5


def test_no_sound_at_all_is_refused():
    with pytest.raises(ValueError, match="at least one sample"):
        mfcc.log_mel([])
