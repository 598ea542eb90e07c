"""Windows of clips: which there are, what is in them, and that they come again as they came."""

import json

import jax
import numpy as np
import pytest

from facial_jax.attributes import pack_attributes, standardize, unstandardize
from facial_jax.data.clips import (
    ClipEntry,
    ClipSource,
    clip_entry,
    clip_to_example,
    joined_clips,
)
from facial_jax.data.resident_windows import (
    cut_resident_windows,
    resident_bytes,
    resident_clips,
    resident_places,
)
from facial_jax.data.windows import (
    Perturbation,
    WindowCutter,
    clip_statistics,
    evaluation_windows,
    steps_per_epoch,
    subject_statistics,
    training_draws,
    training_windows,
    window_table,
)
from tests.random_clips import clip_source, random_clip

FRAMES = 16


class Records:
    """Stands for the data source of TFDS; counts how often it is read."""

    def __init__(self, clips):
        self.clips, self.reads = clips, 0

    def __getitem__(self, index):
        self.reads += 1
        example = clip_to_example(self.clips[index])
        return {k: v.encode() if isinstance(v, str) else v for k, v in example.items()}


def source(*clips):
    return ClipSource(tuple(clip_entry(clip) for clip in clips), Records(clips), {})


def two_speakers():
    clips = [random_clip(f"{who}{k}", who, 60 + 7 * k, seed=k) for who in "ab" for k in range(2)]
    return source(*clips)


def batches(clips, count, state=None, **options):
    options = {"batch": 4, "seed": 3, "frames": FRAMES, "perturbation": Perturbation()} | options
    iterator = iter(training_windows(clips, **options))
    if state is not None:
        iterator.set_state(state)
    return [next(iterator) for _ in range(count)], iterator.get_state()


def assert_same(first, second):
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_table_of_known_clips():
    entries = [
        ClipEntry("a", "s", ((0, 150),)),
        ClipEntry("b", "s", ((0, 20), (30, 70), (90, 220))),
    ]
    table = window_table(entries, frames=128, stride=5)
    expected = [[0, 1, 128, 4], [0, 6, 128, 4], [0, 11, 128, 4], [0, 16, 128, 4], [0, 21, 128, 1]]
    expected += [[1, 31, 39, 0], [1, 91, 128, 1]]
    assert table.tolist() == expected


def test_clips_without_a_window_say_so():
    with pytest.raises(ValueError, match="more than 32 valid frames in at least one of 1 clips"):
        window_table([ClipEntry("a", "s", ((0, 20),))])


def test_a_window_holds_what_its_clip_holds():
    clip = random_clip("a", "s", 40)
    windows = WindowCutter(source(clip), frames=FRAMES).cut(np.array([[0, 3, 16], [0, 24, 16]]))
    statistics = clip_statistics(clip)
    packed = np.asarray(standardize(pack_attributes(clip.attributes), statistics))
    np.testing.assert_allclose(windows["initial_state"], packed[[2, 23]], atol=1e-6)
    np.testing.assert_allclose(windows["attributes"], [packed[3:19], packed[24:40]], atol=1e-6)
    padded = np.pad(clip.features, ((8, 8), (0, 0)))
    # The window of frame f, rows f - 8 to f + 7, is rows f - first to f - first + 15 of these.
    np.testing.assert_array_equal(windows["rows"], [padded[3 : 3 + 31], padded[24 : 24 + 31]])
    assert windows["valid"].all()


def test_what_is_learnt_may_be_other_than_attributes():
    clip = random_clip("a", "s", 60)
    cutter = WindowCutter(source(clip), frames=FRAMES, learnt=lambda clip: clip.pose[:, :2])
    windows = cutter.cut(np.array([[0, 3, 16]]))
    np.testing.assert_array_equal(windows["initial_state"], clip.pose[2:3, :2])
    np.testing.assert_array_equal(windows["attributes"], clip.pose[None, 3:19, :2])
    data, begins = resident_clips(cutter, None)
    places = resident_places({"places": np.array([[0, 3, 16]])}, begins, channels=2)
    batch = jax.jit(cut_resident_windows)(jax.tree.map(np.asarray, data), places)
    np.testing.assert_array_equal(batch.attributes, windows["attributes"])
    np.testing.assert_array_equal(batch.rows, windows["rows"])


