"""The lips' benchmark: what is known about its recordings, and the sounds that it makes."""

import numpy as np
import pytest

from benchmarks import bench_lips as bench
from benchmarks.flite_voices import flite_phones
from data_specs.synthetic_talking_head.known_speech import save_known_speech
from data_specs.synthetic_talking_head.phone_names import (
    cmu_from_mnemonic,
    phoneme_from_cmu,
)
from data_specs.synthetic_talking_head.visemes import visemes_of
from facial_jax.metrics.lips import Phone
from facial_jax.metrics.recognised_phones import cmu_from_ipa
from facial_jax.speech.espeak import Phoneme
from facial_jax.subject import load_subject

RATE = 16000


@pytest.fixture(scope="module")
def demo():
    return load_subject("demo")


def test_cmu_symbols_become_what_the_animator_reads():
    assert phoneme_from_cmu(Phone("AA", 0.1, 0.2)) == Phoneme("A:", 0.1, 0.2, 0)
    assert phoneme_from_cmu(Phone("ow1", 0.1, 0.2)) == Phoneme("oU", 0.1, 0.2, 2)
    assert phoneme_from_cmu(Phone("IH2", 0.1, 0.2)).stress == 1
    assert phoneme_from_cmu(Phone("SIL", 0.1, 0.2)).is_pause
    for closing in "PBM":
        (shape,) = visemes_of(phoneme_from_cmu(Phone(closing, 0.0, 0.1)))
        assert shape.closes


@pytest.mark.parametrize(
    ("mnemonic", "ipa", "cmu"),
    [
        ("p", "pʰ", "P"),
        ("b", "b", "B"),
        ("m-", "m", "M"),
        ("A:", "ɑ", "AA"),
        ("a", "æ", "AE"),
        ("aI", "aɪ", "AY"),
        ("aU", "aʊ", "AW"),
        ("oU", "oʊ", "OW"),
        ("V", "ʌ", "AH"),
        ("u:", "u", "UW"),
        ("w", "w", "W"),
        ("f", "f", "F"),
        ("v", "v", "V"),
        ("_:", "<blank>", ""),
        ("s", "s", ""),
    ],
)
def test_mnemonics_and_ipa_become_the_sounds_that_lips_show(mnemonic, ipa, cmu):
    assert cmu_from_mnemonic(mnemonic) == cmu
    assert cmu_from_ipa(ipa) == cmu


def test_a_voice_with_known_phones_has_the_animators_lips(tmp_path, demo):
    t = np.arange(RATE) / RATE
    phones = [Phone("AA1", 0.1, 0.3), Phone("B", 0.3, 0.4), Phone("AA", 0.4, 0.6)]
    save_known_speech(tmp_path, [("", 0.3 * np.sin(2 * np.pi * 700 * t), RATE, phones)])
    (recording,) = bench.known_voice(tmp_path, demo)
    assert recording.phones[:2] == [Phone("AA", 0.1, 0.3), Phone("B", 0.3, 0.4)]
    assert len(recording.lips) == 25
    gap = recording.lips.gap
    assert gap[8] < 0.1 * max(gap[5], gap[12])
    assert gap[-3:].max() < 0.1 * gap[5]  # nobody speaks after the last phone


def test_noise_is_as_loud_as_it_is_asked_for():
    rng = np.random.default_rng(0)
    speech = (0.05 * rng.standard_normal(40000)).astype(np.float32)
    noise = bench.add_noise(speech, 10.0, seed=1) - speech
    ratio = 10 * np.log10(np.mean(speech**2) / np.mean(noise**2))
    assert ratio == pytest.approx(10.0, abs=0.1)


def test_sounds_without_speech_are_sounds():
    sounds = bench.sounds_without_speech(2.0)
    for name, samples in sounds.items():
        assert samples.shape == (2 * RATE,)
        assert np.abs(samples).max() <= 1
        assert (samples.std() > 1e-3) == (name != "silence")
    # Music has tones: a few frequencies hold most of its energy, in noise they do not.
    shares = {}
    for name in ("music", "white noise"):
        power = np.sort(np.abs(np.fft.rfft(sounds[name])) ** 2)[::-1]
        shares[name] = power[: len(power) // 50].sum() / power.sum()
    assert shares["music"] > 0.8 > 0.2 > shares["white noise"]


def test_the_report_compares_truth_and_generated_lips(demo):
    recording = bench.said(bench.speak(bench.SENTENCES[0]), demo)
    wide = bench.wide_opening(recording.lips.gap)
    report = bench.compare("espeak-ng", demo, [recording], wide)
    assert report.truth["closed"].sounds == report.generated["closed"].sounds == 10
    assert report.truth["closed"].value == 1.0
    assert report.correlations["gap"] > 0.7
    (head, truth, generated) = bench.table([report]).splitlines()
    assert "closed" in head
    assert truth.startswith("espeak-ng, truth")
    assert "of 10/" in generated


def test_lips_are_held_where_the_sound_is_a_frame_shorter(demo):
    samples = np.zeros(RATE, np.float32)
    lips = bench.generated_lips(demo, samples, RATE, bench.FPS, count=27)
    assert len(lips) == 27
    assert lips.gap[26] == lips.gap[24]


def test_flite_says_when_each_phone_ends():
    phones = flite_phones("pau:0.224 m:0.252 ey:0.410 ax:0.5 \n")
    assert phones[0] == ("SIL", 0.0, 0.224)
    assert phones[1:] == [("M", 0.224, 0.252), ("EY", 0.252, 0.41), ("AH", 0.41, 0.5)]
