import os
from pathlib import Path

import pytest

pytest.importorskip("apache_beam")

from data_specs.talking_head.beam import for_each, local_options


def work(job):
    """Run in other processes: notes its own, or dies as a decoder on a damaged file does."""
    folder, number = job
    if number == 3:
        os._exit(9)
    if number == 5 and (Path(folder) / "stop").exists():
        raise ValueError("the disk is full")
    (Path(folder) / f"{number}.txt").write_text(str(os.getpid()))


def died(job, reason):
    folder, number = job
    (Path(folder) / f"{number}.reason").write_text(reason)


def test_what_kills_a_process_is_noted_and_the_others_are_done(tmp_path):
    for_each(work, died, [(str(tmp_path), i) for i in range(8)], local_options(2))
    done = {int(p.stem): int(p.read_text()) for p in tmp_path.glob("*.txt")}
    assert sorted(done) == [0, 1, 2, 4, 5, 6, 7]
    assert os.getpid() not in done.values()
    assert [p.name for p in tmp_path.glob("*.reason")] == ["3.reason"]
    assert "ran out of memory" in (tmp_path / "3.reason").read_text()


def test_what_is_wrong_with_all_ends_the_pipeline(tmp_path):
    (tmp_path / "stop").touch()
    with pytest.raises(Exception, match="the disk is full"):
        for_each(work, died, [(str(tmp_path), 5)], local_options(1))
