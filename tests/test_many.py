"""Many recordings in one call."""

import json
import wave

import jax
import numpy as np
import pytest

import facial_jax
from experiments import synthesize as command
from facial_jax import many
from facial_jax.many import RECORD, Outcome, outcome_table, synthesize_folder

RATE = 16000


def write_wav(path, seconds: float):
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(seconds * RATE)) / RATE
    samples = np.round(8000 * np.sin(2 * np.pi * 220 * time)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(samples.tobytes())


@pytest.fixture(scope="module")
def demo():
    return facial_jax.load_subject("demo")


@pytest.fixture
def recordings(tmp_path):
    folder = tmp_path / "in"
    write_wav(folder / "a.wav", 0.2)
    write_wav(folder / "sub" / "b.wav", 0.4)
    (folder / "broken.mp3").write_bytes(b"no sound")
    (folder / "notes.txt").write_text("not a recording")
    (folder / ".hidden.wav").write_bytes(b"no sound")
    return folder


@pytest.fixture
def instead(monkeypatch):
    """What `synthesize` was asked for; it writes a file in place of a video, quickly."""
    asked = []

    def synthesize(audio, *, output, **options):
        if audio.stem == "broken":
            raise ValueError("audio: cannot be read")
        asked.append(audio.name)
        output.write_bytes(b"video")

    monkeypatch.setattr(many, "synthesize", synthesize)
    return asked


def test_a_folder_becomes_a_folder_and_what_fails_is_said(recordings, demo, tmp_path):
    out = tmp_path / "out"
    outcomes = synthesize_folder(recordings, out, subject=demo, progress=False)
    assert [(o.audio.name, o.error is None) for o in outcomes] == [
        ("a.wav", True),
        ("broken.mp3", False),
        ("b.wav", True),
    ]
    made = sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file())
    assert made == ["a.mp4", RECORD, "sub/b.mp4"]
    assert len(facial_jax.video.read_frames(out / "sub" / "b.mp4")) == 10
    table = outcome_table(outcomes)
    assert table.startswith("3 recordings: 2 made, 0 made before, 1 failed\n")
    assert "broken.mp3  audio: " in table
    assert len(table.splitlines()) == 2


def test_recordings_of_other_lengths_compile_nothing_new(demo, tmp_path):
    for folder, seconds in (("first", 0.2), ("then", 0.31), ("then", 1.5)):
        write_wav(tmp_path / folder / f"{seconds}.wav", seconds)
    options = dict(subject=demo, progress=False)
    assert synthesize_folder(tmp_path / "first", tmp_path / "a", **options)[0].error is None
    compiled = []

    def count(event: str, seconds: float, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(seconds)

    jax.monitoring.register_event_duration_secs_listener(count)
    try:
        outcomes = synthesize_folder(tmp_path / "then", tmp_path / "b", **options)
        assert [o.error for o in outcomes] == [None] * 2
        assert compiled == []
        jax.jit(lambda x: x + 1)(1.0)
        assert len(compiled) > 0  # that is how a compilation shows
    finally:
        jax.monitoring.unregister_event_duration_listener(count)


def test_a_second_run_makes_what_is_missing_or_has_changed(recordings, demo, instead, tmp_path):
    out = tmp_path / "out"

    def run(**options):
        instead.clear()
        outcomes = synthesize_folder(recordings, out, subject=demo, progress=False, **options)
        return list(instead), [o.kept for o in outcomes]

    assert run() == (["a.wav", "b.wav"], [False, False, False])
    assert run() == ([], [True, False, True])
    (out / "a.mp4").unlink()
    assert run() == (["a.wav"], [False, False, True])
    write_wav(recordings / "sub" / "b.wav", 0.5)
    assert run() == (["b.wav"], [True, False, False])
    assert run(fps="30")[0] == ["a.wav", "b.wav"]
    # A run that was killed while it wrote a line.
    with (out / RECORD).open("a") as file:
        file.write('{"video": "a.mp4", "made_f')
    assert run(fps="30")[0] == []


def test_motion_of_another_recording_is_read_once(recordings, demo, instead, monkeypatch, tmp_path):
    read = []
    monkeypatch.setattr(many, "load_motion", lambda path, name: read.append((path, name)) or name)
    clip = tmp_path / "clip.npz"
    clip.write_bytes(b"a clip")
    options = dict(subject=demo, pose_from=clip, progress=False)
    kept = [o.kept for o in synthesize_folder(recordings, tmp_path / "out", **options)]
    assert (kept, read) == ([False] * 3, [(clip, "pose_from")])
    clip.write_bytes(b"another")
    assert not any(o.kept for o in synthesize_folder(recordings, tmp_path / "out", **options))


def test_an_interrupt_ends_it_and_keeps_what_was_made(recordings, demo, monkeypatch, tmp_path):
    def synthesize(audio, *, output, **options):
        if audio.name == "b.wav":
            raise KeyboardInterrupt
        output.write_bytes(b"video")

    monkeypatch.setattr(many, "synthesize", synthesize)
    with pytest.raises(KeyboardInterrupt):
        synthesize_folder(recordings, tmp_path / "out", subject=demo, progress=False)
    lines = (tmp_path / "out" / RECORD).read_text().splitlines()
    assert [json.loads(line)["video"] for line in lines] == ["a.mp4", "broken.mp4"]


def test_folders_that_cannot_be_are_named(recordings, demo, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
        synthesize_folder(tmp_path / "nowhere", tmp_path / "out", subject=demo)
    with pytest.raises(ValueError, match="lies in the folder of recordings"):
        synthesize_folder(recordings, recordings / "videos", subject=demo)
    with pytest.raises(ValueError, match=r"talk\.mp4 is a file's name"):
        synthesize_folder(recordings, tmp_path / "talk.mp4", subject=demo)
    write_wav(recordings / "a.flac", 0.1)
    with pytest.raises(ValueError, match=r"a\.flac and .*a\.wav would both become .*a\.mp4"):
        synthesize_folder(recordings, tmp_path / "out", subject=demo)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no recording in .*\.flac .*\.wav"):
        synthesize_folder(tmp_path / "empty", tmp_path / "out", subject=demo)


def test_the_command_prints_the_table_and_fails_where_one_failed(
    recordings, instead, tmp_path, capsys
):
    config = command.Arguments(audio=recordings, output=tmp_path / "out")
    with pytest.raises(SystemExit) as ended:
        command.main(config)
    assert ended.value.code == 1
    assert "2 made, 0 made before, 1 failed" in capsys.readouterr().out
    (recordings / "broken.mp3").unlink()
    command.main(config)
    assert "2 recordings: 0 made, 2 made before, 0 failed" in capsys.readouterr().out


def test_a_table_of_successes_is_one_line(tmp_path):
    assert outcome_table([Outcome(tmp_path / "a.wav", tmp_path / "a.mp4")]) == (
        "1 recording: 1 made, 0 made before, 0 failed"
    )
