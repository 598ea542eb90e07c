"""The tables of personalization, on people whose motion is noise but for where their heads rest."""

import dataclasses
import functools
import json

import numpy as np
import pytest

from data_specs.synthetic_talking_head.builder import NEW_SPEAKERS
from experiments import evaluate_personalization as script
from facial_jax.data.splits import TEST
from facial_jax.metrics import personalization as metrics
from facial_jax.models.facial_gan.config import FacialGanTrainingConfig
from tests.personalization.test_personalize import FEATURES, general  # noqa: F401  a fixture
from tests.random_clips import clip_source, random_clip

FRAMES = {"train": 300, "validation": 150, "test": 300}


@pytest.fixture
def two_people(monkeypatch):
    """Two speakers, one of whom always looks to the left."""

    def clips(folder, split):
        split, made = split.removeprefix(NEW_SPEAKERS), []
        for person, subject in enumerate(("a", "b")):
            for k in range(2):
                seed = 100 * person + 10 * len(split) + k
                frames = FRAMES[split]
                clip = random_clip(f"{subject}{k}", subject, frames, seed=seed, features=FEATURES)
                pose = clip.pose + np.eye(6, dtype=np.float32)[1] * person
                made.append(dataclasses.replace(clip, pose=pose))
        return clip_source(*made)

    monkeypatch.setattr(script, "open_clips", clips)
    short = functools.partial(metrics.train_recognizer, steps=60)
    monkeypatch.setattr(metrics, "train_recognizer", short)
    return clips


def test_everybody_is_measured_and_recognised_where_they_differ(
    two_people,
    general,  # noqa: F811
    tmp_path,
    capsys,
):
    config = script.Arguments(
        data=tmp_path,
        general=general,
        clips=2,
        work_dir=tmp_path / "run",
        output=tmp_path / "tables.json",
        training=FacialGanTrainingConfig(batch=2, stride=16, max_steps=2, epochs=10.0),
    )
    script.main(config)
    tables = json.loads((tmp_path / "tables.json").read_text())
    assert set(tables["habits"]) == {"a", "b"}
    real = two_people(None, TEST).of_subject("a")
    poses = np.concatenate([real[i].pose for i in range(len(real))])
    measured = tables["habits"]["a"]["real"]
    assert measured["yaw deg"] == pytest.approx(np.degrees(poses[:, 1].std()), rel=1e-4)
    for kinds in tables["habits"].values():
        assert set(kinds) == set(metrics.KINDS)
        # The general network of random numbers does not move as they do; made to scale, it does.
        off = {k: abs(kinds[k]["yaw deg"] - kinds["real"]["yaw deg"]) for k in metrics.KINDS}
        assert off["personalized"] < off["general"]
    accuracies = tables["accuracies"]
    assert accuracies["pose"]["real"] == 1.0
    assert accuracies["pose"]["personalized"] > 0.5
    assert accuracies["pose"]["general"] == 0.5
    assert set(accuracies) == {"pose", "movement", "blinks"}
    printed = capsys.readouterr().out
    assert "2 of 2" in printed
    assert "chance 0.500" in printed
