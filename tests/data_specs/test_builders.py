"""The data sets: how they are made, split, stored and read."""

import dataclasses
import json
import sys
from fractions import Fraction

import numpy as np
import pytest

from data_specs.clips import open_clips, open_people, stored_example
from data_specs.synthetic_talking_head import builder as synthetic
from data_specs.synthetic_talking_head import corpus as synthetic_clips
from data_specs.synthetic_talking_head.builder import SyntheticTalkingHeadConfig, build_corpus
from data_specs.synthetic_talking_head.corpus import make_clip
from data_specs.synthetic_talking_head.soft_tissue import (
    softness,
    tissue_directions,
    tissue_fields,
)
from data_specs.synthetic_talking_head.speaker import make_speaker
from data_specs.synthetic_talking_head.visemes import JAW_OPEN
from data_specs.talking_head.builder import build_talking_head
from facial_jax.audio.acoustic import (
    acoustic_model_hash,
    default_acoustic_model,
    load_acoustic_model,
)
from facial_jax.backend import on_cpu
from facial_jax.data.clips import ARRAY_FIELDS, check_clip, clip_entry, clips_hash
from facial_jax.data.splits import POSE_RATIO, SPLITS, split_of_index, split_of_name
from facial_jax.data.tracked_clip import load_tracked_clip, save_tracked_clip
from facial_jax.face.lower_face import lower_face
from facial_jax.face.procedural import procedural_face_model
from tests.random_clips import clip_source, random_clip

CONFIG = dict(speakers=1, new_speakers=1, clips=3, clip_s=2.0)
NEW = "new_speakers_"


def default_model():
    """What corpora listen with unless told otherwise."""
    return load_acoustic_model(default_acoustic_model())


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return build_corpus(SyntheticTalkingHeadConfig(**CONFIG), tmp_path_factory.mktemp("one"))


def assert_same_clip(first, second):
    for field in dataclasses.fields(first):
        a, b = getattr(first, field.name), getattr(second, field.name)
        if field.name == "features" and not on_cpu():
            # Each process finds out for itself which of a GPU's kernels are the fastest.
            np.testing.assert_allclose(a, b, atol=5e-5, err_msg=field.name)
        else:
            np.testing.assert_array_equal(a, b, err_msg=field.name)


def all_clips(folder):
    return [clip for p in ("", NEW) for split in SPLITS for clip in open_clips(folder, p + split)]


def test_two_workers_make_what_one_makes(corpus, tmp_path):
    other = build_corpus(SyntheticTalkingHeadConfig(**CONFIG), tmp_path, workers=2)
    first, second = all_clips(corpus), all_clips(other)
    assert len(first) == len(second) == 6
    for a, b in zip(first, second, strict=True):
        assert_same_clip(a, b)


def test_a_clip_depends_on_its_numbers_alone(corpus):
    options = dict(seconds=2.0, fps=Fraction(25), acoustic_model=default_model())
    stored = open_clips(corpus, NEW + "test")[0]
    assert_same_clip(make_clip(0, 1, 1, **options), stored)
    other = make_clip(1, 1, 1, **options)
    assert not np.array_equal(other.waveform, stored.waveform)
    assert not np.array_equal(other.identity, stored.identity)


def test_where_nobody_speaks_the_mouth_stays_shut_and_the_head_moves(monkeypatch):
    options = dict(seconds=4.0, fps=Fraction(25), acoustic_model=default_model())
    monkeypatch.setattr(synthetic_clips, "SILENT_SHARE", 1.0)
    silent = make_clip(0, 1, 1, demo_style=True, **options)
    assert silent.expression[:, JAW_OPEN].max() < 0.05
    assert np.degrees(silent.pose[:, 1]).std() > 0.1
    assert len(silent.waveform) == 64000
    spoken = make_clip(0, 1, 1, **options)
    assert spoken.expression[:, JAW_OPEN].max() > 0.3


def test_every_example_is_well_formed(corpus):
    for clip in all_clips(corpus):
        check_clip(clip)
        assert len(clip) == 50
        assert clip.features.shape == (50, default_model().feature_count)
        assert clip.waveform.shape == (32000,)
        assert clip.valid.all()
        assert 0.01 < np.abs(clip.waveform / 32768).max() <= 1.0


def test_clips_and_speakers_are_in_one_split_each(corpus):
    parts = {p + s: open_clips(corpus, p + s) for p in ("", NEW) for s in SPLITS}
    names = [entry.clip for clips in parts.values() for entry in clips.entries]
    assert len(set(names)) == len(names) == 6
    known = {s for name, clips in parts.items() if not name.startswith(NEW) for s in clips.subjects}
    new = {s for name, clips in parts.items() if name.startswith(NEW) for s in clips.subjects}
    assert (known, new) == ({"speaker0000"}, {"speaker0001"})


