import warnings
from fractions import Fraction

import av
import numpy as np
import pytest

from facial_jax.audio.waveform import AudioSource

RATE = 22050


def tone(seconds=0.5, rate=RATE, hz=440.0):
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(
        np.float32
    )


def write_sound(path, samples, rate=RATE, codec="pcm_s16le", container_format=None):
    """Samples (n,) or (n, channels) in [-1, 1]."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    layout = "mono" if channels == 1 else "stereo"
    with av.open(str(path), "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        resampler = av.AudioResampler(
            format=stream.format.name, layout=layout, rate=rate, frame_size=stream.frame_size or 0
        )
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples.reshape(len(samples), channels).T.astype(np.float32)),
            format="fltp",
            layout=layout,
        )
        frame.sample_rate = rate
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            for packet in stream.encode(part):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


def read(source, **options):
    return np.concatenate(list(source.blocks(**options)))


@pytest.mark.parametrize(
    ("name", "codec", "tolerance"),
    [
        ("a.wav", "pcm_s16le", 1e-4),
        ("a.wav", "pcm_u8", 0.02),
        ("a.wav", "pcm_f32le", 1e-6),
        ("a.flac", "flac", 1e-4),
    ],
)
def test_lossless_files_give_back_their_samples(tmp_path, name, codec, tolerance):
    source = AudioSource(write_sound(tmp_path / name, tone(), codec=codec))
    np.testing.assert_allclose(read(source, rate=None)[:, 0], tone(), atol=tolerance)
    assert source.duration == Fraction(len(tone()), RATE)


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [("a.mp3", "libmp3lame", 22050), ("a.ogg", "libopus", 48000), ("a.m4a", "aac", 44100)],
)
def test_lossy_files_keep_pitch_level_and_duration(tmp_path, name, codec, rate):
    source = AudioSource(write_sound(tmp_path / name, tone(1.0, rate), rate, codec=codec))
    samples = read(source, rate=16000)[:, 0]
    assert abs(float(source.duration) - 1.0) < 0.06
    middle = samples[4000:12000]
    peak = np.argmax(np.abs(np.fft.rfft(middle))) * 16000 / len(middle)
    assert abs(peak - 440.0) < 3.0
    assert abs(np.std(middle) - 0.5 / np.sqrt(2)) < 0.02


def test_sound_of_a_video_is_read(tmp_path):
    path = tmp_path / "video.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width = video.height = 64
        sound = container.add_stream("aac", rate=16000, layout="mono")
        for _ in range(5):
            picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(video.encode(picture))
        frame = av.AudioFrame.from_ndarray(tone(0.2, 16000)[None], format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(sound.encode(frame))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    assert abs(float(AudioSource(path).duration) - 0.2) < 0.13


def test_stereo_is_mixed_down_by_its_mean(tmp_path):
    stereo = np.stack([tone(), np.zeros_like(tone())], axis=1)
    source = AudioSource(write_sound(tmp_path / "a.wav", stereo))
    assert source.channels == 2
    np.testing.assert_allclose(read(source, rate=None)[:, 0], tone() / 2, atol=1e-4)
    np.testing.assert_allclose(read(source, rate=None, mono=False), stereo, atol=1e-4)


@pytest.mark.parametrize("mono", [True, False])
def test_resampling_keeps_the_sound_and_its_length(mono):
    stereo = np.stack([tone(1.0), tone(1.0)], axis=1)
    samples = read(AudioSource((stereo, RATE)), rate=16000, mono=mono)
    assert abs(len(samples) - 16000) <= 2
    expected = tone(1.0, 16000)
    np.testing.assert_allclose(samples[500:15500, 0], expected[500:15500], atol=2e-3)


def test_a_source_can_be_read_again_and_gives_the_same():
    source = AudioSource((tone(3.0), RATE))
    np.testing.assert_array_equal(read(source), read(source))
    assert max(len(block) for block in source.blocks(None)) <= 1 << 15


@pytest.mark.parametrize(
    ("dtype", "scale", "offset"),
    [(np.int16, 2**15, 0), (np.int32, 2**31, 0), (np.uint8, 2**7, 2**7), (np.float64, 1, 0)],
)
def test_arrays_are_scaled_by_their_range(dtype, scale, offset):
    samples = (tone() * 0.9 * scale + offset).astype(dtype)
    np.testing.assert_allclose(
        read(AudioSource((samples, RATE)), rate=None)[:, 0], tone() * 0.9, atol=0.01
    )


def test_quiet_and_loud_samples_are_taken_with_a_warning_where_the_unit_is_doubtful():
    with pytest.warns(UserWarning, match="fit 24 bits"):
        AudioSource((np.array([2**20, -1], np.int32), 16000))
    with pytest.warns(UserWarning, match="overdriven"):
        AudioSource((np.array([3.0, -1.0]), 16000))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        AudioSource((np.zeros(4, np.int32), 16000))
        AudioSource((np.array([1.4, -1.0]), np.float32(16000)))
        AudioSource((np.array([2**30, 5], np.int32), np.int64(16000)))


def test_a_file_in_another_unit_is_refused(tmp_path):
    path = write_sound(tmp_path / "a.wav", tone() * 32768, codec="pcm_f32le")
    with pytest.raises(ValueError, match=r"a\.wav has float samples up to 163"):
        read(AudioSource(path))


def test_channels_may_come_first_or_last():
    stereo = np.stack([tone(), -tone()], axis=1)
    last, first = AudioSource((stereo, RATE)), AudioSource((stereo.T, RATE))
    np.testing.assert_array_equal(read(last, mono=False), read(first, mono=False))


def test_one_sample_is_enough():
    source = AudioSource((np.ones(1, np.float32), 16000))
    assert len(read(source)) == 1
    assert source.duration == Fraction(1, 16000)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.wav"):
        AudioSource(tmp_path / "nothing.wav")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is a folder"):
        AudioSource(tmp_path)


def test_a_text_file_is_refused(tmp_path):
    (tmp_path / "a.wav").write_text("not a sound at all")
    with pytest.raises(ValueError, match="cannot be read as sound"):
        AudioSource(tmp_path / "a.wav")


def test_a_silent_video_file_is_refused(tmp_path):
    path = tmp_path / "mute.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width = video.height = 64
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        container.mux(video.encode(picture))
        container.mux(video.encode(None))
    with pytest.raises(ValueError, match="no audio stream"):
        AudioSource(path)


def test_a_file_without_samples_is_refused(tmp_path):
    path = write_sound(tmp_path / "a.wav", tone())
    (tmp_path / "b.wav").write_bytes(path.read_bytes()[:78])
    with pytest.raises(ValueError, match=r"b\.wav"):
        AudioSource(tmp_path / "b.wav").duration  # noqa: B018


def test_nan_in_a_file_is_found_with_its_time(tmp_path):
    samples = tone()
    samples[RATE // 4] = np.nan
    source = AudioSource(write_sound(tmp_path / "a.wav", samples, codec="pcm_f32le"))
    with pytest.raises(ValueError, match=r"NaN or infinite samples at 0\.25"):
        read(source)


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        ((np.zeros(0, np.float32), 16000), "no samples"),
        ((np.array([0.0, np.nan]), 16000), "NaN"),
        ((np.array([0.0, np.inf]), 16000), "infinite"),
        ((np.zeros((2, 2, 2)), 16000), "shape"),
        ((np.zeros(4), 0), "rate"),
        ((np.zeros(4), float("nan")), "rate"),
        ((np.zeros(4), 16000.5), "whole number"),
        ((np.zeros(4), 44.1), "from 1000 to 768000 Hz"),
        ((np.zeros(4), 1e12), "from 1000 to 768000 Hz"),
        ((np.zeros(4), "16000"), "rate"),
        ((np.zeros(4), None), "rate"),
        ((np.array([3000.0, -3000.0]), 16000), "float samples up to 3000.*32768"),
        ((np.array([3000, -3000], np.int32), 16000), "fit 16 bits: it would be silence"),
        ((np.array([3000, 60000], np.uint32), 16000), "fit 16 bits: it would be silence"),
        (([3000, -3000], 16000), "int64.*fit 16 bits: it would be silence"),
        ((np.array([2**30, -1]), 16000), "int64.*fit 32 bits: it would be silence"),
        ((np.array([True, False]), 16000), "bool"),
        ((np.zeros(4, complex), 16000), "complex"),
        ((np.zeros(4),), "pair"),
    ],
)
def test_bad_arrays_are_refused(audio, message):
    with pytest.raises(ValueError, match=message):
        AudioSource(audio)
