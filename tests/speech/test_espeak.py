import re
import sys

import numpy as np
import pytest

from data_specs.synthetic_talking_head import text
from data_specs.synthetic_talking_head.speech_corpus import phone_class, phones_per_frame
from facial_jax.models.acoustic.corpus import PHONES
from facial_jax.speech import espeak


def energy(utterance, phoneme):
    a = round(phoneme.start_s * utterance.sample_rate)
    b = round(phoneme.end_s * utterance.sample_rate)
    return float(np.sqrt(np.mean(utterance.samples[a:b] ** 2)))


def test_phonemes_lie_back_to_back_over_the_whole_sound():
    utterance = espeak.speak("Hello world. What's your name?")
    assert utterance.sample_rate == 22050
    assert utterance.samples.dtype == np.float32
    assert 0.1 < np.abs(utterance.samples).max() <= 1.0
    starts = [phoneme.start_s for phoneme in utterance.phonemes]
    ends = [phoneme.end_s for phoneme in utterance.phonemes]
    assert starts[0] == 0.0
    np.testing.assert_allclose(starts[1:], ends[:-1], atol=1e-9)
    assert abs(ends[-1] - utterance.duration_s) < 1e-9


def test_the_phonemes_are_those_of_the_text():
    names = [p.name for p in espeak.speak("papa sees moon").phonemes if not p.is_pause]
    assert names[:2] == ["p", "A:"]
    assert names.count("p") == 2
    assert names[-3:] == ["m", "u:", "n"]


def test_vowels_are_loud_and_pauses_silent_where_they_are_said_to_be():
    utterance = espeak.speak("papa, papa, papa.")
    vowels = [energy(utterance, p) for p in utterance.phonemes if p.name == "A:"]
    pauses = [
        energy(utterance, p)
        for p in utterance.phonemes
        if p.is_pause and p.end_s - p.start_s > 0.05
    ]
    assert len(vowels) == 3
    assert pauses
    assert min(vowels) > 10 * max(pauses)


def test_stress_is_told():
    assert any(p.stress == 2 and p.name == "E" for p in espeak.speak("guess").phonemes)


@pytest.mark.parametrize("voice", espeak.ENGLISH_VOICES)
def test_every_voice_speaks(voice):
    assert espeak.speak("One two three.", voice=voice).duration_s > 0.4


def test_every_variant_speaks_and_they_differ():
    lengths = {
        variant: espeak.speak("One two.", variant=variant).samples.sum()
        for variant in espeak.VARIANTS
    }
    assert len(set(lengths.values())) > 0.9 * len(espeak.VARIANTS)


def test_a_higher_rate_is_shorter():
    slow = espeak.speak("This is a sentence.", rate_wpm=110)
    fast = espeak.speak("This is a sentence.", rate_wpm=260)
    assert fast.duration_s < 0.7 * slow.duration_s


def test_the_same_words_sound_alike():
    first, second = (espeak.speak("The same words.") for _ in range(2))
    assert [p.name for p in first.phonemes] == [p.name for p in second.phonemes]
    assert abs(first.duration_s - second.duration_s) < 0.05


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"text": "  "}, "empty"),
        ({"text": "a", "voice": "nobody"}, "no voice 'nobody'"),
        ({"text": "a", "variant": "x9"}, "variant"),
        ({"text": "a", "rate_wpm": 10}, "rate_wpm"),
        ({"text": "a", "pitch": 101}, "pitch"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        espeak.speak(**arguments)


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    monkeypatch.setattr(espeak, "_engine", espeak._Engine)
    with pytest.raises(ImportError, match=r"facial_jax\[text\]"):
        espeak.speak("Hello")


def test_nearly_every_phoneme_has_a_class():
    names = [
        p.name
        for sentence in text.make_sentences(40, seed=3)
        for p in espeak.speak(sentence).phonemes
    ]
    classes = np.array([phone_class(name) for name in names])
    assert (classes >= 0).mean() > 0.99
    assert len(set(classes)) > 30


def test_frames_carry_the_phone_at_their_centre():
    phonemes = (
        espeak.Phoneme("_", 0.0, 0.1),
        espeak.Phoneme("m", 0.1, 0.2),
        espeak.Phoneme("u:", 0.2, 0.3),
    )
    labels = phones_per_frame(phonemes, 20)
    centres = np.arange(20) * 0.02 + 0.0125
    expected = np.select([centres < 0.1, centres < 0.2, centres < 0.3], [0, 1, 2], 0)
    names = [("_", "m", "u:")[i] for i in expected]
    assert [PHONES[i] for i in labels] == names


def test_sentences_depend_on_the_seed_alone():
    assert text.make_sentences(20, seed=1) == text.make_sentences(20, seed=1)
    assert text.make_sentences(20, seed=1) != text.make_sentences(20, seed=2)


def test_sentences_use_many_words_and_every_letter():
    spelled = [text.spelling(sentence) for sentence in text.make_sentences(3000, seed=0)]
    assert len({word for sentence in spelled for word in sentence.split()}) > 3000
    assert set("".join(spelled)) == set(" abcdefghijklmnopqrstuvwxyz'")
    assert all(re.fullmatch(r"[a-z']+( [a-z']+)*", sentence) for sentence in spelled)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (7, "seven"),
        (13, "thirteen"),
        (40, "forty"),
        (99, "ninety nine"),
        (200, "two hundred"),
        (3015, "three thousand fifteen"),
    ],
)
def test_numbers_in_words(number, words):
    assert text.number_words(number) == words


@pytest.mark.parametrize(
    ("verb", "past", "participle"),
    [
        ("bake", "baked", "baking"),
        ("stop", "stopped", "stopping"),
        ("carry", "carried", "carrying"),
        ("enjoy", "enjoyed", "enjoying"),
        ("wait", "waited", "waiting"),
        ("tie", "tied", "tying"),
    ],
)
def test_regular_verb_forms(verb, past, participle):
    assert text.past(verb) == past
    assert text.participle(verb) == participle
