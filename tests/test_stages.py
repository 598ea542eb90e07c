"""Kept stages are continued, kept or made again, and never mixed."""

import json

import pytest

from facial_jax.stages import RECORD, stage


class Maker:
    """Writes one file at each call; stops in the calls that `stops` names."""

    def __init__(self, folder, stops=()):
        self.folder, self.stops, self.calls = folder, stops, []

    def __call__(self):
        self.calls.append(sorted(path.name for path in self.folder.iterdir()))
        (self.folder / f"file_{len(self.calls)}").write_text("")
        if len(self.calls) in self.stops:
            raise KeyboardInterrupt


def test_a_result_is_made_once_and_kept(tmp_path):
    folder, said = tmp_path / "stage", []
    make = Maker(folder)
    first = stage(folder, {"a": (1, 2)}, make, say=said.append)
    assert stage(folder, {"a": [1, 2]}, make, say=said.append) == first
    assert make.calls == [[RECORD]]
    assert said[1] == f"{folder}: done before"


def test_a_stage_that_was_stopped_goes_on_with_what_it_has(tmp_path):
    make = Maker(tmp_path, stops=(1,))
    with pytest.raises(KeyboardInterrupt):
        stage(tmp_path, {"a": 1}, make)
    stage(tmp_path, {"a": 1}, make)
    assert make.calls == [[RECORD], ["file_1", RECORD]]


@pytest.mark.parametrize("stops", [(), (1,)])
def test_a_stage_of_another_provenance_begins_from_nothing_and_says_why(tmp_path, stops):
    folder, said = tmp_path / "stage", []
    make = Maker(folder, stops)
    try:
        stage(folder, {"a": 1, "b": 2}, make)
    except KeyboardInterrupt:
        assert stops
    stage(folder, {"a": 3, "b": 2}, make, say=said.append)
    assert make.calls[1] == [RECORD]
    assert said[0] == f"{folder}: made again, because of a: 1 there, 3 here"
    assert json.loads((folder / RECORD).read_text())["provenance"] == {"a": 3, "b": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["stage"]


def test_a_run_killed_while_it_cleared_a_folder_leaves_nothing_of_it(tmp_path):
    folder = tmp_path / "stage"
    cleared = tmp_path / ".stage.cleared"
    cleared.mkdir()
    (cleared / "half").write_text("")
    make = Maker(folder)
    stage(folder, {}, make)
    assert make.calls == [[RECORD]]
    assert not cleared.exists()


def test_files_that_no_stage_made_are_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(ValueError, match="got files without it; move them away"):
        stage(tmp_path, {}, Maker(tmp_path))
    assert (tmp_path / "mine.txt").exists()
    (tmp_path / "mine.txt").rename(tmp_path / ".provenance-1.part.json")  # of a killed process
    stage(tmp_path, {}, Maker(tmp_path))
