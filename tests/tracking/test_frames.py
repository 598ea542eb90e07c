from fractions import Fraction

import av
import numpy as np
import pytest

from facial_jax.tracking.frames import open_frames


def write(path, levels, *, times=None, fps=25, size=(48, 64), codec="libx264", rotation=0):
    """A video whose frames are plain greys; `times` in frames at `fps`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.time_base = Fraction(1, fps)
        stream.codec_context.options = {"bf": "0"} if codec == "libx264" else {}
        if rotation:
            stream.set_display_rotation(rotation)
        for index, level in enumerate(levels):
            image = np.full((*size, 3), level, np.uint8)
            image[: size[0] // 4, : size[1] // 4] = 255
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = index if times is None else times[index]
            frame.time_base = Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def levels_of(frames):
    return np.array([frame[-8:, -8:].mean() for frame in frames])


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mov", "libx264"), ("a.avi", "mpeg4"), ("a.webm", "libvpx-vp9")],
)
def test_frames_come_in_order_whatever_the_container(tmp_path, name, codec):
    levels = np.arange(20, 220, 10)
    video = open_frames(write(tmp_path / name, levels, codec=codec))
    assert (video.fps, video.size, video.has_sound) == (25, (48, 64), False)
    np.testing.assert_allclose(levels_of(video.read()), levels, atol=5)


def test_a_part_of_the_frames_is_the_same_part_of_all(tmp_path):
    video = open_frames(write(tmp_path / "a.mp4", np.arange(20, 220, 10)))
    everything = list(video.read())
    part = list(video.read(start=5, stop=9))
    np.testing.assert_array_equal(part, everything[5:9])


def test_varying_frame_times_become_a_constant_rate(tmp_path):
    # Frames at 0, 1, 4, 5 and 8 of 25 per second: each is shown until the next one comes.
    path = write(tmp_path / "a.mp4", [20, 60, 100, 140, 180], times=[0, 1, 4, 5, 8])
    shown = levels_of(open_frames(path, fps=25).read())
    np.testing.assert_allclose(shown, [20, 60, 60, 60, 100, 140, 140, 140, 180], atol=5)


@pytest.mark.parametrize(("fps", "count"), [("12.5", 10), (50, 40)])
def test_another_rate_takes_or_repeats_frames(tmp_path, fps, count):
    video = open_frames(write(tmp_path / "a.mp4", np.arange(20, 220, 10)), fps=fps)
    shown = levels_of(video.read())
    assert len(shown) == count
    assert (np.diff(shown) > -3).all()


def test_a_rotated_video_comes_upright(tmp_path):
    path = write(tmp_path / "a.mp4", [40] * 3, rotation=90)
    video = open_frames(path)
    first = next(video.read())
    assert video.size == first.shape[:2] == (64, 48)
    # The white corner, stored upper left, turns counter-clockwise by 90° with the picture.
    bright = first.mean(axis=-1) > 200
    assert bright[-16:, :12].all()
    assert bright.sum() < 1.2 * 16 * 12


def test_large_frames_are_made_smaller(tmp_path):
    path = write(tmp_path / "a.mp4", [40] * 2, size=(2160, 3840))
    assert next(open_frames(path).read(max_side=640)).shape == (360, 640, 3)


def test_a_video_that_is_cut_off_gives_its_first_part(tmp_path):
    path = tmp_path / "a.avi"
    rng = np.random.default_rng(0)
    write(path, rng.integers(20, 220, 200), codec="mpeg4")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    count = sum(1 for _ in open_frames(path).read())
    assert 20 < count < 180


def test_what_cannot_be_read_is_said_plainly(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file"):
        open_frames(tmp_path / "none.mp4")
    with pytest.raises(ValueError, match="folder"):
        open_frames(tmp_path)
    (tmp_path / "a.mp4").write_bytes(b"this is no video")
    with pytest.raises(ValueError, match="cannot be read as video"):
        open_frames(tmp_path / "a.mp4")
    whole = write(tmp_path / "b.mp4", [40] * 20).read_bytes()
    (tmp_path / "c.mp4").write_bytes(whole[: len(whole) // 2])  # its index was at the end
    with pytest.raises(ValueError, match="cut off"):
        open_frames(tmp_path / "c.mp4")


def test_a_file_with_sound_only_has_no_pictures(tmp_path):
    path = tmp_path / "a.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.int16), layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(ValueError, match="no pictures"):
        open_frames(path)
