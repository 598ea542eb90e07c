"""Hashes and settings tell results apart, and nothing else."""

import dataclasses
import hashlib
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.data.clips import clips_hash
from facial_jax.provenance import differences, file_hash, settings, tree_hash
from tests.random_clips import clip_source, random_clip


@dataclasses.dataclass(frozen=True)
class Inner:
    rate: float = 0.5


@dataclasses.dataclass(frozen=True)
class Config:
    sizes: dict
    inner: Inner = Inner()
    weights: Path | None = None
    seed: int = 0


def test_settings_are_flat_and_a_path_stands_for_its_contents(tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(b"some")
    expected = {
        "sizes.width": 4,
        "inner.rate": 0.5,
        "weights": hashlib.sha256(b"some").hexdigest(),
    }
    assert settings(Config({"width": 4}, weights=path), without=("seed",)) == expected
    assert settings(Config({}))["weights"] is None
    with pytest.raises(FileNotFoundError):
        settings(Config({}, weights=tmp_path / "nothing"))
    assert file_hash(path) == expected["weights"]


def test_trees_differ_by_name_type_shape_and_content():
    ones = np.ones((2, 3), np.float32)
    trees = [
        {"a": ones},
        {"b": ones},
        {"a": ones.astype(np.float16)},
        {"a": ones.T},
        {"a": ones * 2},
        {"a": ones, "b": np.zeros(0)},
        {"a": "ones"},
        {"a": np.float32(1)},
        {},
    ]
    assert len({tree_hash(tree) for tree in trees}) == len(trees)
    assert tree_hash({"a": ones}) == tree_hash({"a": jnp.asarray(ones)})
    assert tree_hash({"a": ones.T}) == tree_hash({"a": ones.T.copy()})
    assert tree_hash(jnp.ones(3, jnp.bfloat16)) != tree_hash(jnp.zeros(3, jnp.bfloat16))


def test_differences_name_what_changed():
    old = {"a": 1, "b": "0" * 64, "c": None}
    assert differences(old, dict(old)) == []
    assert differences(old, {"a": 1.0, "b": "1" * 64, "d": "x"}) == [
        "b: 000000000000… there, 111111111111… here",
        "c: None there, nothing here",
        "d: nothing there, 'x' here",
    ]


def test_clips_are_told_apart_by_what_is_trained_on_and_by_whose_they_are():
    clips = [random_clip(f"a{k}", "a", 40, seed=k) for k in range(2)]
    known = clips_hash(clip_source(*clips))

    def changed(**fields):
        return clips_hash(clip_source(clips[0], dataclasses.replace(clips[1], **fields)))

    assert changed(clip="x") == known
    assert changed(waveform=clips[1].waveform + 1) == known
    renamed = [dataclasses.replace(clip, subject="z") for clip in clips]
    assert clips_hash(clip_source(*renamed)) == known
    others = [
        changed(subject="z"),
        changed(features=clips[1].features + 1),
        changed(pose=clips[1].pose * 2),
        changed(fps="24"),
        clips_hash(clip_source(*clips[::-1])),
        clips_hash(clip_source(clips[0])),
    ]
    assert len({known, *others}) == 1 + len(others)
