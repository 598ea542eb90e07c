"""A path names a file, whatever it looks like, and a file is read alone."""

import contextlib
import os
import shutil
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from facial_jax.audio.waveform import AudioSource
from facial_jax.media.container import _File
from facial_jax.tracking.frames import open_frames
from facial_jax.video import write_video
from tests.media.recordings import encoded_pictures, encoded_sound, grey, sound_at, write

NAMES = [
    "2024-08-20T13:28:35Z.mkv",
    "concat:a.mkv|b.mkv",
    "file:a.mkv",
    "https:a.mkv",
    "-a.mkv",
    "a%03d.mkv",
    "Größe 你好.mkv",
    b"not utf-8 \xff\xfe.mkv",
    "a?*[1]{2}.mkv",
    "no ending",
]


@pytest.fixture
def recording(tmp_path):
    images = [grey(10 * i) for i in range(20)]
    return write(
        tmp_path / "recording.mkv",
        pictures=encoded_pictures(images, np.arange(20) / 25),
        sound=encoded_sound([(0, 0.8)]),
    )


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_a_files_name(tmp_path, monkeypatch, recording, name):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    name = os.fsdecode(name)
    shutil.copy(recording, name)
    samples = np.concatenate(list(AudioSource(name).blocks(None)))[:, 0]
    np.testing.assert_allclose(samples, sound_at(0, 0.8), atol=1e-4)
    assert len(list(open_frames(name).read())) == 20


@pytest.mark.parametrize("name", [n for n in NAMES if n != "no ending"])
def test_a_video_is_written_under_any_name(tmp_path, monkeypatch, recording, name):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    path = Path(os.fsdecode(name)).with_suffix(".mp4")
    chunks = iter([np.zeros((5, 64, 64, 3), np.uint8)])
    write_video(path, chunks, size=(64, 64), fps=Fraction(25), audio=AudioSource(recording))
    assert os.listdir() == [str(path)]
    assert len(list(open_frames(path).read())) == 5


PLAYLISTS = {
    "playlist.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{path}\n#EXT-X-ENDLIST\n",
    "playlist.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{path}\n#EXT-X-ENDLIST\n",
    "list.txt": "ffconcat version 1.0\nfile {name}\n",
    "list.wav": "ffconcat version 1.0\nfile {name}\n",
    "session.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=audio 5004 RTP/AVP 0\n",
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_no_other_file_is_read_that_a_file_names(tmp_path, monkeypatch, recording, name):
    monkeypatch.chdir(tmp_path)
    text = PLAYLISTS[name].format(path=recording, name=recording.name)
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=r"audio: .*cannot be read|has no audio"):
        AudioSource(tmp_path / name)
    with pytest.raises(ValueError, match=r"video: .*cannot be read|has no pictures"):
        open_frames(tmp_path / name)


def test_what_is_no_file_is_refused_in_words(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, message in (
        (tmp_path / "pipe", "is a device or a pipe"),
        ("/dev/zero", "is a device or a pipe"),
        (tmp_path, "is a folder"),
        (tmp_path / "empty.wav", "cannot be read"),
        (tmp_path / ("n" * 300), "cannot be opened"),
    ):
        if str(path).endswith("empty.wav"):
            path.touch()
        with pytest.raises(ValueError, match=message):
            AudioSource(path)
        with pytest.raises(ValueError, match=message):
            open_frames(path)


def test_a_place_that_cannot_be_is_answered_and_not_printed(tmp_path, capfd):
    path = write(tmp_path / "a.mkv", sound=encoded_sound([(0.0, 0.5)]))
    data = bytearray(path.read_bytes())
    with _File(path) as file:
        assert file.seek(-5) == file.seek(1 << 70) == -1
        assert file.seek(5) == 5
    for place in range(40, 400, 12):  # among them are the places of other parts
        path.write_bytes(data[:place] + b"\xff" * 8 + data[place + 8 :])
        with contextlib.suppress(ValueError), warnings.catch_warnings(action="ignore"):
            list(AudioSource(path).blocks())
    assert "exception being dropped" not in capfd.readouterr().err
