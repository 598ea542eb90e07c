"""Training scripts that are stopped, or given something wrong, end with one line."""

import dataclasses
import importlib
import signal
from typing import Any

import pytest

SCRIPTS = {
    # the function that reads what is trained on
    "general_train": "open_clips",
    "train_pose_gan": "open_clips",
    "train_pgface": "open_people",
    "train_mouth_sync": "open_clips",
    "train_rendering_to_video": "train_rendering_to_video",
    "train_acoustic": "train_acoustic",
}


def arguments(module: Any, folder) -> Any:
    names = [field.name for field in dataclasses.fields(module.Arguments)]
    options = {"output": folder / "run"} | ({"data": folder} if "data" in names else {})
    return module.Arguments(**options)


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_request_to_stop_ends_a_training_in_one_line(script, stop, tmp_path, monkeypatch):
    module = importlib.import_module(f"experiments.{script}")
    monkeypatch.setattr(module, SCRIPTS[script], lambda *_, **__: signal.raise_signal(stop))
    with pytest.raises(SystemExit, match=r"^interrupted: started again with the same options, it"):
        module.main(arguments(module, tmp_path))


@pytest.mark.parametrize("script", [name for name in SCRIPTS if name != "train_acoustic"])
def test_a_folder_without_data_ends_a_training_in_one_line(script, tmp_path):
    module = importlib.import_module(f"experiments.{script}")
    with pytest.raises(SystemExit, match=r"^error: .*(there is no file|holds no data set)"):
        module.main(arguments(module, tmp_path))
