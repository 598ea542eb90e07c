"""The animator: what a made-up head does to speech and to silence."""

import numpy as np
import pytest

from data_specs.synthetic_talking_head.animation import (
    POSE_LIMITS,
    animate,
    cut_utterance,
    demo_attributes,
    join_utterances,
    silence,
)
from data_specs.synthetic_talking_head.blinks import MIN_GAP_S, OVERDUE, blink_times
from data_specs.synthetic_talking_head.head_motion import resting_pose
from data_specs.synthetic_talking_head.prosody import accents, band_log_energy, phrases
from data_specs.synthetic_talking_head.style import DEMO_STYLE, Style, random_style
from data_specs.synthetic_talking_head.visemes import JAW_OPEN, MOUTH_CLOSE, mouth_opening
from facial_jax.speech.espeak import Phoneme, Utterance

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


def sd_deg(attributes):
    return np.degrees(attributes.pose[:, :3].std(axis=0))


def blink_count(attributes):
    closed = attributes.blink > 2.0
    return int((closed[1:] & ~closed[:-1]).sum())


@pytest.fixture(scope="module")
def people(talk):
    """Twelve speakers say the same, twice each."""
    styles = [random_style(seed) for seed in range(12)]
    return [[animate(talk[1], style, seed=seed) for seed in (0, 1)] for style in styles]


def test_pose_stays_within_its_limits_and_moves_smoothly(talk):
    for style in (DEMO_STYLE, random_style(1), random_style(2)):
        pose = animate(talk[1], style, seed=1).pose
        assert (np.abs(pose - resting_pose(style)) <= POSE_LIMITS).all()
        assert np.degrees(np.abs(np.diff(pose[:, :3], axis=0))).max() < 4.0
        assert np.degrees(np.ptp(pose[:, 1])) > 4


def test_heads_move_as_far_as_real_ones(people):
    deviations = np.array([sd_deg(first) for first, _ in people])
    for angles, low, high in zip(deviations.T, (1.0, 2.0, 0.7), (4.5, 8.0, 3.5), strict=True):
        assert low < angles.min()
        assert angles.max() < high
    pitch, yaw, roll = np.median(deviations, axis=0)
    assert 2 <= pitch <= 4
    assert 3 <= yaw <= 6
    assert 1 <= roll <= 3


def test_motion_is_mostly_an_answer_to_speech_and_partly_chance(people):
    same = []
    for first, second in people:
        angles = zip(first.pose[:, :3].T, second.pose[:, :3].T, strict=True)
        same.append([np.corrcoef(a, b)[0, 1] for a, b in angles])
    assert np.median(same) > 0.75
    assert np.max(same) < 0.995


def test_speakers_differ_more_from_each_other_than_from_themselves(people):
    measures = np.array(
        [[[*sd_deg(one), blink_count(one)] for one in speaker] for speaker in people]
    )
    between = measures.mean(axis=1).std(axis=0)
    within = (measures[:, 0] - measures[:, 1]).std(axis=0) / np.sqrt(2)
    assert (between > 2 * within).all()


def test_accents_nod():
    words = [("_", 1.0), ("a", 0.2), ("_", 1.0)]
    pitch = [animate(say(*words, stress=s), seed=0).pose[:, 0] for s in (0, 2)]
    nod = np.degrees(pitch[1] - pitch[0])
    assert nod.max() > 1.0
    assert abs(np.argmax(nod) / 25 - 1.12) < 0.1


def test_a_phrase_begins_higher_than_it_ends():
    vowels = [("a", 0.15), ("n", 0.1)] * 8
    utterance = say(("_", 1.0), *vowels, ("_", 1.0))
    pitch = np.mean([animate(utterance, seed=s).pose[:, 0] for s in range(8)], axis=0)
    assert np.degrees(pitch[68:75].mean() - pitch[28:35].mean()) > 2.0


