"""The recordings that people reported, in ../shared/cases.

Others of the same kinds are made in the files beside this one.
"""

import warnings
from fractions import Fraction

import av
import numpy as np
import pytest

from facial_jax.audio.waveform import AudioSource
from facial_jax.tracking.frames import open_frames
from facial_jax.tracking.published import read_deep3d, read_openface
from facial_jax.tracking.shots import ShotDetector, is_still
from tests.media.recordings import RATE, offset_ms
from tests.shared_data import shared_path

CASES = shared_path("cases")


def read_sound(path):
    """The sound at 16 kHz, and what was said of it."""
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        source = AudioSource(path)
        source.check()
        samples = np.concatenate(list(source.blocks(RATE)))[:, 0]
    return samples, [str(warning.message) for warning in given]


def timeline(path):
    """The sound on the file's own clock, from its first picture on, frame by frame."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        start = float(frame.pts * frame.time_base)
    heard = np.zeros(RATE * 10, np.float32)
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE)
            parts = (*resampler.resample(frame), *resampler.resample(None))
            part = np.concatenate([p.to_ndarray()[0] for p in parts])
            first = round((float(frame.pts * frame.time_base) - start) * RATE)
            part = part[max(0, -first) :]
            heard[max(0, first) : max(0, first) + len(part)] = part
    return heard


@pytest.mark.parametrize("name", ["sound_late.mkv", "sound_hole.mkv", "cut_in_between.ts"])
def test_sound_lies_where_players_have_it(name):
    path = CASES / name
    samples, said = read_sound(path)
    expected = timeline(path)[: len(samples)]
    half = slice(len(samples) // 2, len(samples) // 2 + RATE // 2)
    inside = np.zeros_like(expected)
    inside[half] = expected[half]
    assert abs(offset_ms(samples, inside)) < 1.1
    np.testing.assert_allclose(samples[: RATE // 4].std(), expected[: RATE // 4].std(), atol=0.01)
    assert not said


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("mp3_junk_mid.mp3", 1.88),
        ("mp3_concat.mp3", 4.08),
        ("flac_cut.flac", 1.25),
        ("one_bad_sound_packet.mp4", 3.01),
        ("cut_off_fragmented.mp4", 1.66),
    ],
)
def test_damaged_sound_is_used_as_far_as_it_goes(name, seconds):
    samples, said = read_sound(CASES / name)
    assert abs(len(samples) / RATE - seconds) < 0.05
    assert samples.std() > 0.01
    assert len(said) == 1


@pytest.mark.parametrize(
    ("name", "fps", "size", "count", "remark"),
    [
        ("browser.webm", 30, (192, 192), 120, None),
        ("resolution_changes.webm", 25, (192, 192), 100, "size"),
        ("not_square.mp4", 25, (192, 192), 50, "pixels"),
        ("interlaced.mp4", Fraction(25, 2), (192, 192), 30, "scan"),
        ("one_bad_picture_packet.mp4", 25, (192, 192), 75, "damage"),
    ],
)
@pytest.mark.filterwarnings("ignore:video:UserWarning")
def test_pictures_are_shown_as_players_show_them(name, fps, size, count, remark):
    video = open_frames(CASES / name)
    shapes = [frame.shape for frame in video.read()]
    assert (video.fps, video.size, len(shapes)) == (fps, size, count)
    assert set(shapes) == {(*size, 3)}
    assert [r[0] for r in video.remarks()] == ([remark] if remark else [])


def test_a_still_picture_is_seen_to_be_one():
    detector = ShotDetector()
    for frame in open_frames(CASES / "still.avi").read():
        detector.is_cut(frame)
    assert is_still(np.asarray(detector.changes, np.float32))


def test_a_name_with_a_colon_is_a_name():
    samples, _ = read_sound(CASES / "2024-08-20T13:28:35Z.wav")
    np.testing.assert_array_equal(samples, read_sound(CASES / "half.wav")[0])


def test_the_middle_of_many_channels_is_heard():
    path = CASES / "51.flac"
    mono = np.concatenate(list(AudioSource(path).blocks(None)))
    middle = np.concatenate(list(AudioSource(path).blocks(None, mono=False)))[:, 2]
    assert abs(20 * np.log10(mono.std() / middle.std()) + 3) < 0.5


def test_published_files_are_read():
    attributes, _ = read_deep3d(CASES / "deep3d_pytorch.mat")
    assert attributes.pose.shape == (1, 6)
    record = read_openface(CASES / "openface_nan_ind.csv")
    assert np.isnan(record.points[1]).all()
    assert record.success.tolist() == [True, False, True]
