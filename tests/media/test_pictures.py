"""Pictures are shown as players show them, and one damaged packet costs one picture."""

import warnings
from fractions import Fraction

import av
import numpy as np
import pytest

from facial_jax.tracking.frames import open_frames
from tests.media.recordings import SIZE, encoded_pictures, grey, spoil, write

COUNT = 60
LEVELS = 20 + 3 * np.arange(COUNT)


def packets(codec="mjpeg", **options):
    return encoded_pictures(
        [grey(v) for v in LEVELS], np.arange(COUNT) / 25, codec=codec, **options
    )


def read(path, **options):
    """The grey of each frame, and the warnings of two readings."""
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        video = open_frames(path, **options)
        for _ in range(2):
            shown = np.array([frame.mean() for frame in video.read()])
    return video, shown, [str(warning.message) for warning in given]


@pytest.mark.parametrize("codec", ["mjpeg", "libx264", "libvpx"])
@pytest.mark.parametrize("bad", [(30,), (20, 21, 40), (COUNT - 1,), (COUNT - 2,)])
def test_a_damaged_packet_costs_its_picture(tmp_path, codec, bad):
    damaged = spoil(packets(codec), *bad)
    lost = sorted(round(damaged[i].pts / 40) for i in bad)
    path = write(tmp_path / "a.mkv", pictures=damaged, video_codec=codec)
    video, shown, said = read(path)
    expected = LEVELS.astype(float)
    for index in lost:
        expected[index] = expected[index - 1]
    assert len(shown) == COUNT
    # What is predicted from the lost picture may be a little off.
    assert np.abs(shown - expected).max() < (4 if codec == "mjpeg" else 12)
    assert len(said) == 1
    assert f"{len(bad)} of {COUNT} packets" in said[0]
    assert f"at {lost[0] / 25:.2f}" in said[0]
    assert any("Some pictures are missing" in str(remark[2]) for remark in video.remarks())


def test_damage_before_the_first_picture_is_left_out(tmp_path):
    path = write(tmp_path / "a.mkv", pictures=spoil(packets(), 0, 1, 2))
    _, shown, said = read(path)
    np.testing.assert_allclose(shown, LEVELS[3:], atol=4)
    assert "3 of 60" in said[0]


def test_a_video_of_which_most_is_lost_is_refused(tmp_path):
    path = write(tmp_path / "a.mkv", pictures=spoil(packets(), *range(5, 36)))
    with pytest.raises(ValueError, match=r"of the pictures cannot be decoded, more than half"):
        list(open_frames(path).read())


def test_a_video_without_one_whole_picture_is_refused_at_once(tmp_path):
    path = write(tmp_path / "a.mkv", pictures=spoil(packets(), *range(COUNT)))
    with pytest.raises(ValueError, match=r"not one picture in it that can be decoded; 60 of 60"):
        open_frames(path)


def square(size, left, top, side):
    """A white square on dark grey."""
    image = grey(40, size)
    image[top : top + side, left : left + side] = 230
    return image


def corners(image):
    """(left, top, width, height) of the white square."""
    rows, columns = np.nonzero(image[..., 0] > 140)
    return (
        columns.min(),
        rows.min(),
        columns.max() - columns.min() + 1,
        rows.max() - rows.min() + 1,
    )


@pytest.mark.parametrize("second", [(24, 32), (96, 128)])
def test_pictures_of_another_size_are_brought_to_the_first(tmp_path, second):
    scale = second[0] / 48
    place = [round(v * scale) for v in (16, 8, 24)]
    images = [square((48, 64), 16, 8, 24)] * 5, [square(second, *place)] * 5
    both = [
        packet
        for part, group in enumerate(images)
        for packet in encoded_pictures(group, (5 * part + np.arange(5)) / 25)
    ]
    video = open_frames(write(tmp_path / "a.mkv", pictures=both))
    frames = list(video.read())
    assert {frame.shape for frame in frames} == {(48, 64, 3)}
    for frame in frames:
        np.testing.assert_allclose(corners(frame), (16, 8, 24, 24), atol=2)
    (remark,) = (r for r in video.remarks() if r[0] == "size")
    assert f"{second[1]} × {second[0]} from 0.20 s" in remark[1]


def test_pictures_of_other_proportions_are_shown_whole_and_not_squeezed(tmp_path):
    wide, high = square((48, 64), 16, 8, 24), square((64, 48), 12, 20, 24)
    both = encoded_pictures([wide] * 3, np.arange(3) / 25)
    both += encoded_pictures([high] * 3, (3 + np.arange(3)) / 25)
    last = list(open_frames(write(tmp_path / "a.mkv", pictures=both)).read())[-1]
    _, _, width, height = corners(last)
    assert abs(width - height) <= 2
    assert last.shape == (48, 64, 3)
    assert last[:, :12].max() < 20


