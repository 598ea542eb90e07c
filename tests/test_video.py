import os
from fractions import Fraction

import av
import jax
import numpy as np
import pytest

from facial_jax import video
from facial_jax.audio.waveform import AudioSource
from facial_jax.video import VideoEncoder, check_output, choose_encoder, write_video

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


@pytest.mark.parametrize("size", [(64, 64), (720, 1280)])
def test_colours_are_bt709_and_the_file_says_so(tmp_path, size):
    rgb = np.array([40, 200, 40], np.uint8)
    path = tmp_path / "talk.mp4"
    chunks = iter([np.broadcast_to(rgb, (5, *size, 3)).copy()])
    write_video(path, chunks, size=size, fps=Fraction(25), audio=tone(0.2, 16000))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frame = next(container.decode(stream))
        context = stream.codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1)
        assert (frame.colorspace, frame.color_range) == (1, 1)
    y, cb, cr = (float(np.frombuffer(plane, np.uint8)[0]) for plane in frame.planes)
    y, cb, cr = (y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224
    red, blue = y + 1.5748 * cr, y + 1.8556 * cb
    green = (y - 0.2126 * red - 0.0722 * blue) / 0.7152
    np.testing.assert_allclose(255 * np.array([red, green, blue]), rgb, atol=3)


def pattern(count: int, size: tuple[int, int] = (96, 128)) -> np.ndarray:
    """Frames in colour that move."""
    y, x = np.mgrid[: size[0], : size[1]][..., None]
    waves = [np.sin((x + 3 * t) / [9, 13, 17]) + np.cos(y / 11) for t in range(count)]
    return np.uint8(127 + 55 * np.stack(waves))


@pytest.mark.parametrize(
    ("ending", "video", "sound", "atol"),
    [
        *((ending, "h264", "aac", 2.5) for ending in (".mp4", ".mov", ".mkv", ".MP4")),
        (".webm", "vp9", "opus", 2.5),
        (".gif", "gif", None, 6.0),
    ],
)
def test_the_ending_is_the_format(tmp_path, ending, video, sound, atol):
    path, frames, fps = tmp_path / f"talk{ending}", pattern(50), Fraction(25)
    write_video(path, iter([frames]), size=(96, 128), fps=fps, audio=tone(2, 16000))
    with av.open(str(path)) as container:
        (stream,) = container.streams.video
        assert stream.codec_context.name == video
        assert [s.codec_context.name for s in container.streams.audio] == [sound] * bool(sound)
        comment = {key.lower(): value for key, value in container.metadata.items()}["comment"]
        assert comment.startswith("synthetic")
        colors = {"format": "rgb24"} | ({"src_colorspace": 1} if sound else {})
        decoded = list(container.decode(stream))
        images = np.stack([frame.to_ndarray(**colors) for frame in decoded])
    np.testing.assert_allclose([float(f.time) for f in decoded], np.arange(50) / 25, atol=1e-3)
    assert np.abs(np.subtract(images, frames, dtype=np.int16)).mean() < atol
    if sound:
        assert {frame.format.name for frame in decoded} == {"yuv420p"}
        assert {(frame.rotation, frame.colorspace, frame.color_range) for frame in decoded} == {
            (0, 1, 1)
        }
        assert abs(float(AudioSource(path).duration) - 2) < 0.065  # one frame of AAC
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("ending", [".mp4", ".mov"])
def test_the_index_comes_before_the_pictures(tmp_path, ending):
    path = tmp_path / f"talk{ending}"
    write_video(path, grey_chunks(25), size=SIZE, fps=Fraction(25), audio=tone(1, 16000))
    data = path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize(
    ("fps", "ticks"), [("25", [0, 4, 8]), ("30000/1001", [0, 3, 7]), ("60", [0, 2, 5])]
)
def test_a_gif_is_shown_in_whole_hundredths_of_at_least_two(tmp_path, fps, ticks):
    path = tmp_path / "talk.gif"
    fps = Fraction(fps)
    write_video(path, grey_chunks(30), size=SIZE, fps=fps, audio=tone(1, 16000))
    with av.open(str(path)) as container:
        times = np.array([round(100 * float(f.time)) for f in container.decode(video=0)])
        assert container.duration / 1e6 == pytest.approx(30 / fps, abs=0.025)
    assert list(times[:3]) == ticks
    assert np.diff(times).min() >= 2


def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path):
    (tmp_path / "there").mkdir()
    link, target = tmp_path / "talk.mp4", tmp_path / "there" / "real.mp4"
    link.symlink_to(target)
    write_video(link, grey_chunks(5), size=SIZE, fps=Fraction(25), audio=tone(0.2, 16000))
    assert link.is_symlink()
    assert target.stat().st_size > 500


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


def test_a_video_has_the_rights_of_the_users_new_files(tmp_path):
    path = tmp_path / "talk.mp4"
    before = os.umask(0o027)
    try:
        write_video(path, grey_chunks(5), size=SIZE, fps=Fraction(25), audio=tone(0.2, 16000))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


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


def test_a_frame_is_not_cut_into_slices(tmp_path):
    path = tmp_path / "talk.mp4"
    chunks = iter([np.zeros((8, 512, 64, 3), np.uint8)])
    write_video(path, chunks, size=(512, 64), fps=Fraction(25), audio=tone(8 / 25, 16000))
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    assert len(packets) == 8
    for packet in packets:  # NAL units, each after its length in 4 bytes
        slices, start = 0, 0
        while start < len(packet):
            slices += packet[start + 4] & 31 in (1, 5)
            start += 4 + int.from_bytes(packet[start : start + 4], "big")
        assert slices == 1


