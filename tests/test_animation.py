"""The animator: what a made-up head does to speech and to silence."""

import numpy as np
import pytest

from data_specs.synthetic_talking_head.animation import (
    POSE_LIMITS,
    animate,
    demo_attributes,
    join_utterances,
    silence,
)
from data_specs.synthetic_talking_head.espeak import Phoneme, Utterance
from data_specs.synthetic_talking_head.prosody import accents, band_log_energy, phrases
from data_specs.synthetic_talking_head.style import DEMO_STYLE, random_style
from data_specs.synthetic_talking_head.visemes import JAW_OPEN, MOUTH_CLOSE, mouth_opening

RATE = 16000


def say(*names_and_lengths, stress=0):
    """A hand-made utterance: a tone at 700 Hz in vowels, quiet in everything else."""
    phonemes, start = [], 0.0
    for name, length in names_and_lengths:
        level = stress if name[0] in "aeiouAEIOU03@V" else 0
        phonemes.append(Phoneme(name, start, start + length, level))
        start += length
    t = np.arange(round(start * RATE)) / RATE
    loud = np.zeros(len(t), np.float32)
    for p in phonemes:
        if not p.is_pause:
            value = 0.3 if p.name[0] in "aeiouAEIOU03@V" else 0.01
            loud[(t >= p.start_s) & (t < p.end_s)] = value
    return Utterance((loud * np.sin(2 * np.pi * 700 * t)).astype(np.float32), RATE, tuple(phonemes))


@pytest.fixture(scope="module")
def talk():
    return demo_attributes(3, 30.0)


def opening_at(attributes, time_s, fps=25.0):
    return mouth_opening(attributes.expression)[int(time_s * fps)]


def test_frame_count_is_duration_times_rate():
    for fps in (24000 / 1001, 25.0, 30.0):
        assert len(animate(silence(2.0), fps=fps)) == round(2.0 * fps)


def test_shorter_than_a_frame_has_no_frames_and_no_error():
    assert len(animate(silence(0.01))) == 0


def test_same_seed_same_motion():
    utterance = say(("_", 0.3), ("a", 0.3), ("_", 0.3))
    first, second = animate(utterance, seed=4), animate(utterance, seed=4)
    np.testing.assert_array_equal(first.pose, second.pose)
    assert np.abs(animate(utterance, seed=5).pose - first.pose).max() > 1e-3


@pytest.mark.parametrize("name", ["p", "b", "m"])
def test_lips_meet_between_vowels(name):
    attributes = animate(say(("_", 0.3), ("a", 0.2), (name, 0.06), ("a", 0.2), ("_", 0.3)))
    assert opening_at(attributes, 0.4) > 0.3
    assert mouth_opening(attributes.expression)[11:15].min() < 0.01
    closed = attributes.expression[11:15].copy()
    assert np.abs(closed[:, JAW_OPEN] - closed[:, MOUTH_CLOSE]).min() < 0.01


def test_open_vowels_open_wider_than_close_ones():
    openings = [
        opening_at(animate(say(("_", 0.3), (name, 0.3), ("_", 0.3))), 0.45)
        for name in ("A:", "E", "i:", "u:")
    ]
    assert openings == sorted(openings, reverse=True)
    assert openings[0] > 2 * openings[2]