@pytest.mark.parametrize("aspect", [Fraction(4, 3), Fraction(1, 2), Fraction(24, 17)])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_pixels_that_are_not_square_are_made_square(tmp_path, aspect, name):
    def set_aspect(context):
        context.sample_aspect_ratio = aspect

    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        image = np.full((96, 128, 3), 40, np.uint8)
        image[24:72, 32 : 32 + round(48 / aspect)] = 230
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    video = open_frames(tmp_path / name)
    frame = next(video.read())
    assert video.size == frame.shape[:2] == (96, round(128 * aspect / 2) * 2)
    _, _, width, height = corners(frame)
    assert abs(width - height) <= 3
    assert any(remark[0] == "pixels" for remark in video.remarks())


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize(("left_right", "upside_down"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_turned_and_mirrored_videos_come_as_they_are_shown(
    tmp_path, degrees, left_right, upside_down
):
    image = grey(30)
    image[:12, :16], image[:6, 16:40] = 230, 128
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        stream.set_display_rotation(degrees, hflip=bool(left_right), vflip=bool(upside_down))
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    expected = np.rot90(image, degrees // 90)
    expected = expected[:, ::-1] if left_right else expected
    expected = expected[::-1] if upside_down else expected
    video = open_frames(tmp_path / "a.mp4")
    frame = next(video.read())
    assert video.size == frame.shape[:2]
    assert np.abs(frame.astype(float) - expected).mean() < 6


def moving_bar(place):
    image = grey(40, (96, 128))
    image[:, place : place + 16] = 200
    return image


def interlaced_packets(flag):
    """A bar that moves by 8 pixels from one half picture to the next."""
    images = []
    for index in range(8):
        whole = moving_bar(16 * index % 96).copy()
        whole[1::2] = moving_bar(16 * index % 96 + 8)[1::2]
        images.append(whole)
    options = {"x264-params": "tff=1"} if flag else {}
    return encoded_pictures(images, np.arange(8) / 25, codec="libx264", options=options)


def comb(frames):
    """How much neighbouring rows differ more than those two apart."""
    grey_frames = np.stack([f[..., 1].astype(float) for f in frames])
    near = np.abs(np.diff(grey_frames, axis=1)).mean()
    return near / np.abs(grey_frames[:, 2:] - grey_frames[:, :-2]).mean()


def test_half_pictures_are_made_whole(tmp_path):
    def frames(flag):
        path = write(
            tmp_path / f"{flag}.mkv",
            pictures=interlaced_packets(flag),
            video_codec="libx264",
            size=(96, 128),
        )
        video = open_frames(path)
        return video, list(video.read())

    video, whole = frames(True)
    _, teeth = frames(False)
    assert len(whole) == len(teeth) == 8
    assert comb(whole) < 0.5 * comb(teeth)
    assert any(remark[0] == "scan" for remark in video.remarks())
    # The filter holds one picture back, and still every frame shows its own.
    bars = [int(np.argmax(f[48, :, 1] > 120)) for f in whole]
    np.testing.assert_allclose(bars, [16 * i % 96 for i in range(8)], atol=9)


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG"), (1, None)])
def test_hdr_is_remarked(tmp_path, transfer, name):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.color_trc = transfer
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey(99), format="rgb24")))
        container.mux(stream.encode(None))
    remarks = [r for r in open_frames(tmp_path / "a.mp4").remarks() if r[0] == "colours"]
    assert [name in r[1] for r in remarks] == ([True] if name else [])


def test_a_thumbnail_that_comes_first_is_not_the_video(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        small = container.add_stream("mjpeg", rate=25)
        small.height, small.width, small.pix_fmt = 24, 32, "yuvj420p"
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        container.mux(small.encode(av.VideoFrame.from_ndarray(grey(9, (24, 32)), format="rgb24")))
        container.mux(small.encode(None))
        for _ in range(30):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey(99), format="rgb24")))
        container.mux(stream.encode(None))
    video = open_frames(tmp_path / "a.mkv")
    assert (video.size, len(list(video.read()))) == (SIZE, 30)


BT601, BT709 = 6, 1  # FFmpeg's numbers


@pytest.mark.parametrize(
    ("size", "tag", "matrix"),
    [
        ((96, 128), None, BT601),
        ((96, 128), BT709, BT709),
        ((720, 1280), None, BT709),
        ((720, 1280), BT601, BT601),
        ((576, 720), None, BT601),
    ],
)
@pytest.mark.parametrize("full", [False, True])
def test_colours_are_read_as_tagged_or_as_is_usual_for_the_size(tmp_path, size, tag, matrix, full):
    color = np.array([40.0, 200.0, 60.0])
    red, blue = {BT601: (0.299, 0.114), BT709: (0.2126, 0.0722)}[matrix]
    luma = red * color[0] + blue * color[2] + (1 - red - blue) * color[1]
    cb, cr = (color[2] - luma) / (2 - 2 * blue), (color[0] - luma) / (2 - 2 * red)
    scales = (1.0, 1.0, 0) if full else (219 / 255, 224 / 255, 16)
    planes = [scales[2] + luma * scales[0], 128 + cb * scales[1], 128 + cr * scales[1]]
    frame = av.VideoFrame(size[1], size[0], "yuv420p")
    for plane, value in zip(frame.planes, planes, strict=True):
        plane.update(np.full(plane.buffer_size, round(value), np.uint8))
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "8"})
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.color_range = frame.color_range = 2 if full else 1
        if tag is not None:
            stream.codec_context.colorspace = frame.colorspace = tag
        for _ in range(2):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    shown = next(open_frames(tmp_path / "a.mp4").read())
    np.testing.assert_allclose(shown[40:50, 40:50].mean((0, 1)), color, atol=4)