@pytest.fixture
def gpu_with_few_cores(monkeypatch):
    """JAX says that it computes on a GPU, and the machine that it has two cores."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(video, "_hardware_works", {})


# Takes the place of the hardware: it works, and can be told from libx264 in the file.
STAND_IN = VideoEncoder("mpeg4", {"qmax": "4"})


@pytest.mark.parametrize(
    ("backend", "cores", "codec"), [("gpu", 2, "mpeg4"), ("gpu", 16, "h264"), ("cpu", 2, "h264")]
)
def test_hardware_encodes_for_a_gpu_with_few_cores(
    gpu_with_few_cores, monkeypatch, tmp_path, backend, cores, codec
):
    monkeypatch.setattr(video, "HARDWARE", STAND_IN)
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    path = tmp_path / "talk.mp4"
    write_video(path, grey_chunks(50), size=SIZE, fps=Fraction(25), audio=tone(2, 16000))
    frames, times, sound_s = read(path)
    np.testing.assert_allclose(times, np.arange(50) / 25, atol=1e-3)
    np.testing.assert_allclose(frames.mean((1, 2, 3)), np.linspace(0, 255, 50), atol=6)
    assert abs(sound_s - 2) <= 1 / 25
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == codec
        assert container.metadata["comment"].startswith("synthetic")


@pytest.mark.parametrize(
    "hardware",
    [
        VideoEncoder("h264_nvenc", video.HARDWARE.options | {"gpu": "99"}),  # listed, no such GPU
        VideoEncoder("no_such_encoder", {}),
        VideoEncoder("mpeg4", {"qmin": "31", "b": "1000"}),  # pictures are spoilt
    ],
)
def test_software_encodes_where_hardware_does_not_work(
    gpu_with_few_cores, monkeypatch, tmp_path, capfd, hardware
):
    monkeypatch.setattr(video, "HARDWARE", hardware)
    path = tmp_path / "talk.mp4"
    write_video(path, grey_chunks(50), size=SIZE, fps=Fraction(25), audio=tone(2, 16000))
    assert len(read(path)[0]) == 50
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
    assert capfd.readouterr() == ("", "")


def test_hardware_is_tried_once_for_each_size(gpu_with_few_cores, monkeypatch):
    tried = []
    monkeypatch.setattr(video, "_works", lambda encoder, size: tried.append(size) or size[0] > 64)
    chosen = [choose_encoder(size) for size in (SIZE, (512, 512), SIZE, (512, 512))]
    assert chosen == [video.SOFTWARE, video.HARDWARE] * 2
    assert tried == [SIZE, (512, 512)]


def test_the_software_encoder_passes_the_trial_of_the_hardware():
    for size in ((64, 64), (256, 256), (300, 400)):
        assert video._works(video.SOFTWARE, size)


class FailsInTheMiddle:
    """An encoder's stream that reports an error of FFmpeg's at its tenth frame."""

    def __init__(self, stream):
        self.__dict__.update(stream=stream, calls=0)

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def __setattr__(self, name, value):
        setattr(self.stream, name, value)

    def encode(self, frame):
        self.__dict__["calls"] += 1
        if self.calls == 10:
            raise av.error.ExternalError(-542398533, "Generic error in an external library")
        return self.stream.encode(frame)


def test_hardware_that_fails_in_mid_file_leaves_nothing_and_is_not_used_again(
    gpu_with_few_cores, monkeypatch, tmp_path
):
    monkeypatch.setattr(video, "HARDWARE", STAND_IN)
    assert choose_encoder(SIZE) is STAND_IN
    make = video._VideoTrack.__init__

    def failing(track, *arguments):
        make(track, *arguments)
        if track._encoder is STAND_IN:
            track._stream = FailsInTheMiddle(track._stream)

    monkeypatch.setattr(video._VideoTrack, "__init__", failing)
    path = tmp_path / "talk.mp4"
    path.write_bytes(b"the old video")
    options = {"size": SIZE, "fps": Fraction(25)}
    with pytest.raises(RuntimeError, match=r"encoder mpeg4 failed at frame 9 of 64×64 .*external"):
        write_video(path, grey_chunks(50), audio=tone(2, 16000), **options)
    assert path.read_bytes() == b"the old video"
    assert os.listdir(tmp_path) == ["talk.mp4"]
    write_video(path, grey_chunks(50), audio=tone(2, 16000), **options)
    assert len(read(path)[0]) == 50


def test_output_is_checked_before_any_work(tmp_path):
    assert check_output(tmp_path / "talk.MP4") == tmp_path / "talk.MP4"
    with pytest.raises(ValueError, match=r"\.mp4 \.mov \.mkv \.webm \.gif; got .*talk\.avi"):
        check_output(tmp_path / "talk.avi")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        check_output(tmp_path / "nowhere" / "talk.mp4")
    with pytest.raises(ValueError, match=r"cannot be .*too long"):
        check_output(tmp_path / ("n" * 300 + ".mp4"))
    check_output(tmp_path / ("n" * 251 + ".mp4"))
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(ValueError, match="folder"):
        check_output(tmp_path / "folder.mp4")


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder nobody can write in")
def test_a_folder_that_cannot_be_written_is_named():
    with pytest.raises(PermissionError, match="/proc/self"):
        check_output("/proc/self/talk.mp4")