def test_the_table_of_clips_is_in_the_order_of_the_records(corpus):
    for split in SPLITS:
        clips = open_clips(corpus, split)
        assert [clip_entry(clip) for clip in clips] == list(clips.entries)


def test_the_corpus_says_what_it_was_made_from(corpus):
    metadata = open_clips(corpus, "train").metadata
    assert metadata["made_from"]["clip_s"] == 2.0
    name = default_acoustic_model()
    assert metadata["acoustic"] == [name, acoustic_model_hash(name)]


def test_making_and_reading_need_no_tensorflow(corpus):
    assert open_clips(corpus, "train")[0].fps == "25"
    assert "tensorflow" not in sys.modules


def test_a_stopped_build_leaves_no_data_set_and_a_finished_one_is_kept(tmp_path, monkeypatch):
    config = SyntheticTalkingHeadConfig(**CONFIG)
    made = []

    def make(task):
        made.append(task)
        if len(made) == 4:
            raise KeyboardInterrupt
        features = default_model().feature_count
        return random_clip(f"clip{len(made)}", "somebody", 50, features=features)

    monkeypatch.setattr(synthetic, "_make", make)
    with pytest.raises(KeyboardInterrupt):
        build_corpus(config, tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no data set"):
        open_clips(tmp_path / "synthetic_talking_head" / config.name / "1.1.0", "train")
    folder = build_corpus(config, tmp_path)
    assert len(made) == 4 + 6
    assert build_corpus(config, tmp_path) == folder
    assert len(made) == 4 + 6


def test_configurations_have_names_of_their_own_and_sense():
    names = {
        SyntheticTalkingHeadConfig(**{**CONFIG, field: value}).name
        for field, value in dict(speakers=2, clips=4, clip_s=3.0, seed=1, fps="30000/1001").items()
    }
    assert len(names) == 5
    with pytest.raises(ValueError, match="expected positive numbers"):
        SyntheticTalkingHeadConfig(clips=0)


def test_unknown_splits_and_folders_are_named(corpus, tmp_path):
    with pytest.raises(ValueError, match=r"split: expected one of .*train.*, got 'tests'"):
        open_clips(corpus, "tests")
    with pytest.raises(FileNotFoundError, match="holds no data set"):
        open_clips(tmp_path, "train")
    with pytest.raises(IndexError, match="expected 0 to 0, got 1"):
        open_clips(corpus, "train")[1]


def test_speakers_have_voices_faces_and_styles_of_their_own():
    speakers = [make_speaker(0, index) for index in range(64)]
    assert len({speaker.voice.variant for speaker in speakers}) == 64
    assert len({speaker.style for speaker in speakers}) == 64
    faces = np.stack([speaker.face.identity for speaker in speakers])
    assert 0.9 < faces.std() < 1.1
    assert make_speaker(0, 3).style == speakers[3].style


def test_of_ten_clips_five_train_one_validates_and_four_test():
    splits = [split_of_index(i) for i in range(20)]
    assert [splits.count(split) for split in SPLITS] == [10, 2, 8]
    assert set(splits[:3]) == set(SPLITS)


def test_or_seven_train_one_validates_and_two_test():
    splits = [split_of_index(i, POSE_RATIO) for i in range(20)]
    assert [splits.count(split) for split in SPLITS] == [14, 2, 4]
    assert set(splits[:3]) == set(SPLITS)
    named = [split_of_name(f"clip {i}", POSE_RATIO) for i in range(4000)]
    shares = [named.count(split) / 4000 for split in SPLITS]
    np.testing.assert_allclose(shares, [0.7, 0.1, 0.2], atol=0.03)
    config = SyntheticTalkingHeadConfig(ratio=POSE_RATIO, acoustic_model="bundled")
    assert "_split7-1-2_" in config.name
    with pytest.raises(ValueError, match=r"ratio: expected one of 5-1-4, 7-1-2, got '8-1-1'"):
        SyntheticTalkingHeadConfig(ratio="8-1-1")


def test_the_split_by_name_is_stable_and_about_five_one_four():
    names = [f"clip {i}" for i in range(4000)]
    shares = [sum(split_of_name(n) == split for n in names) / 4000 for split in SPLITS]
    np.testing.assert_allclose(shares, [0.5, 0.1, 0.4], atol=0.03)
    # From sha256sum: the first 8 bytes of these digests, modulo 10, are 4, 6, 2 and 8.
    named = [split_of_name(name) for name in ("obama", "interview_07", "clip 0", "Zoë")]
    assert named == ["test", "test", "validation", "test"]


@pytest.fixture
def tracked(tmp_path):
    clips = [random_clip(f"clip{i}", f"person{i % 2}", 40 + i, seed=i) for i in range(12)]
    for clip in clips:
        save_tracked_clip(tmp_path / "tracked", clip, acoustic="abc")
    return tmp_path / "tracked", {clip.clip: clip for clip in clips}


def test_tracked_clips_come_back_as_they_were(tracked, tmp_path):
    folder, clips = tracked
    made, left_out = build_talking_head(folder, tmp_path / "data")
    assert left_out == []
    found = {}
    for split in {split_of_name(name) for name in clips}:
        for clip in open_clips(made, split):
            assert split_of_name(clip.clip) == split
            found[clip.clip] = clip
    assert found.keys() == clips.keys()
    for name, clip in clips.items():
        assert_same_clip(found[name], clip)


def broken(clip, **changes):
    return dataclasses.replace(clip, **changes)


GOOD = random_clip("x", "s", 40)
MALFORMED = {
    "degrees": (broken(GOOD, pose=GOOD.pose * 57), "pose: expected angles in radians"),
    "lengths": (broken(GOOD, blink=GOOD.blink[1:]), r"features: expected the shape \(39, any\)"),
    "nan": (broken(GOOD, expression=GOOD.expression * np.float32("nan")), "expression: .* finite"),
    "sound": (broken(GOOD, waveform=GOOD.waveform[:9000]), "waveform: expected the 1.60 s"),
    "float64": (broken(GOOD, pose=GOOD.pose.astype(np.float64)), "pose: expected an array of fl"),
    "blink": (broken(GOOD, blink=GOOD.blink + 1), "blink: expected AU45 intensities from 0 to 5"),
    "faceless": (broken(GOOD, valid=np.zeros(40, bool)), "valid: expected a face"),
    "rate": (broken(GOOD, fps="fast"), "fps must be a number from"),
    "nobody": (broken(GOOD, subject=""), "subject: expected a text"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_clips_are_refused_with_the_reason(name, tmp_path):
    clip, reason = MALFORMED[name]
    with pytest.raises(ValueError, match=reason):
        save_tracked_clip(tmp_path, clip, acoustic="abc")
    assert not list(tmp_path.glob("*/*"))


def test_clips_that_cannot_be_used_are_left_out_with_the_reason(tracked, tmp_path):
    folder, clips = tracked
    (folder / "clip3" / "clip.npz").write_bytes(b"PK and then nothing")
    arrays = dict(np.load(folder / "clip4" / "clip.npz"))
    np.savez(folder / "clip4" / "clip.npz", **{k: v for k, v in arrays.items() if k != "valid"})
    arrays = dict(np.load(folder / "clip5" / "clip.npz"))
    np.savez(folder / "clip5" / "clip.npz", **arrays | {"pose": arrays["pose"] * 57})
    save_tracked_clip(folder, random_clip("narrow", "s", 40, features=5), acoustic="abc")
    save_tracked_clip(folder, random_clip("other", "s", 40), acoustic="def")
    made, left_out = build_talking_head(folder, tmp_path / "data")
    reasons = dict(left_out)
    assert sorted(reasons) == ["clip3", "clip4", "clip5", "narrow", "other"]
    assert "damaged" in reasons["clip3"]
    assert "lacks valid" in reasons["clip4"]
    assert "in degrees" in reasons["clip5"]
    assert "expected 29 columns" in reasons["narrow"]
    assert "one acoustic model" in reasons["other"]
    table = (made / "left_out.tsv").read_text().splitlines()
    assert table[0] == "clip\treason"
    assert len(table) == 6
    splits = {split_of_name(name) for name in clips if name not in reasons}
    kept = [c for s in splits for c in open_clips(made, s).entries]
    assert len(kept) == 9


def test_a_changed_folder_makes_another_data_set(tracked, tmp_path):
    folder, _ = tracked
    first, _ = build_talking_head(folder, tmp_path / "data")
    again, _ = build_talking_head(folder, tmp_path / "data")
    assert again == first
    save_tracked_clip(folder, random_clip("clip0", "person0", 41, seed=99), acoustic="abc")
    other, _ = build_talking_head(folder, tmp_path / "data")
    assert other != first


def test_folders_without_a_usable_clip_say_why(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"NAME/clip\.npz, found none"):
        build_talking_head(tmp_path, tmp_path / "data")
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "clip.npz").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"can be used:\none: clip\.npz is damaged"):
        build_talking_head(tmp_path, tmp_path / "data")


def test_frames_without_a_face_may_hold_anything(tmp_path):
    clip = random_clip("a", "s", 40, valid=np.arange(40) % 20 != 7)
    clip.pose[7] = clip.blink[27] = np.nan
    save_tracked_clip(tmp_path, clip, acoustic="abc")
    loaded, acoustic = load_tracked_clip(tmp_path / "a" / "clip.npz")
    assert acoustic == "abc"
    assert clip_entry(loaded).segments == ((0, 7), (8, 27), (28, 40))
    assert set(ARRAY_FIELDS) <= set(np.load(tmp_path / "a" / "clip.npz").files)


def test_soft_tissue_adds_an_identity_of_every_frame_and_changes_nothing_else(tmp_path):
    config = SyntheticTalkingHeadConfig(
        speakers=1, new_speakers=0, clips=1, clip_s=2.0, soft_tissue=True
    )
    stored = open_clips(build_corpus(config, tmp_path), "train")[0]
    options = dict(seconds=2.0, fps=Fraction(25), acoustic_model=default_model())
    plain = make_clip(0, 0, 0, **options)
    assert plain.frame_identity is None
    assert_same_clip(dataclasses.replace(stored, frame_identity=None), plain)
    check_clip(stored)
    moved = stored.frame_identity - stored.identity
    change = softness(0, 0) * np.stack(
        [stored.pose[:, 0] / np.radians(18.0), stored.expression[:, JAW_OPEN]], axis=1
    )
    np.testing.assert_allclose(moved, change @ tissue_directions(), atol=1e-4)


def test_tissue_moves_by_millimetres_where_it_is_soft_and_identity_can_show_it():
    model = procedural_face_model()
    fields = tissue_fields()
    shown = np.moveaxis(np.asarray(model.identity_basis) @ tissue_directions().T, -1, 0)
    lower = np.asarray(lower_face(model.mean_shape, model.landmarks))
    for field, found in zip(fields, shown, strict=True):
        lengths = 100 * np.linalg.norm(found, axis=1)
        assert 2.0 < lengths.max() < 7.0
        assert (lengths**2)[lower].sum() > 0.8 * (lengths**2).sum()
        assert np.linalg.norm(found - field) < 0.25 * np.linalg.norm(field)


def test_clips_with_and_without_an_identity_of_every_frame_share_a_data_set(tmp_path):
    with_one = random_clip("a", "s", 40, frame_identity=True)
    without = random_clip("b", "s", 40, seed=1)
    for clip in (with_one, without):
        save_tracked_clip(tmp_path / "tracked", clip, acoustic="abc")
        assert_same_clip(load_tracked_clip(tmp_path / "tracked" / clip.clip / "clip.npz")[0], clip)
    folder, _ = build_talking_head(tmp_path / "tracked", tmp_path / "data")
    splits = {
        row["name"] for row in json.loads((folder / "dataset_info.json").read_text())["splits"]
    }
    found = {clip.clip: clip for split in splits for clip in open_clips(folder, split)}
    assert_same_clip(found["a"], with_one)
    assert_same_clip(found["b"], without)
    np.testing.assert_array_equal(found["b"].identities, np.tile(without.identity, (40, 1)))
    with pytest.raises(ValueError, match="no place for frame_identity of a"):
        stored_example(with_one)


def test_a_tracked_video_is_divided_in_time_and_people_are_told_apart(tmp_path):
    clips = [random_clip("a", "ann", 100, frame_identity=True), random_clip("b", "bob", 100)]
    for clip in clips:
        save_tracked_clip(tmp_path, clip, acoustic="abc")
    people = dict(open_people(tmp_path))
    assert list(people) == ["ann", "bob"]
    parts = [people["ann"].train[0], people["ann"].validation[0], people["ann"].test[0]]
    assert [len(part) for part in parts] == [70, 10, 20]
    for part in parts:
        check_clip(part)
    for name in ("features", "pose", "frame_identity"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(joined, getattr(clips[0], name))
    assert [name for name, _ in open_people(tmp_path, "bob")] == ["bob"]
    with pytest.raises(ValueError, match="expected one of ann, bob, got 'eve'"):
        next(open_people(tmp_path, "eve"))


def test_clips_without_an_identity_of_every_frame_have_the_hash_that_they_always_had():
    clips = clip_source(random_clip("a", "b", 40))
    assert clips_hash(clips) == "d3cb1abd1caf7a6d9294a066496d9665ce8cb02dadaa7169b6e3dbdd3dc2896c"
    assert clips_hash(clip_source(random_clip("a", "b", 40, frame_identity=True))) != clips_hash(
        clips
    )


def test_frame_identities_of_another_length_are_refused():
    clip = random_clip("a", "b", 40, frame_identity=True)
    wrong = dataclasses.replace(clip, frame_identity=clip.frame_identity[:-1])
    with pytest.raises(ValueError, match=r"frame_identity: expected the shape \(40, 80\)"):
        check_clip(wrong)
