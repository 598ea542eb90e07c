import os
from fractions import Fraction

import av
import numpy as np
import pytest

from facial_jax.audio.waveform import AudioSource
from facial_jax.video import check_output, write_video

SIZE = (64, 64)


def tone(seconds: float, rate: int, channels: int = 1) -> AudioSource:
    time = np.arange(round(seconds * rate)) / rate
    samples = 0.3 * np.sin(2 * np.pi * 440 * time).astype(np.float32)
    return AudioSource((np.stack([samples] * channels, axis=-1), rate))


def grey_chunks(count: int, chunk: int = 7):
    levels = np.linspace(0, 255, count).astype(np.uint8)
    for start in range(0, count, chunk):
        part = levels[start : start + chunk]
        yield np.broadcast_to(part[:, None, None, None], (len(part), *SIZE, 3)).copy()


def read(path):
    """Frames, their times in seconds, and the seconds of sound."""
    with av.open(str(path)) as container:
        frames, times = [], []
        for frame in container.decode(video=0):
            frames.append(frame.to_ndarray(format="rgb24"))
            times.append(float(frame.time))
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        seconds = float(stream.duration * stream.time_base)
    return np.stack(frames), np.array(times), seconds


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001), Fraction(24000, 1001)])
@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (22000, 1), (48000, 2)])
def test_frames_and_sound_come_back_at_their_times(tmp_path, fps, rate, channels):
    count = 50
    seconds = float(count / fps)
    path = tmp_path / "talk.mp4"
    write_video(path, grey_chunks(count), size=SIZE, fps=fps, audio=tone(seconds, rate, channels))

    frames, times, sound_s = read(path)
    assert len(frames) == count
    np.testing.assert_allclose(times, np.arange(count) / float(fps), atol=1e-3)
    np.testing.assert_allclose(frames.mean((1, 2, 3)), np.linspace(0, 255, count), atol=6)
    assert abs(sound_s - seconds) <= 1 / fps
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.audio[0].codec_context.name == "aac"
        assert container.streams.audio[0].codec_context.channels == channels


def test_sound_is_the_speech(tmp_path):
    path = tmp_path / "talk.mp4"
    write_video(path, grey_chunks(25), size=SIZE, fps=Fraction(25), audio=tone(1.0, 16000))
    samples = np.concatenate(list(AudioSource(path).blocks(16000)))[:16000, 0]
    expected = 0.3 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    inner = slice(1000, 15000)
    assert np.corrcoef(samples[inner], expected[inner])[0, 1] > 0.98


def test_videos_say_that_they_are_synthetic(tmp_path):
    path = tmp_path / "talk.mp4"
    write_video(path, grey_chunks(5), size=SIZE, fps=Fraction(25), audio=tone(0.2, 16000))
    with av.open(str(path)) as container:
        assert container.metadata["comment"].startswith("synthetic")
        assert "facial_jax" in container.metadata["comment"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_stops_in_the_middle_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "talk.mp4"
    path.write_bytes(b"the old video")

    def interrupted():
        for i, chunk in enumerate(grey_chunks(100)):
            if i == 5:
                raise error
            yield chunk

    with pytest.raises(error):
        write_video(path, interrupted(), size=SIZE, fps=Fraction(25), audio=tone(4, 16000))
    assert path.read_bytes() == b"the old video"
    assert os.listdir(tmp_path) == ["talk.mp4"]


def test_an_error_of_the_encoder_reaches_the_caller(tmp_path):
    def wrong():
        while True:
            yield np.zeros((4, *SIZE, 5), np.uint8)

    with pytest.raises(ValueError, match="array"):
        write_video(
            tmp_path / "talk.mp4", wrong(), size=SIZE, fps=Fraction(25), audio=tone(1, 16000)
        )
    assert os.listdir(tmp_path) == []


def test_output_is_checked_before_any_work(tmp_path):
    assert check_output(tmp_path / "talk.MP4") == tmp_path / "talk.MP4"
    with pytest.raises(ValueError, match=r"\.mp4"):
        check_output(tmp_path / "talk.avi")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        check_output(tmp_path / "nowhere" / "talk.mp4")
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(ValueError, match="folder"):
        check_output(tmp_path / "folder.mp4")


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder nobody can write in")
def test_a_folder_that_cannot_be_written_is_named():
    with pytest.raises(PermissionError, match="/proc/self"):
        check_output("/proc/self/talk.mp4")
