"""Sound lies where its time stamps say, with silence where there is none, or none whole."""

import warnings
from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition

from facial_jax.audio.waveform import AudioSource
from facial_jax.media.channels import mono_weights, usual_channels
from facial_jax.tracking.frames import open_frames
from tests.media.recordings import (
    RATE,
    encoded_pictures,
    encoded_sound,
    grey,
    offset_ms,
    sound_at,
    spoil,
    write,
)

COUNT = 75


def pictures(start_s=0.0, **options):
    images = [grey(20 + 2 * i) for i in range(COUNT)]
    return encoded_pictures(images, start_s + np.arange(COUNT) / 25, **options)


def read(path, *, times=2):
    """The samples, and the warnings of several readings."""
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        source = AudioSource(path)
        for _ in range(times):
            samples = np.concatenate(list(source.blocks(None)))
    assert source.sample_count == len(samples)
    return samples[:, 0], [str(warning.message) for warning in given]


def close(samples, expected):
    np.testing.assert_allclose(samples, expected, atol=1e-4)


@pytest.mark.parametrize("name", ["a.mkv", "a.mov", "a.avi"])
def test_sound_in_step_is_read_as_it_is(tmp_path, name):
    path = write(tmp_path / name, pictures=pictures(), sound=encoded_sound([(0, 3)]))
    samples, said = read(path)
    close(samples, sound_at(0, 3))
    assert not said


@pytest.mark.parametrize("name", ["a.mkv", "a.mov"])
def test_sound_that_begins_late_has_silence_before_it(tmp_path, name):
    path = write(tmp_path / name, pictures=pictures(), sound=encoded_sound([(0.6, 3)]))
    samples, said = read(path)
    assert not samples[: round(0.6 * RATE)].any()
    close(samples[round(0.6 * RATE) :], sound_at(0.6, 2.4))
    assert not said


def test_sound_before_the_first_picture_is_cut(tmp_path):
    path = write(tmp_path / "a.mkv", pictures=pictures(0.8), sound=encoded_sound([(0, 3)]))
    close(read(path)[0], sound_at(0.8, 2.2))


def test_sound_begins_with_the_first_picture_that_can_be_decoded(tmp_path):
    damaged = spoil(pictures(), 0, 1, 2, 3, 4)
    path = write(tmp_path / "a.mkv", pictures=damaged, sound=encoded_sound([(0, 3)]))
    close(read(path)[0], sound_at(0.2, 2.8))


def test_holes_become_silence(tmp_path):
    sound = encoded_sound([(0, 0.96), (1.6, 2.24), (2.56, 3.2)])
    path = write(tmp_path / "a.mkv", pictures=pictures(), sound=sound)
    expected = sound_at(0, 3.2).copy()
    expected[round(0.96 * RATE) : round(1.6 * RATE)] = 0
    expected[round(2.24 * RATE) : round(2.56 * RATE)] = 0
    close(read(path)[0], expected)


def test_stamps_that_tremble_leave_the_sound_whole(tmp_path):
    sound = encoded_sound([(0, 3)])
    for index, packet in enumerate(sound):
        packet.pts += round(0.012 * RATE * np.sin(index))
        packet.dts = packet.pts
    sound[0].pts = sound[0].dts = 0
    close(read(write(tmp_path / "a.mkv", sound=sound))[0], sound_at(0, 3))


def test_a_sound_card_that_drifts_stays_in_step(tmp_path):
    # Its samples last 2 % longer than it says: silence is put in, 20 ms at a time.
    sound = encoded_sound([(0, 3)], frame_size=320)
    for packet in sound:
        packet.pts = packet.dts = round(packet.pts * 1.02)
    samples, _ = read(write(tmp_path / "a.mkv", pictures=pictures(), sound=sound))
    assert abs(len(samples) / RATE - 3.06) < 0.03
    late = offset_ms(samples[-RATE // 2 :], sound_at(2.7, 0.25))
    assert abs(late - (2.7 * 1.02 * 1000 - (len(samples) / RATE - 0.5) * 1000)) < 25


def test_overlapping_pieces_are_heard_once(tmp_path):
    sound = encoded_sound([(0, 1.28), (1.024, 2.048)])
    samples, _ = read(write(tmp_path / "a.mkv", pictures=pictures(), sound=sound))
    close(samples, sound_at(0, 2.048))


def test_a_file_of_sound_alone_begins_with_its_sound(tmp_path):
    close(read(write(tmp_path / "a.mkv", sound=encoded_sound([(0.6, 3)])))[0], sound_at(0.6, 2.4))


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "aac"), ("a.mkv", "libopus"), ("a.mp3", "libmp3lame")]
)
def test_what_encoders_put_before_the_sound_is_not_heard(tmp_path, name, codec):
    rate = 48000 if codec == "libopus" else RATE
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        samples = np.repeat(sound_at(0, 2), rate // RATE)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        resampler = av.AudioResampler(
            format=stream.format.name, layout="mono", rate=rate, frame_size=stream.frame_size
        )
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    heard = np.concatenate(list(AudioSource(tmp_path / name).blocks(RATE)))[:, 0]
    assert abs(offset_ms(heard, sound_at(0, 1.5))) < 1
    assert abs(len(heard) / RATE - 2) < 0.06


