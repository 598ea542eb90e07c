"""A file is written whole or not at all."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from facial_jax.files import (
    alone_in,
    copy_file,
    exclusive,
    remove_remnants,
    whole_or_nothing,
    write_bytes,
    write_text,
)


def test_a_write_that_fails_leaves_the_old_file_and_no_remnant(tmp_path):
    path = tmp_path / "numbers.npz"
    path.write_bytes(b"old")

    def write_half():
        with whole_or_nothing(path) as partial:
            partial.write_bytes(b"half of the n")
            assert path.read_bytes() == b"old"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_ends_replaces_the_old_file_and_leaves_no_remnant(tmp_path):
    path = tmp_path / "numbers.npz"
    path.write_bytes(b"old")
    with whole_or_nothing(path) as partial:
        assert partial.parent == tmp_path
        assert partial.suffix == ".npz"
        np.savez(partial, a=np.arange(3))  # adds an ending to names that have another one
    with np.load(path) as arrays:
        np.testing.assert_array_equal(arrays["a"], np.arange(3))
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_has_the_rights_that_the_users_other_files_have(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    write_bytes(tmp_path / "new", b"")
    modes = [stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in ("plain", "new")]
    assert modes[0] == modes[1]


def test_bytes_text_and_copies_are_what_was_given(tmp_path):
    write_bytes(tmp_path / "a", b"\x00\xff")
    assert (tmp_path / "a").read_bytes() == b"\x00\xff"
    write_text(tmp_path / "b", "ω")
    assert (tmp_path / "b").read_bytes() == "ω".encode()
    copy_file(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"\x00\xff"


def test_the_longest_name_can_be_written(tmp_path):
    path = tmp_path / ("n" * 251 + ".mp4")
    write_bytes(path, b"x")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_lock_makes_the_next_wait_and_dies_with_its_process(tmp_path):
    path = tmp_path / "lock"
    code = (
        "import sys, time\nfrom facial_jax.files import exclusive\n"
        "with exclusive(sys.argv[1], waiting=lambda: None):\n"
        "    print('held', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    ) as other:
        assert other.stdout.readline() == b"held\n"
        with exclusive(path, waiting=other.kill) as waited:  # kill -9, while this one waits
            assert waited
    with exclusive(path, waiting=pytest.fail) as waited:
        assert not waited


def test_a_second_process_in_a_folder_is_refused_with_its_name(tmp_path):
    folder = tmp_path / "made" / "here"
    refusal = f"{folder}: another process is at work in this folder"
    with alone_in(folder), pytest.raises(BlockingIOError, match=refusal), alone_in(folder):
        pytest.fail("two in one folder")
    with alone_in(folder):
        pass


def test_only_what_was_never_whole_is_removed(tmp_path):
    whole = [".hidden.part.mp4", ".lock", "a.npz", "sub/.12345.part"]
    for name in whole:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for folder in (tmp_path, tmp_path / "sub"):
        with pytest.raises(FileNotFoundError), whole_or_nothing(folder / "b.mp4") as partial:
            partial.rename(partial.with_name("kept"))  # so that it is not removed
        (folder / "kept").rename(partial)
    remove_remnants(tmp_path)
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == whole


def test_a_folder_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_text(tmp_path / "nowhere" / "a.txt", "a")