def test_a_short_clip_is_padded():
    clip = random_clip("a", "s", 60)
    (windows,) = evaluation_windows(source(clip), batch=2, frames=64)
    assert windows["valid"].tolist() == [[True] * 59 + [False] * 5]
    assert (windows["attributes"][0, 59:] == windows["attributes"][0, 58]).all()
    assert (windows["rows"][0, 8 + 59 :] == 0).all()
    assert np.isfinite(windows["attributes"]).all()


def test_windows_stay_off_frames_without_a_face():
    valid = np.ones(200, bool)
    valid[70:75] = valid[150:] = False
    clip = random_clip("a", "s", 200, valid=valid)
    clip.pose[~valid] = np.nan
    windows, _ = batches(source(clip), 40, perturbation=None)
    assert all(np.isfinite(x["attributes"]).all() for x in windows)
    assert all(np.isfinite(x["initial_state"]).all() for x in windows)
    used = {f for x in windows for first in x["first"] for f in range(first - 1, first + FRAMES)}
    assert used <= set(np.flatnonzero(valid))
    assert len(used) > 0.95 * valid.sum()


def test_each_epoch_sees_each_window_once_in_another_order_and_at_another_frame():
    clips = two_speakers()
    table = window_table(clips.entries, frames=FRAMES)
    steps = steps_per_epoch(clips, batch=2, frames=FRAMES)
    assert steps == len(table) // 2
    made, _ = batches(clips, 3 * steps, batch=2)
    places = np.array([[x["clip"], x["first"]] for x in made]).transpose(0, 2, 1)
    places = places.reshape(3, len(table), 2)
    slots = [sorted((clip, (first - 1) // 5) for clip, first in epoch) for epoch in places.tolist()]
    assert slots[0] == [(clip, (first - 1) // 5) for clip, first in table[:, :2].tolist()]
    assert slots[0] == slots[1] == slots[2]
    assert not np.array_equal(places[0], places[1])
    assert len({tuple(sorted(map(tuple, epoch))) for epoch in places.tolist()}) == 3


@pytest.mark.parametrize("stop", [0, 1, 7, 30])
def test_an_iterator_whose_state_is_put_back_goes_on_exactly_there(stop):
    whole, _ = batches(two_speakers(), stop + 12)
    _, state = batches(two_speakers(), stop)
    rest, _ = batches(two_speakers(), 12, state=json.loads(json.dumps(state)))
    assert_same(whole[stop:], rest)


def test_another_seed_makes_other_batches():
    first, _ = batches(two_speakers(), 1)
    second, _ = batches(two_speakers(), 1, seed=4)
    assert not np.array_equal(first[0]["rows"], second[0]["rows"])


def test_attributes_are_standardised_per_video_and_come_back():
    clip = random_clip("a", "s", 50)
    statistics = clip_statistics(clip)
    packed = np.asarray(pack_attributes(clip.attributes))
    standardised = np.asarray(standardize(packed, statistics))
    np.testing.assert_allclose(standardised.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(standardised.std(axis=0), 1, atol=1e-4)
    np.testing.assert_allclose(unstandardize(standardised, statistics), packed, atol=1e-5)


def test_a_subjects_statistics_are_those_of_all_their_valid_frames():
    valid = np.arange(67) < 40
    clips = [random_clip("a", "s", 50), random_clip("b", "s", 67, seed=1, valid=valid)]
    clips.append(random_clip("c", "t", 50, seed=2))
    found = subject_statistics(source(*clips))
    assert sorted(found) == ["s", "t"]
    yaw = np.concatenate([clips[0].pose[:, 1], clips[1].pose[:40, 1]])
    np.testing.assert_allclose(found["s"].mean[1], yaw.mean(), rtol=1e-4)
    np.testing.assert_allclose(found["s"].std[1], yaw.std(), rtol=1e-4)
    cutter = WindowCutter(source(*clips), frames=FRAMES, statistics=found)
    state = cutter.cut(np.array([[0, 1, 16]]))["initial_state"][0, 1]
    np.testing.assert_allclose(state, (clips[0].pose[0, 1] - yaw.mean()) / yaw.std(), rtol=1e-3)


def test_a_perturbed_truth_goes_back_to_where_it_was():
    clean, _ = batches(two_speakers(), 1, batch=64, perturbation=None)
    perturbation = Perturbation(start_share=0.5)
    perturbed = perturbation.apply(clean[0], perturbation.draw(64, np.random.default_rng(0)))
    off = perturbed["initial_state"] - clean[0]["initial_state"]
    moved = np.abs(off).max(axis=1) > 0
    assert 0.45 < moved.mean() < 0.9
    late = perturbed["attributes"] - clean[0]["attributes"]
    np.testing.assert_allclose(late[:, 9, 1], off[:, 1] * np.exp(-10 / 20), atol=1e-5)
    np.testing.assert_allclose(late[:, 9, 10], off[:, 10] * np.exp(-10 / 2), atol=1e-5)
    silent = (perturbed["rows"][:, :8] == 0).all(axis=(1, 2))
    assert 0.3 < silent.mean() < 0.8
    np.testing.assert_array_equal(perturbed["rows"][:, 8:], clean[0]["rows"][:, 8:])


@pytest.mark.parametrize("perturbation", [None, Perturbation(start_share=0.5)])
def test_windows_cut_on_a_device_are_those_of_the_host_to_the_bit(perturbation):
    valid = np.arange(130) < 100
    clips = source(
        random_clip("a0", "a", 60),
        random_clip("b0", "b", 130, seed=1, valid=valid),
        random_clip("a1", "a", 40, seed=2),
    )
    options = {"batch": 8, "seed": 3, "perturbation": perturbation}
    for frames in (16, 64):  # of 64 frames, windows of short clips are held at their end
        draws = training_draws(clips, frames=frames, **options)
        statistics = subject_statistics(clips)
        cutter = WindowCutter(clips, frames=frames, statistics=statistics)
        data, begins = resident_clips(cutter, perturbation)
        assert data.features.nbytes + data.attributes.nbytes == resident_bytes(clips) + 30 * 400
        cut = jax.jit(cut_resident_windows)
        host = training_windows(clips, frames=frames, statistics=statistics, **options)
        for number, windows in zip(range(12), host, strict=False):
            found = cut(data, resident_places(draws[number], begins))
            for name in ("rows", "initial_state", "attributes", "valid"):
                np.testing.assert_array_equal(getattr(found, name), windows[name], err_msg=name)


def test_clips_are_read_once():
    clips = two_speakers()
    batches(clips, 60)
    assert clips._source.reads <= 6  # two threads may meet at a clip


def test_clips_of_one_subject_are_that_subjects():
    chosen = two_speakers().of_subject("b")
    assert [clip.clip for clip in chosen] == ["b0", "b1"]
    assert chosen.subjects == ("b",)
    with pytest.raises(ValueError, match="expected one of a, b, got 'c'"):
        two_speakers().of_subject("c")


def test_a_shape_of_every_frame_is_for_pgface_and_not_among_the_attributes():
    clip = random_clip("a", "a", 40, frame_identity=True)
    assert clip.attributes.identity is None
    np.testing.assert_array_equal(clip.identities, clip.frame_identity)


def test_joined_sources_are_one_after_the_other():
    a, b, c = (random_clip(f"{x}0", x, 140, seed=i) for i, x in enumerate("abc"))
    joined = joined_clips([clip_source(a, b).of_subject("b"), clip_source(c, a)])
    assert [entry.clip for entry in joined.entries] == ["b0", "c0", "a0"]
    for index, clip in enumerate((b, c, a)):
        assert joined[index].clip == clip.clip
        np.testing.assert_array_equal(joined[index].features, clip.features)
    assert joined.of_subject("c")[0].clip == "c0"