def test_louder_vowels_open_wider():
    utterance = say(("_", 0.3), ("a", 0.3), ("_", 0.3), ("a", 0.3), ("_", 0.3))
    samples = utterance.samples.copy()
    samples[len(samples) // 2 :] *= 0.1
    attributes = animate(Utterance(samples, RATE, utterance.phonemes))
    assert opening_at(attributes, 0.45) > 1.2 * opening_at(attributes, 1.05)


def test_rounding_comes_before_its_vowel():
    attributes = animate(say(("_", 0.3), ("s", 0.15), ("u:", 0.25), ("_", 0.3)))
    rounded = attributes.expression[:, 1]
    assert rounded[int(0.42 * 25)] > 0.15 * rounded.max()


def test_mouth_is_shut_in_pauses_and_silence(talk):
    attributes, utterance = talk
    assert mouth_opening(animate(silence(5.0)).expression).max() == 0.0
    times = (np.arange(len(attributes)) + 0.5) / 25
    opening = mouth_opening(attributes.expression)
    deep = np.zeros(len(times), bool)
    for p in utterance.phonemes:
        if p.is_pause:
            deep |= (times > p.start_s + 0.2) & (times < p.end_s - 0.2)
    assert deep.sum() > 20
    assert opening[deep].max() < 0.05


def test_mouth_opens_with_the_voice(talk):
    attributes, utterance = talk
    times = (np.arange(len(attributes)) + 0.5) / 25
    energy = band_log_energy(utterance.samples, utterance.sample_rate, times)
    window = np.ones(25) / 25
    mouth = mouth_opening(attributes.expression)
    energy, mouth = (x - np.convolve(x, window, "same") for x in (energy, mouth))
    assert np.corrcoef(energy[25:-25], mouth[25:-25])[0, 1] > 0.45


def test_pose_stays_within_its_limits_and_moves_smoothly(talk):
    for style in (DEMO_STYLE, random_style(1), random_style(2)):
        pose = animate(talk[1], style, seed=1).pose
        resting = np.array(style.resting_pose)
        resting[:3] = np.radians(resting[:3])
        assert (np.abs(pose - resting) <= POSE_LIMITS).all()
        assert np.degrees(np.abs(np.diff(pose[:, :3], axis=0))).max() < 2.5
        assert np.degrees(np.ptp(pose[:, 1])) > 4


def test_accents_nod():
    words = [("_", 1.0), ("a", 0.2), ("_", 1.0)]
    pitch = [animate(say(*words, stress=s), seed=0, phase=0.0).pose[:, 0] for s in (0, 2)]
    nod = np.degrees(pitch[1] - pitch[0])
    assert nod.max() > 1.0
    assert abs(np.argmax(nod) / 25 - 1.08) < 0.15


def test_blinks_have_a_natural_rate_and_shape(talk):
    blink = talk[0].blink
    assert blink.min() == 0.0
    assert 4.7 < blink.max() <= 5.0
    closed = blink > 2.5
    assert 0.2 <= (closed[1:] & ~closed[:-1]).sum() / 30.0 <= 0.5
    lengths = np.diff(np.flatnonzero(np.diff(np.concatenate([[0], blink > 0.05, [0]]))))[::2]
    assert 7 <= np.median(lengths) <= 11


def test_long_phrases_end_with_a_blink():
    vowels = [("a", 0.15), ("n", 0.1)] * 8
    attributes = animate(say(("_", 2.0), *vowels, ("_", 2.0)), phase=0.0)
    assert attributes.blink[round(4.0 * 25) : round(4.4 * 25)].max() > 4


def test_silence_lives_on_a_cycle_that_one_pose_tells():
    attributes = animate(silence(40.0), seed=0)
    period = round(DEMO_STYLE.sway_period_s * 25)
    x, z = attributes.pose[:, 3], attributes.pose[:, 5]
    np.testing.assert_allclose(x[period:], x[:-period], atol=1e-4)
    phase = np.unwrap(np.arctan2(z, x))
    np.testing.assert_allclose(np.diff(phase), 2 * np.pi / period, rtol=0.05)
    closed = attributes.blink > 2.5
    assert (closed[1:] & ~closed[:-1]).sum() >= 10
    np.testing.assert_allclose(attributes.blink[period:], attributes.blink[:-period], atol=2.0)


def test_phrases_and_accents_of_a_known_utterance():
    utterance = say(("_", 0.5), ("a", 0.2), ("n", 0.1), ("_", 0.5), ("i:", 0.2), stress=2)
    found = phrases(utterance.phonemes)
    assert [(round(p.start_s, 2), round(p.end_s, 2)) for p in found] == [(0.5, 0.8), (1.3, 1.5)]
    assert [round(a.time_s, 2) for a in accents(utterance)] == [0.58, 1.38]


def test_joined_utterances_keep_sound_and_phonemes_together():
    both = join_utterances([silence(0.5, RATE), say(("a", 0.2))])
    assert both.duration_s == pytest.approx(0.7)
    assert both.phonemes[-1].start_s == pytest.approx(0.5)
    with pytest.raises(ValueError, match="one sample rate"):
        join_utterances([silence(0.5, RATE), silence(0.5, 8000)])
