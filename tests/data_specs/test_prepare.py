import concurrent.futures
import dataclasses
import os
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path

import jax
import numpy as np
import pytest

from data_specs.clips import open_clips
from data_specs.talking_head import prepare as library
from data_specs.talking_head.videos import Video, find_videos
from experiments import prepare
from facial_jax.audio.acoustic import (
    acoustic_model_hash,
    default_acoustic_model,
    load_acoustic_model,
)
from facial_jax.data import tracked_clip
from facial_jax.data.splits import split_of_name
from facial_jax.data.tracked_clip import load_tracked_clip, save_tracked_clip
from facial_jax.mediapipe_models import ModelMissingError
from facial_jax.models.acoustic.network import AcousticConfig, AcousticNetwork
from facial_jax.models.layers.parameters import save_variables
from facial_jax.tracking import report
from facial_jax.tracking.speech_sync import lip_lag, sure_correlation
from tests.random_clips import random_clip
from tests.tracking import test_tracker as videos
from tests.tracking.test_tracker import face_points, stand_in  # noqa: F401


def test_videos_become_clips_and_bad_ones_a_line_in_a_table(
    tmp_path,
    stand_in,  # noqa: F811
    monkeypatch,
    capsys,
):
    monkeypatch.setattr(report, "STRIP_SIZE", 48)
    good = videos.write(tmp_path / "good.mp4", [(1, 90)] * 30, sound=True)
    silent = videos.write(tmp_path / "silent.mp4", [(1, 90)] * 30)
    nobody = videos.write(tmp_path / "nobody.mp4", [(0, 90)] * 30, sound=True)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    output = tmp_path / "clips"
    config = prepare.Arguments(
        videos=(broken, good, silent, nobody), output=output, size=64, subject="someone"
    )
    with pytest.raises(SystemExit):
        prepare.main(config)
    table = (output / library.LEFT_OUT_TABLE).read_text().splitlines()
    reasons = dict(line.split("\t") for line in table[1:])
    assert sorted(p.rsplit("/", 1)[-1] for p in reasons) == [
        "broken.mp4",
        "nobody.mp4",
        "silent.mp4",
    ]
    assert "no sound" in reasons[str(silent)]
    assert "no face" in reasons[str(nobody)]

    clip, acoustic = load_tracked_clip(output / "good" / "clip.npz")
    assert (clip.subject, clip.fps, len(clip), len(acoustic)) == ("someone", "25", 30, 64)
    assert len(clip.waveform) == round(30 / 25 * 16000)
    assert clip.features.shape == (30, load_acoustic_model(default_acoustic_model()).feature_count)
    assert clip.waveform.std() > 100
    page = (output / "good" / "report.html").read_text()
    assert "data:image/png;base64," in page
    assert "http" not in page.replace("http-equiv", "")
    assert "30 frames" in (output / "good" / "report.txt").read_text()
    assert not (output / "silent" / "report.html").exists()  # it was not tracked
    assert (output / "good" / "video.mp4").stat().st_size > 0

    # What is done is not done again.
    before = (output / "good" / "clip.npz").stat().st_mtime_ns
    prepare.main(prepare.Arguments(videos=(good,), output=output, size=64))
    assert (output / "good" / "clip.npz").stat().st_mtime_ns == before

    # Another acoustic model listens to it without its being tracked again, and back.
    small = AcousticConfig(width=8, dilations=(1,), outputs=5)
    variables = AcousticNetwork(small).init(jax.random.key(0), np.zeros((1, 10, 26), np.float32))
    weights = tmp_path / "other.safetensors"
    save_variables(weights, variables, dataclasses.asdict(small))
    video = (output / "good" / "video.mp4").stat().st_mtime_ns
    again = prepare.Arguments(videos=(good,), output=output, acoustic_model=str(weights))
    prepare.main(again)
    other, its = load_tracked_clip(output / "good" / "clip.npz")
    assert other.features.shape == (30, 5)
    assert its == acoustic_model_hash(weights) != acoustic
    prepare.main(dataclasses.replace(again, acoustic_model=default_acoustic_model()))
    np.testing.assert_array_equal(
        load_tracked_clip(output / "good" / "clip.npz")[0].features, clip.features
    )
    assert (output / "good" / "video.mp4").stat().st_mtime_ns == video

    # A damaged clip is tracked again.
    (output / "good" / "clip.npz").write_bytes(b"half a file")
    prepare.main(prepare.Arguments(videos=(good,), output=output, size=64, subject="someone"))
    np.testing.assert_array_equal(
        load_tracked_clip(output / "good" / "clip.npz")[0].pose, clip.pose
    )

    # The data set has the clip, and says which videos are not in it.
    with pytest.raises(SystemExit):
        prepare.main(dataclasses.replace(config, data_set=tmp_path / "data"))
    made = Path(capsys.readouterr().out.splitlines()[-1])
    (packed,) = open_clips(made, split_of_name("good"))
    np.testing.assert_array_equal(packed.pose, clip.pose)
    left_out = (made / "left_out.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in left_out] == ["clip", "broken", "nobody", "silent"]

    # A video that was mended is no longer in the table.
    videos.write(tmp_path / "silent.mp4", [(1, 90)] * 30, sound=True)
    prepare.main(dataclasses.replace(config, videos=(good, silent)))
    assert "silent" not in (output / library.LEFT_OUT_TABLE).read_text()
    capsys.readouterr()


def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path, monkeypatch):
    for name in ("a", "b", "c"):
        (tmp_path / "videos" / "ann").mkdir(parents=True, exist_ok=True)
        (tmp_path / "videos" / "ann" / f"{name}.mp4").touch()
    config = prepare.Arguments(videos=(tmp_path / "videos",), output=tmp_path / "clips")
    tracked, stops = [], ["ann_b"]

    def track_or_stop(video, how, *, progress):
        if video.clip in stops:
            stops.remove(video.clip)
            raise KeyboardInterrupt
        tracked.append(video.clip)
        clip = random_clip(video.clip, video.subject, 40)
        save_tracked_clip(how.output, clip, acoustic="abc")

    monkeypatch.setattr(library, "prepare", track_or_stop)
    (tmp_path / "clips" / "ann_b").mkdir(parents=True)
    (
        tmp_path / "clips" / "ann_b" / ".0123456789ab.part.mp4"
    ).touch()  # of a process that was killed
    with pytest.raises(SystemExit, match="interrupted"):
        prepare.main(config)
    assert not list((tmp_path / "clips").rglob("*.part*"))
    assert tracked == ["ann_a"]
    prepare.main(config)
    assert tracked == ["ann_a", "ann_b", "ann_c"]
    assert load_tracked_clip(tmp_path / "clips" / "ann_c" / "clip.npz")[0].subject == "ann"


