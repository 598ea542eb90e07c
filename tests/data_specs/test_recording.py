"""Rooms, microphones, noise, codecs, levels and music: what they change, and that no time does."""

from fractions import Fraction

import numpy as np
import pytest
from scipy.signal import fftconvolve

from data_specs.synthetic_talking_head import corpus, recording
from data_specs.synthetic_talking_head.recording import CODECS, recorded
from data_specs.synthetic_talking_head.visemes import JAW_OPEN
from facial_jax.audio.acoustic import load_acoustic_model

RATE = 22050


def syllables(seconds=3.0, seed=0):
    """Bursts of filtered noise with a tone, and silence between them."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    envelope = np.maximum(np.sin(2 * np.pi * 2.3 * t), 0) ** 2
    noise = np.convolve(rng.standard_normal(len(t)), np.ones(8) / 8, "same")
    tone = np.sin(2 * np.pi * 180 * t) + 0.5 * np.sin(2 * np.pi * 540 * t)
    return (0.25 * envelope * (0.3 * noise + tone)).astype(np.float32)


def lag(first, second):
    """How many samples later the second's envelope is than the first's."""
    a, b = (np.convolve(np.abs(x), np.ones(200) / 200, "same") for x in (first, second))
    a, b = a - a.mean(), b - b.mean()
    size = 1 << (2 * len(a)).bit_length()
    correlation = np.fft.irfft(np.fft.rfft(b, size) * np.fft.rfft(a, size).conj(), size)
    best = int(np.argmax(correlation))
    return best if best < size // 2 else best - size


def ratio_db(signal, noise):
    return 10 * np.log10(np.mean(np.square(signal)) / np.mean(np.square(noise)))


@pytest.mark.parametrize("codec", CODECS)
def test_a_codec_takes_something_away_but_no_time(codec):
    samples = syllables()
    coded = recording.through_codec(samples, RATE, codec, np.random.default_rng(0))
    assert coded.shape == samples.shape
    assert abs(lag(samples, coded)) < 0.002 * RATE
    assert 0.0 < np.abs(coded - samples).max() < 0.5
    assert np.corrcoef(samples, coded)[0, 1] > 0.9


def test_the_telephone_keeps_nothing_above_four_kilohertz():
    rng = np.random.default_rng(0)
    noise = 0.1 * rng.standard_normal(2 * RATE)
    spectrum = np.abs(np.fft.rfft(recording.through_codec(noise, RATE, "mu-law", rng))) ** 2
    frequencies = np.fft.rfftfreq(len(noise), 1 / RATE)
    high, low = spectrum[frequencies > 4500].mean(), spectrum[frequencies < 3000].mean()
    assert high < 0.001 * low


def test_an_unknown_codec_is_named():
    with pytest.raises(ValueError, match="expected one of"):
        recording.through_codec(np.zeros(100), RATE, "vorbis", np.random.default_rng(0))


def test_a_room_answers_after_the_direct_sound():
    for seed in range(20):
        response = recording.room_response(RATE, np.random.default_rng(seed))
        assert response[0] >= 0.9
        assert np.isfinite(response).all()
        energy = np.cumsum(response[::-1] ** 2)[::-1]
        assert energy[len(energy) // 2] < 0.2 * energy[0]  # it fades
    samples = syllables()
    heard = fftconvolve(samples, response)[: len(samples)]
    assert abs(lag(samples, heard)) < 0.03 * RATE


def test_rooms_differ():
    late = [
        np.square(recording.room_response(RATE, np.random.default_rng(seed))[200:]).sum()
        for seed in range(20)
    ]
    assert max(late) > 10 * min(late)


@pytest.mark.parametrize("wanted", [5.0, 30.0])
def test_noise_is_as_far_below_the_speech_as_it_is_asked_for(wanted):
    samples = syllables().astype(np.float64)
    noise = recording.coloured_noise(len(samples), RATE, np.random.default_rng(1))
    added = recording.with_noise(samples, noise, wanted) - samples
    assert ratio_db(samples, added) == pytest.approx(wanted, abs=0.1)


def test_in_a_silent_room_the_noise_is_heard():
    silence = np.zeros(RATE)
    noise = recording.coloured_noise(RATE, RATE, np.random.default_rng(1))
    assert recording.with_noise(silence, noise, 20.0).std() == pytest.approx(0.003, rel=0.05)


def test_a_microphone_colours_the_spectrum_and_takes_no_time():
    samples = syllables().astype(np.float64)
    gains = []
    for seed in range(6):
        heard = recording.microphone(samples, RATE, np.random.default_rng(seed))
        assert heard.shape == samples.shape
        assert abs(lag(samples, heard)) < 0.002 * RATE
        spectra = (np.abs(np.fft.rfft(x)) ** 2 for x in (samples, heard))
        frequencies = np.fft.rfftfreq(len(samples), 1 / RATE)
        bands = [(100, 400), (400, 1600), (1600, 3200)]
        powers = np.array(
            [[s[(frequencies > a) & (frequencies < b)].sum() for a, b in bands] for s in spectra]
        )
        gains.append(10 * np.log10(powers[1] / powers[0]))
    assert np.std(gains, axis=0).max() > 2.0


def test_a_level_is_reached_unless_the_scale_ends():
    samples = syllables().astype(np.float64)
    quiet = recording.at_level(samples, -30.0)
    assert 20 * np.log10(np.sqrt(np.mean(quiet**2))) == pytest.approx(-30.0, abs=0.01)
    assert np.abs(recording.at_level(samples, 0.0)).max() == pytest.approx(0.99)


def test_what_is_recorded_depends_on_the_generator_alone_and_keeps_its_times():
    samples = syllables()
    lags, kept = [], 0
    for seed in range(24):
        first, second = (recorded(samples, RATE, np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(first, second)
        assert first.dtype == np.float32
        assert first.shape == samples.shape
        assert np.abs(first).max() <= 1.1
        kept += np.array_equal(first, samples)
        lags.append(abs(lag(samples, first)))
    assert 1 <= kept <= 8
    assert np.median(lags) < 0.005 * RATE
    assert max(lags) < 0.06 * RATE


def test_silence_stays_finite():
    for seed in range(10):
        heard = recorded(np.zeros(RATE, np.float32), RATE, np.random.default_rng(seed))
        assert np.isfinite(heard).all()


def test_music_has_tones_and_no_two_pieces_are_alike():
    pieces = [recording.music(2.0, RATE, np.random.default_rng(seed)) for seed in range(3)]
    for piece in pieces:
        assert piece.shape == (2 * RATE,)
        assert np.abs(piece).max() <= 1
        power = np.sort(np.abs(np.fft.rfft(piece)) ** 2)[::-1]
        assert power[: len(power) // 50].sum() > 0.5 * power.sum()
    assert abs(np.corrcoef(pieces[0], pieces[1])[0, 1]) < 0.2


def test_where_nobody_speaks_there_may_be_music_and_the_mouth_stays_shut(monkeypatch):
    monkeypatch.setattr(corpus, "SILENT_SHARE", 1.0)
    monkeypatch.setattr(corpus, "MUSIC_SHARE", 1.0)
    played = []

    def play(*arguments):
        played.append(recording.music(*arguments))
        return played[-1]

    monkeypatch.setattr(corpus, "music", play)
    clip = corpus.make_clip(
        0,
        1,
        1,
        seconds=4.0,
        fps=Fraction(25),
        acoustic_model=load_acoustic_model(),
        demo_style=True,
    )
    assert clip.expression[:, JAW_OPEN].max() < 0.05
    (piece,) = played
    heard = np.interp(np.arange(64000) / 16000, np.arange(len(piece)) / RATE, piece)
    assert abs(lag(heard, clip.waveform.astype(np.float64))) < 0.03 * 16000
    assert clip.waveform.std() > 300