def test_recordings_one_behind_the_other_play_on(tmp_path):
    options = {"video_codec": "mpeg2video", "sound_codec": "mp2"}

    def part(name, start_s):
        sound = encoded_sound([(start_s, 3)], codec="mp2")
        shown = pictures(codec="mpeg2video", tick=Fraction(1, 25))
        return write(tmp_path / name, pictures=shown, sound=sound, **options).read_bytes()

    (tmp_path / "both.ts").write_bytes(part("a.ts", 0) + part("b.ts", 0.4))
    samples, _ = read(tmp_path / "both.ts")
    assert abs(offset_ms(samples[: 3 * RATE], sound_at(0, 2.5))) < 1
    assert abs(offset_ms(samples[3 * RATE :], sound_at(0.4, 2.4)) - 400) < 1


@pytest.mark.parametrize(("name", "shown"), [("a.mkv", True), ("a.flac", False)])
def test_damaged_sound_is_silence_and_said_once(tmp_path, name, shown):
    sound = spoil(encoded_sound([(0, 3)], codec="flac"), 10)
    path = write(
        tmp_path / name, pictures=pictures() if shown else None, sound=sound, sound_codec="flac"
    )
    samples, said = read(path)
    expected = sound_at(0, 3).copy()
    zeros = [i for i in range(len(samples) - 99) if not samples[i : i + 99].any()]
    lost = slice(zeros[0], zeros[-1] + 99)
    assert 0.05 * RATE < lost.stop - lost.start < 0.11 * RATE
    expected[lost] = 0
    close(samples, expected)
    assert len(said) == 1
    second = f"{lost.start / RATE:.1f}"
    assert f"at {second}" in said[0]
    assert "silence" in said[0]
    assert str(path) in said[0]