def test_a_clip_of_a_newer_version_is_not_overwritten(tmp_path, monkeypatch):
    clip = random_clip("a", "a", 40)
    monkeypatch.setattr(tracked_clip, "FORMAT", 2)
    path = save_tracked_clip(tmp_path, clip, acoustic="0" * 64)
    monkeypatch.undo()
    before = path.read_bytes()
    with pytest.raises(SystemExit, match=r"clip\.npz is of format 2.*newer version"):
        prepare.main(prepare.Arguments(videos=(tmp_path / "a.mp4",), output=tmp_path))
    assert path.read_bytes() == before
    with np.load(path) as file:  # as before formats had numbers
        arrays = {name: file[name] for name in file.files if name != "format"}
    np.savez(path, **arrays)
    assert load_tracked_clip(path)[0].subject == "a"


def test_what_is_wrong_with_the_machine_is_not_said_of_the_videos(tmp_path, monkeypatch):
    def no_model(video, how, *, progress):
        raise ModelMissingError("there is no network")

    monkeypatch.setattr(library, "prepare", no_model)
    with pytest.raises(SystemExit, match="error: there is no network"):
        prepare.main(prepare.Arguments(videos=(tmp_path / "a.mp4",), output=tmp_path / "clips"))
    assert [p.name for p in (tmp_path / "clips").rglob("*") if p.is_file()] == [library.LOCK_NAME]


def test_options_that_cannot_be_are_refused_before_any_video_is_opened(tmp_path):
    for options, message in (
        ({"size": 255}, "size: expected an even number of pixels from 32 to 2048, got 255"),
        ({"size": 0}, "got 0"),
        ({"size": 100_000}, "got 100000"),
        ({"fps": "0.0001"}, "fps must be a number from"),
    ):
        config = prepare.Arguments(videos=(tmp_path / "a.mp4",), output=tmp_path / "o", **options)
        with pytest.raises(SystemExit, match=f"error: .*{message}"):
            prepare.main(config)
    assert not (tmp_path / "o").exists()


