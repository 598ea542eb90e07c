"""The script's files have the names that were asked for, and its errors are one line."""

import numpy as np
import pytest

from experiments import convert_deepspeech, render_face


@pytest.mark.parametrize(
    ("output", "name"),
    [("face.v2", "face.v2"), ("face.png", "face"), ("face.glb", "face"), ("new/face", "new/face")],
)
def test_the_two_files_have_the_name_that_was_asked_for(tmp_path, output, name, capsys):
    render_face.main(render_face.Arguments(seed=1, size=16, output=tmp_path / output))
    files = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert files == [f"{name}.glb", f"{name}.png"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parameters": "nofile.json"}, "there is no file"),
        ({"parameters": "list.json"}, "cannot be read"),
        ({"parameters": "broken.npz"}, "cannot be read"),
        ({"parameters": "nan.npz"}, "identity: expected finite numbers"),
        ({"size": 0}, "size: expected 16 to 4096 pixels, got 0"),
        ({"size": 10**6}, "size: expected 16 to 4096"),
        ({"seed": -1}, "non-negative"),
        ({"seed": 1, "parameters": "nan.npz"}, "expected one of them, got both"),
        ({"face_model": "nowhere.mat"}, "nowhere.mat"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, options, message):
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "broken.npz").write_bytes(b"PK")
    np.savez(tmp_path / "nan.npz", identity=np.full(80, np.nan))
    paths = {k: tmp_path / v for k, v in options.items() if isinstance(v, str)}
    config = render_face.Arguments(**{"output": tmp_path / "face", "size": 16} | options | paths)
    with pytest.raises(SystemExit, match=f"^error: .*{message}"):
        render_face.main(config)


def test_a_graph_that_is_not_there_is_said_in_one_line(tmp_path):
    with pytest.raises(SystemExit, match=r"^error: there is no graph at .*nofile"):
        convert_deepspeech.main(convert_deepspeech.Arguments(graph=tmp_path / "nofile.pb"))
