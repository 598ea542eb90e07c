"""Other people from one voice: pitch, formants and times, each by itself."""

import numpy as np
import pytest
from scipy.signal import lfilter

from data_specs.synthetic_talking_head.voice_changes import (
    change_voice,
    move_formants,
    play_faster,
    stretch,
)
from facial_jax.speech.espeak import Phoneme, Utterance

RATE = 22050
PITCH_HZ, FORMANT_HZ = 120.0, 900.0


def vowel(seconds=1.0, pitch=PITCH_HZ, formant=FORMANT_HZ):
    """Pulses of a voice through one resonance, in the middle third of a silence."""
    count = round(seconds * RATE)
    pulses = np.zeros(count)
    middle = np.arange(round(count / 3), round(2 * count / 3), RATE / pitch).astype(int)
    pulses[middle] = 1.0
    radius, angle = np.exp(-np.pi * 120 / RATE), 2 * np.pi * formant / RATE
    samples = lfilter([1.0], [1.0, -2 * radius * np.cos(angle), radius**2], pulses)
    third = seconds / 3
    phonemes = (
        Phoneme("_", 0.0, third),
        Phoneme("A:", third, 2 * third, 2),
        Phoneme("_", 2 * third, seconds),
    )
    return Utterance((0.3 * samples / np.abs(samples).max()).astype(np.float32), RATE, phonemes)


def middle_of(utterance):
    start, end = utterance.phonemes[1].start_s, utterance.phonemes[1].end_s
    quarter = (end - start) / 4
    return utterance.samples[round((start + quarter) * RATE) : round((end - quarter) * RATE)]


def pitch_of(utterance):
    x = middle_of(utterance).astype(np.float64)
    autocorrelation = np.correlate(x, x, "full")[len(x) - 1 :]
    low, high = round(RATE / 400), round(RATE / 60)
    return RATE / (low + int(np.argmax(autocorrelation[low:high])))


def formant_of(utterance):
    x = middle_of(utterance).astype(np.float64)
    spectrum = np.abs(np.fft.rfft(x * np.hanning(len(x)), 1 << 16)) ** 2
    frequencies = np.fft.rfftfreq(1 << 16, 1 / RATE)
    # Over a bandwidth wider than the harmonics' distance.
    smooth = np.convolve(spectrum, np.ones(700), "same")
    near = (frequencies > 300) & (frequencies < 3000)
    return frequencies[near][np.argmax(smooth[near])]


def voiced_span(utterance):
    loud = np.flatnonzero(np.abs(utterance.samples) > 0.05 * np.abs(utterance.samples).max())
    return loud[0] / RATE, loud[-1] / RATE


@pytest.mark.parametrize("factor", [0.85, 1.2])
def test_another_vocal_tract_moves_the_formant_and_leaves_pitch_and_times(factor):
    before = vowel()
    after = change_voice(before, tract=factor)
    assert formant_of(after) == pytest.approx(factor * formant_of(before), rel=0.07)
    assert pitch_of(after) == pytest.approx(PITCH_HZ, rel=0.02)
    assert after.phonemes == before.phonemes
    assert len(after.samples) == len(before.samples)
    np.testing.assert_allclose(voiced_span(after), voiced_span(before), atol=0.02)


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_another_pitch_leaves_formants_and_times(factor):
    before = vowel()
    after = change_voice(before, pitch=factor)
    assert pitch_of(after) == pytest.approx(factor * PITCH_HZ, rel=0.03)
    assert formant_of(after) == pytest.approx(formant_of(before), rel=0.1)
    np.testing.assert_allclose(voiced_span(after), voiced_span(before), atol=0.02)
    np.testing.assert_allclose(after.phonemes[1].start_s, before.phonemes[1].start_s, atol=1e-3)


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_another_rate_scales_the_times_and_leaves_pitch_and_formants(factor):
    before = vowel()
    after = change_voice(before, rate=factor)
    assert after.duration_s == pytest.approx(before.duration_s / factor, abs=1e-3)
    for old, new in zip(before.phonemes, after.phonemes, strict=True):
        assert (new.name, new.stress) == (old.name, old.stress)
        assert new.start_s == pytest.approx(old.start_s / factor, abs=1e-3)
    start, end = voiced_span(after)
    assert start == pytest.approx(after.phonemes[1].start_s, abs=0.02)
    assert end == pytest.approx(after.phonemes[1].end_s, abs=0.03)
    assert pitch_of(after) == pytest.approx(PITCH_HZ, rel=0.03)
    assert formant_of(after) == pytest.approx(formant_of(before), rel=0.07)


def test_played_faster_all_is_higher_and_shorter():
    before = vowel()
    after = play_faster(before, 1.2)
    assert pitch_of(after) == pytest.approx(1.2 * PITCH_HZ, rel=0.02)
    assert formant_of(after) == pytest.approx(1.2 * formant_of(before), rel=0.07)
    assert after.phonemes[1].start_s == pytest.approx(before.phonemes[1].start_s / 1.2, abs=1e-3)


def test_nothing_changed_is_the_same_sound():
    before = vowel()
    after = change_voice(before)
    np.testing.assert_array_equal(after.samples, before.samples)
    assert after.phonemes == before.phonemes
    # A factor of almost 1 goes through all the windows, and gives back what went in.
    moved = move_formants(before.samples, RATE, 1 + 1e-9)
    np.testing.assert_allclose(moved, before.samples, atol=1e-4)


def test_clicks_stay_where_they_were():
    samples = np.zeros(RATE, np.float32)
    places = np.array([2000, 9000, 15000, 20500])
    samples[places] = 0.5
    utterance = Utterance(samples, RATE, (Phoneme("_", 0.0, 1.0),))
    stretched = stretch(utterance, 1.3).samples
    for place in places:
        near = slice(round(1.3 * place - 0.02 * RATE), round(1.3 * place + 0.02 * RATE))
        assert np.abs(stretched[near]).max() > 0.2


def test_silence_and_the_shortest_sound_survive():
    for count in (1, 10, 3000):
        silent = Utterance(np.zeros(count, np.float32), RATE, (Phoneme("_", 0.0, count / RATE),))
        after = change_voice(silent, tract=1.1, pitch=0.9, rate=1.1)
        assert np.isfinite(after.samples).all()
        assert not after.samples.any()