def test_of_two_that_prepare_one_video_one_waits_and_takes_the_others_clip(tmp_path, monkeypatch):
    tracked, said = [], []
    begun = threading.Event()

    def track_slowly(video, how, *, progress):
        begun.set()
        time.sleep(0.5)
        tracked.append(video.clip)
        clip = random_clip(video.clip, video.subject, 40)
        save_tracked_clip(how.output, clip, acoustic=acoustic_model_hash(how.acoustic_model))

    monkeypatch.setattr(library, "prepare", track_slowly)
    how = library.Preparation(output=tmp_path / "clips")
    (tmp_path / "clips").mkdir()
    videos = [Video(tmp_path / "a.mp4", "a", "a")]

    def run():
        return library.prepare_videos(videos, how, workers=1, beam="", say=said.append)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        first = pool.submit(run)
        begun.wait()
        assert pool.submit(run).result() == first.result() == []
    assert tracked == ["a"]
    assert any("another process is at it" in line for line in said)
    assert any("done by another process" in line for line in said)


def test_what_is_made_here_and_what_is_hidden_is_no_video(tmp_path):
    for name in (
        *("a.mp4", "._a.mp4", ".hidden/b.mp4", "out/a/video.mp4", "out/b/video.mp4"),
        *("old/c/video.mp4", "old/c/clip.npz", "old/d/video.mp4", "ann/video.mp4", "out2/x.mp4"),
    ):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    found = find_videos([tmp_path / "in"], output=tmp_path / "in" / "out")
    assert [v.clip for v in found] == ["a", "ann_video", "old_d_video", "out2_x"]
    # The folder itself, or one that it is in, may be the output.
    for output in (tmp_path / "in", tmp_path):
        assert len(find_videos([tmp_path / "in" / "ann"], output=output)) == 1
    monkey = find_videos([tmp_path / "in" / "._a.mp4"])
    assert [v.clip for v in monkey] == ["._a"]


def test_a_name_that_is_not_utf8_stops_nothing(tmp_path, monkeypatch, capsys):
    name = os.fsdecode(b"in\xff.mp4")
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / name).write_bytes(b"no video")
    (tmp_path / "videos" / "two\nlines.mp4").write_bytes(b"no video")
    with pytest.raises(SystemExit) as ended:
        prepare.main(prepare.Arguments(videos=(tmp_path / "videos",), output=tmp_path / "clips"))
    assert ended.value.code == 1
    rows = (tmp_path / "clips" / library.LEFT_OUT_TABLE).read_text(encoding="utf-8").splitlines()
    assert [row.split("\t")[0].rsplit("/", 1)[1] for row in rows[1:]] == [
        "in\ufffd.mp4",
        "two lines.mp4",
    ]


def test_videos_are_found_in_folders_and_named_after_their_place(tmp_path):
    for name in ("x.mp4", "bob/1.MOV", "bob/2/1.webm", "notes.txt"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    found = find_videos([tmp_path / "in", tmp_path / "other.bin"])
    assert [(v.clip, v.subject) for v in found] == [
        ("bob_1", "bob"),
        ("bob_2_1", "bob"),
        ("x", "x"),
        ("other", "other"),
    ]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no video in the folder .*empty"):
        find_videos([tmp_path / "empty"])


def test_two_videos_of_one_name_are_refused(tmp_path):
    config = prepare.Arguments(
        videos=(tmp_path / "a" / "x.mp4", tmp_path / "b" / "x.mp4"), output=tmp_path
    )
    with pytest.raises(SystemExit, match="same clip: x"):
        prepare.main(config)


@pytest.mark.parametrize("lag", [-3, 0, 5])
def test_the_lag_between_lips_and_voice_is_found(lag):
    rng = np.random.default_rng(0)
    voice = np.convolve(rng.standard_normal(560), np.hanning(7), "same").astype(np.float32)
    mouth = voice[30 - lag : 530 - lag] + 0.5 * rng.standard_normal(500).astype(np.float32)
    found, correlation = lip_lag(mouth, voice[30:530], np.ones(500, bool), Fraction(25))
    assert round(found * 25) == lag
    assert correlation > sure_correlation(20.0)


def test_the_library_does_not_need_mediapipe_to_be_imported():
    import subprocess

    code = (
        "import sys, facial_jax, facial_jax.tracking.report; "
        "print([m for m in ('mediapipe', 'cv2', 'scipy', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