def test_a_long_pause_turns_the_head_away():
    word = ("a", 0.6)
    yaw = [
        np.mean([animate(say(word, ("_", s), word), seed=k).pose[:, 1] for k in range(8)], axis=0)
        for s in (0.2, 2.0)
    ]
    away = np.sign(DEMO_STYLE.pause_deg[1]) * np.degrees(yaw[1][30:50])
    assert away.max() > 0.6 * abs(DEMO_STYLE.pause_deg[1])


def test_a_silent_head_stays_near_its_rest_and_goes_on_blinking():
    attributes = animate(silence(60.0), seed=0)
    pitch, yaw, roll = sd_deg(attributes)
    assert 0.3 < yaw < 2.5
    assert max(pitch, roll) < 1.5
    assert abs(np.degrees(attributes.pose[:, 1].mean())) < 1.5
    expected = 60.0 / (OVERDUE * DEMO_STYLE.blink_interval_s)
    assert 0.6 * expected < blink_count(attributes) < 1.6 * expected


def test_blinks_have_a_natural_rate_length_and_depth(people):
    rates = np.array([blink_count(first) / 0.5 for first, _ in people])
    assert rates.min() >= 6
    assert rates.max() <= 32
    assert 10 <= np.median(rates) <= 25
    peaks = []
    for blink in (one.blink for speaker in people for one in speaker):
        assert blink.min() == 0.0
        assert blink.max() <= 5.0
        edges = np.flatnonzero(np.diff(np.concatenate([[0], blink > 0.1, [0]])))
        lengths_s = np.diff(edges)[::2] / 25
        assert 0.15 <= np.median(lengths_s) <= 0.4
        peaks += [blink[a:b].max() for a, b in edges.reshape(-1, 2)]
    assert np.mean(np.array(peaks) > 3.5) > 0.8


def test_blinks_keep_their_distance(talk):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        times = blink_times(talk[1], random_style(seed), 0.0, 30.0, rng)
        assert np.diff(times).min() > MIN_GAP_S - 0.1


def test_long_phrases_mostly_end_with_a_blink():
    vowels = [("a", 0.15), ("n", 0.1)] * 16
    utterance = say(("_", 0.5), *vowels, ("_", 1.0))
    blinked = [
        animate(utterance, seed=s).blink[round(4.4 * 25) : round(4.9 * 25)].max() > 2.0
        for s in range(20)
    ]
    assert np.mean(blinked) > 0.6


def test_wide_talkers_open_wider_and_round_further():
    utterance = say(("_", 0.3), ("a", 0.3), ("u:", 0.3), ("_", 0.3))
    narrow, wide = (
        animate(utterance, Style(articulation=size, lips=size)).expression for size in (0.7, 1.2)
    )
    assert mouth_opening(wide).max() > 1.2 * mouth_opening(narrow).max()
    assert wide[:, 1].max() > 1.5 * narrow[:, 1].max()


def test_phrases_and_accents_of_a_known_utterance():
    utterance = say(("_", 0.5), ("a", 0.2), ("n", 0.1), ("_", 0.5), ("i:", 0.2), stress=2)
    found = phrases(utterance)
    assert [(round(p.start_s, 2), round(p.end_s, 2)) for p in found] == [(0.5, 0.8), (1.3, 1.5)]
    assert [round(p.pause_s, 2) for p in found] == [0.5, 0.0]
    assert [round(a.time_s, 2) for a in accents(utterance)] == [0.58, 1.38]


def test_joined_utterances_keep_sound_and_phonemes_together():
    both = join_utterances([silence(0.5, RATE), say(("a", 0.2))])
    assert both.duration_s == pytest.approx(0.7)
    assert both.phonemes[-1].start_s == pytest.approx(0.5)
    with pytest.raises(ValueError, match="one sample rate"):
        join_utterances([silence(0.5, RATE), silence(0.5, 8000)])


def test_a_cut_utterance_ends_in_the_middle_of_a_phoneme():
    cut = cut_utterance(say(("a", 0.2), ("n", 0.2), ("a", 0.2)), 0.3)
    assert cut.duration_s == pytest.approx(0.3)
    assert [(p.name, round(p.end_s, 2)) for p in cut.phonemes] == [("a", 0.2), ("n", 0.3)]
