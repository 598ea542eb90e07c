"""Full disks, folders that nobody can write in, and folders that are removed."""

import contextlib
import os
import shutil
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from experiments import personalize as script
from facial_jax.files import whole_or_nothing
from facial_jax.video import write_video
from tests.faults.killing import run
from tests.test_video import tone
from tests.training.test_fit import assert_same, train
from tests.training.toy_task import ToyTask


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
@pytest.mark.parametrize("name", ["training", "synthesize"])
def test_a_full_disk_is_said_and_leaves_nothing_half(name, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    _, said = run(name, folder, file_bytes=600)
    assert "File too large" in said, said
    if name == "synthesize":
        assert str(folder / "talk.mp4") in said
    _, result = run(name, folder)
    assert result


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder nobody can write in")
def test_a_folder_that_nobody_can_write_in_is_said_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(script, "enable_compilation_cache", lambda: None)
    video = tmp_path / "a.mp4"
    video.touch()
    for folders in (
        {"output": Path("/proc/self/a"), "work_dir": tmp_path},
        {"output": tmp_path, "work_dir": Path("/proc/self/a")},
    ):
        arguments = script.Arguments(subject="a", video=video, acoustic_model="phonemes", **folders)
        with pytest.raises(SystemExit, match=r"error: .*/proc/self/a"):
            script.main(arguments)


def test_a_folder_removed_while_a_file_is_written_is_said(tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()
    with (
        pytest.raises(FileNotFoundError, match=r"gone/a\.npz: its folder was removed"),
        whole_or_nothing(folder / "a.npz"),
    ):
        shutil.rmtree(folder)
    folder.mkdir()

    def frames():
        yield np.zeros((2, 32, 32, 3), np.uint8)
        shutil.rmtree(folder)

    with pytest.raises(FileNotFoundError, match=r"gone/a\.mp4"):
        write_video(
            folder / "a.mp4", frames(), size=(32, 32), fps=Fraction(25), audio=tone(1, 16000)
        )


def test_a_training_whose_folder_is_removed_ends_whole_or_can_be_started_again(tmp_path):
    class Removed(ToyTask):
        def draw(self, step):
            if step == 3:
                shutil.rmtree(tmp_path / "run", ignore_errors=True)
            return super().draw(step)

    with contextlib.suppress(OSError, ValueError):  # as it comes while a checkpoint is written
        train(tmp_path / "run", task=Removed())
    assert_same(train(tmp_path / "run"), train(None))
    assert (tmp_path / "run" / "line.safetensors").exists()
