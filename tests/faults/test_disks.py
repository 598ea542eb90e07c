"""Full disks, folders that nobody can write in, and folders that are removed."""

import contextlib
import os
import shutil
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from experiments import personalize as script
from facial_jax.files import whole_or_nothing, write_bytes
from facial_jax.video import write_video
from tests.test_video import tone
from tests.training.test_fit import assert_same, train
from tests.training.toy_task import ToyTask


@contextlib.contextmanager
def full_disk(file_bytes):
    """No file can become longer."""
    resource = pytest.importorskip("resource", reason="Windows has no limit on the size of files")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def wait_until_still(folder, seconds=1.0):
    """Until no thread of a failed run writes there, as after the end of its process."""
    before, deadline = None, time.monotonic() + 60
    while (now := sorted(folder.rglob("*"))) != before and time.monotonic() < deadline:
        before = now
        time.sleep(seconds)


def test_a_full_disk_is_said_with_the_files_name_and_leaves_the_old_one(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")
    noise = np.random.default_rng(0).integers(0, 255, (60, 128, 128, 3), np.uint8)
    options = {"size": (128, 128), "fps": Fraction(25), "audio": tone(1, 16000)}
    with full_disk(60_000), pytest.raises(OSError, match=r"File too large: .*/a\.mp4"):
        write_video(path, iter([noise]), **options)
    with full_disk(60_000), pytest.raises(OSError, match=r"File too large: .*/a\.npz"):
        write_bytes(tmp_path / "a.npz", bytes(100_000))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


# (for a GPU, XLA writes files of its own)
@pytest.mark.usefixtures("on_a_cpu")
def test_a_training_on_a_full_disk_says_so_and_goes_on_later(tmp_path):
    with full_disk(600), pytest.raises((OSError, ValueError), match="File too large"):
        train(tmp_path / "run")
    assert not (tmp_path / "run" / "line.safetensors").exists()
    wait_until_still(tmp_path / "run")
    assert_same(train(tmp_path / "run"), train(None))


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder nobody can write in")
def test_a_folder_that_nobody_can_write_in_is_said_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(script, "enable_compilation_cache", lambda: None)
    video = tmp_path / "a.mp4"
    video.touch()
    for folders in (
        {"output": Path("/proc/self/a"), "work_dir": tmp_path},
        {"output": tmp_path, "work_dir": Path("/proc/self/a")},
    ):
        arguments = script.Arguments(
            subject="a", video=(video,), acoustic_model="phonemes", **folders
        )
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
