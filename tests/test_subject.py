"""Subjects' folders: those of older versions load, those of newer ones are refused, none mixes."""

import dataclasses
import json
import shutil
from fractions import Fraction
from pathlib import Path

import jax
import numpy as np
import pytest

import facial_jax
from facial_jax.attributes import Attributes
from facial_jax.full_frame import FILE_NAME as FULL_FRAME
from facial_jax.models.facial_gan.generation import generate_attributes
from facial_jax.models.rendering_to_video.frames import frame_chunks
from facial_jax.subject import (
    DESCRIPTION,
    FACIAL_GAN,
    FORMAT,
    RENDERING_TO_VIDEO,
    load_subject,
    save_subject,
)
from tests.subject_folders import KEPT


@pytest.fixture
def kept(tmp_path):
    """A copy of the oldest folder, to be changed."""
    return Path(shutil.copytree(KEPT / "format_1", tmp_path / "kept"))


def with_face(subject, number):
    identity = subject.identity.replace(identity=subject.identity.identity + np.float32(number))
    return dataclasses.replace(subject, identity=identity)


@pytest.mark.parametrize("folder", sorted(KEPT.glob("format_*")), ids=lambda path: path.name)
def test_a_folder_of_an_older_version_loads_and_speaks(folder):
    subject = load_subject(folder)
    assert (subject.name, subject.fps, subject.size) == ("kept", Fraction(25), 32)
    assert subject.acoustic_model == "bundled"
    assert len(subject.acoustic_sha256) == 64
    np.testing.assert_allclose(subject.identity.identity, np.linspace(-1, 1, 80), atol=1e-6)
    np.testing.assert_allclose(subject.identity.texture, np.linspace(1, -1, 80), atol=1e-6)
    np.testing.assert_array_equal(subject.identity.illumination, np.ones((3, 9)))
    numbers = np.linspace(0, 1, 71, dtype=np.float16)
    model = subject.facial_gan
    np.testing.assert_array_equal(model.statistics.mean, numbers)
    np.testing.assert_array_equal(model.initial_state, -numbers)
    np.testing.assert_array_equal(model.blink_habits.shape, [1, 4, 1])
    np.testing.assert_array_equal(model.blink_habits.interval, [50, 150])
    rows = np.random.default_rng(0).normal(size=(30, model.speech_features)).astype(np.float32)
    made = generate_attributes(model, rows)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(made))
    attributes = Attributes(
        expression=np.zeros((3, 64), np.float32),
        pose=np.zeros((3, 6), np.float32),
        blink=np.zeros(3, np.float32),
    )
    (frames,) = frame_chunks(subject, attributes, chunk_frames=4)
    assert frames.shape == (3, 32, 32, 3)
    assert subject.full_frame.size == (48, 64)
    assert subject.full_frame.crop == (8, 4, 40)
    np.testing.assert_allclose(subject.full_frame.pose[:, 0], [0.1, 0.1, 0.1], atol=1e-4)


def test_there_is_a_folder_of_every_format():
    assert sorted(p.name for p in KEPT.glob("format_*")) == [
        f"format_{number}" for number in range(1, FORMAT + 1)
    ]


def test_a_folder_of_a_newer_version_is_refused_and_says_what_to_do(kept):
    description = kept / DESCRIPTION
    fields = json.loads(description.read_text())
    description.write_text(json.dumps(fields | {"format": FORMAT + 1}))
    with pytest.raises(ValueError, match=rf"subject\.json is of format {FORMAT + 1}.*--upgrade"):
        load_subject(kept)
    for wrong in ("1", 0, True, 1.5, None, [1]):
        description.write_text(json.dumps(fields | {"format": wrong}))
        with pytest.raises(ValueError, match=r"damaged.*expected a format's number"):
            load_subject(kept)
    del fields["format"]  # as before formats had numbers
    description.write_text(json.dumps(fields))
    assert load_subject(kept).name == "kept"


def test_what_is_saved_is_what_is_loaded(kept, tmp_path):
    subject = load_subject(kept)
    save_subject(tmp_path / "again", subject, face_model="procedural")
    again = load_subject(tmp_path / "again")
    for field in ("facial_gan", "rendering_to_video_params", "identity"):
        pair = (jax.tree.leaves(getattr(x, field)) for x in (again, subject))
        for a, b in zip(*pair, strict=True):
            np.testing.assert_array_equal(a, b)
    assert (tmp_path / "again" / FULL_FRAME).read_bytes() == (kept / FULL_FRAME).read_bytes()
    assert sorted(p.name for p in (tmp_path / "again").iterdir()) == sorted(
        p.name for p in kept.iterdir()
    )


def test_a_save_that_fails_leaves_the_subject_that_was_there(kept, monkeypatch):
    before = {path.name: path.read_bytes() for path in kept.iterdir()}
    subject = with_face(load_subject(kept), 1)

    def no_space(*_, **__):
        raise OSError("no space left")

    monkeypatch.setattr(facial_jax.subject, "save_facial_gan", no_space)  # the last to be written
    with pytest.raises(OSError, match="no space left"):
        save_subject(kept, subject, face_model="procedural")
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before


def test_a_folder_in_between_two_subjects_is_none(kept, monkeypatch):
    """A process that is killed there runs nothing more."""
    subject = with_face(load_subject(kept), 1)
    order, replace = [], Path.replace

    def record(self, target):
        replace(self, target)
        name = Path(target).name
        if not name.startswith("."):
            order.append((name, (kept / DESCRIPTION).exists()))

    monkeypatch.setattr(Path, "replace", record)
    save_subject(kept, subject, face_model="procedural")
    assert order == [
        (FACIAL_GAN, False),
        (RENDERING_TO_VIDEO, False),
        (FULL_FRAME, False),
        (DESCRIPTION, True),
    ]


def test_of_another_persons_folder_nothing_stays(kept):
    subject = load_subject(kept)
    bare = dataclasses.replace(
        subject, rendering_to_video=None, rendering_to_video_params=None, full_frame=None
    )
    save_subject(kept, bare, face_model="procedural")
    assert load_subject(kept).rendering_to_video is not None  # the same face: trained apart
    save_subject(kept, with_face(bare, 1), face_model="procedural")
    loaded = load_subject(kept)
    assert loaded.rendering_to_video is None
    assert loaded.full_frame is None


def test_a_subject_is_a_short_line():
    subject = load_subject(KEPT / "format_1")
    assert repr(subject) == "Subject('kept', 32×32 at 25 per second, listens with bundled)"
    mute = dataclasses.replace(subject, rendering_to_video=None)
    assert "attributes only" in repr(mute)