def test_damage_at_both_ends_keeps_the_length(tmp_path):
    sound = encoded_sound([(0, 3)], codec="flac")
    sound = spoil(sound, 0, 1, len(sound) - 1)
    path = write(tmp_path / "a.mkv", sound=sound, sound_codec="flac", pictures=pictures())
    samples, said = read(path)
    assert abs(len(samples) / RATE - 3) < 0.05
    assert not samples[: RATE // 8].any()
    assert "3 of" in said[0]


def test_sound_of_which_most_is_lost_is_refused(tmp_path):
    sound = encoded_sound([(0, 3)], codec="flac")
    sound = spoil(sound, *range(2, 2 + len(sound) // 2 + 1))
    path = write(tmp_path / "a.mkv", sound=sound, sound_codec="flac", pictures=pictures())
    with pytest.raises(
        ValueError, match=r"a\.mkv.* of the sound cannot be decoded, more than half"
    ):
        AudioSource(path).duration  # noqa: B018


def test_sound_without_one_whole_packet_is_refused_at_once(tmp_path):
    sound = encoded_sound([(0, 1)], codec="flac")
    path = write(tmp_path / "a.mkv", sound=spoil(sound, *range(len(sound))), sound_codec="flac")
    with pytest.raises(ValueError, match=r"not one sample in it; .* cannot be decoded"):
        AudioSource(path)


def mp3(path, layout="mono", rate=RATE):
    def samples(start_s, seconds):
        wave = 0.4 * np.sin(2 * np.pi * 300 * np.arange(round(seconds * rate)) / rate)
        sound = sound_at(start_s, seconds) if rate == RATE else wave.astype(np.float32)
        return sound if layout == "mono" else np.stack([sound, sound], axis=1)

    sound = encoded_sound([(0, 2)], codec="libmp3lame", layout=layout, rate=rate, samples=samples)
    options = {"sound_codec": "libmp3lame", "layout": layout, "rate": rate}
    return write(path, sound=sound, **options).read_bytes()


def test_an_mp3_with_junk_in_the_middle_is_heard_to_its_end(tmp_path):
    whole = mp3(tmp_path / "whole.mp3")
    (tmp_path / "a.mp3").write_bytes(whole[:4000] + bytes(range(256)) * 8 + whole[4000:])
    samples, said = read(tmp_path / "a.mp3")
    assert abs(len(samples) / RATE - 2) < 0.2
    assert abs(offset_ms(samples, sound_at(0, 1))) < 1
    assert len(said) == 1


def test_mp3s_of_two_kinds_one_behind_the_other_are_both_heard(tmp_path):
    both = mp3(tmp_path / "1.mp3") + mp3(tmp_path / "2.mp3", layout="stereo", rate=44100)
    (tmp_path / "a.mp3").write_bytes(both)
    samples, said = read(tmp_path / "a.mp3")
    assert abs(len(samples) / RATE - 4) < 0.2
    part = samples[round(2.5 * RATE) : round(3.5 * RATE)]
    assert abs(np.abs(np.fft.rfft(part)).argmax() * RATE / len(part) - 300) < 2
    assert abs(part.std() - 0.4 / np.sqrt(2)) < 0.05
    assert len(said) <= 1


def test_a_file_that_was_cut_off_says_so(tmp_path):
    sound = encoded_sound([(0, 3)], codec="flac")
    whole = write(tmp_path / "a.flac", sound=sound, sound_codec="flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(whole[: len(whole) * 2 // 3])
    samples, said = read(tmp_path / "cut.flac")
    close(samples[:RATE], sound_at(0, 1))
    assert 1.8 < len(samples) / RATE < 2.2
    assert len(said) == 1
    assert "cut off after" in said[0]


def test_layouts_are_mixed_down_as_players_do():
    half, middle = 0.5, 0.5**1.5
    weights = dict(zip(usual_channels(8), mono_weights(usual_channels(8)), strict=True))
    assert weights["FL"] == weights["FR"] == half
    for name in ("FC",):
        np.testing.assert_allclose(weights[name], 2 * middle, rtol=1e-6)
    for name in ("BL", "BR", "SL", "SR"):
        np.testing.assert_allclose(weights[name], middle, rtol=1e-6)
    assert weights["LFE"] == 0
    np.testing.assert_array_equal(mono_weights(("FL", "FR")), [0.5, 0.5])
    np.testing.assert_array_equal(mono_weights(("FC",)), [1.0])
    np.testing.assert_allclose(mono_weights(("", "", "")), [1 / 3] * 3, rtol=1e-6)


def write_aac(path, samples, layout):
    """Samples (n, channels) of any number of channels."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=RATE, layout=layout)
        stream.bit_rate = 600_000
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate, frame.pts = RATE, 0
        resampler = av.AudioResampler(format="fltp", layout=layout, rate=RATE, frame_size=1024)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "layout", "channels", "voice"),
    [
        ("a.flac", "5.1", 6, 2),
        ("a.flac", "5.1", 6, 0),
        ("array", "5.1", 6, 2),
        ("array", "7.1", 8, 2),
        ("array", "stereo", 2, 1),
        ("a.mp4", "7.1", 8, 2),
    ],
)
def test_a_voice_in_one_of_many_channels_is_not_lost(tmp_path, name, layout, channels, voice):

    def samples(start_s, seconds):
        sound = sound_at(start_s, seconds)
        return np.stack([sound if c == voice else 0 * sound for c in range(channels)], axis=1)

    if name == "array":
        source = AudioSource((samples(0, 1), RATE))
    elif name == "a.mp4":
        source = AudioSource(write_aac(tmp_path / name, samples(0, 1), layout))
    else:
        sound = encoded_sound([(0, 1)], codec="flac", layout=layout, samples=samples)
        source = AudioSource(write(tmp_path / name, sound=sound, sound_codec="flac", layout=layout))
    mono = np.concatenate(list(source.blocks(None)))[:, 0]
    expected = sound_at(0, 1) * (0.5**0.5 if voice == 2 else 0.5)
    if name == "a.mp4":  # which loses what is high
        assert abs(20 * np.log10(mono.std() / expected.std())) < 3
        assert abs(offset_ms(mono, expected)) < 1
    else:
        np.testing.assert_allclose(mono, expected, atol=1e-3)
    assert np.concatenate(list(source.blocks(8000, mono=False))).shape[1] == channels


@pytest.mark.parametrize(("name", "codec"), [("a.flac", "flac"), ("a.mp3", "libmp3lame")])
def test_a_cover_is_no_picture(tmp_path, name, codec):
    def as_cover(stream):
        stream.disposition = Disposition.attached_pic

    path = write(
        tmp_path / name,
        pictures=encoded_pictures([grey(100)], [0.0]),
        sound=encoded_sound([(0, 1)], codec=codec),
        sound_codec=codec,
        prepare=as_cover,
    )
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 1
    assert abs(offset_ms(read(path)[0], sound_at(0, 0.9))) < 1
    with pytest.raises(ValueError, match="has no pictures"):
        open_frames(path)
