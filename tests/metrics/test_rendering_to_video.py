"""The measures of a person's generated pictures, on numbers that can be worked out by hand."""

import tracemalloc

import numpy as np
import pytest

from facial_jax.attributes import Attributes
from facial_jax.metrics import rendering_to_video as evaluation
from facial_jax.metrics.jitter import landmark_jitter
from facial_jax.subject import load_subject


def attributes(t, **given):
    zeros = {
        "expression": np.zeros((t, 64), np.float32),
        "pose": np.zeros((t, 6), np.float32),
        "blink": np.zeros(t, np.float32),
    }
    return Attributes(**zeros | given)


def face(t):
    """(t, 68, 2) a face that stands still, its eyes 10 apart and open by a third."""
    points = np.zeros((t, 68, 2))
    points[:, 36:42] = [[0, 0], [1, -0.5], [2, -0.5], [3, 0], [2, 0.5], [1, 0.5]]
    points[:, 42:48] = points[:, 36:42] + [7, 0]
    return points


def test_the_nearest_frame_is_nearest_in_standard_deviations():
    # Radians move little and blinks much: unstandardised, the blink alone would decide.
    pose = np.zeros((5, 6), np.float32)
    pose[:, 1] = [0.0, 0.02, 0.04, 0.04, 0.001]
    blink = np.array([0, 1, 2, 0.9, 0.2], np.float32)
    found = evaluation.nearest_frames(attributes(5, pose=pose, blink=blink), 3)
    # Deviations 0.0163 and 0.816: frame 3 is (2.4, 1.1) from frame 0, (1.2, 0.1) from 1, (0, 1.3)
    # from 2.
    np.testing.assert_array_equal(found, [1, 0])


def test_the_nearest_frames_of_minutes_need_little_memory():
    rng = np.random.default_rng(0)
    pose = rng.standard_normal((4000, 6), np.float32)
    tracemalloc.start()
    found = evaluation.nearest_frames(attributes(4000, pose=pose), 3200)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6  # all differences at once: 730 MB
    scaled = pose / pose[:3200].std(axis=0)
    expected = np.square(scaled[3200:3210, None] - scaled[:3200]).sum(-1).argmin(axis=1)
    np.testing.assert_array_equal(found[:10], expected)


def test_a_perfect_copy_is_better_than_both_baselines():
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (10, 64, 64, 3), dtype=np.uint8)
    blink = np.arange(10, dtype=np.float32) / 2
    found = evaluation.means(
        evaluation.compare_pictures(frames[8:], frames, attributes(10, blink=blink), 8)
    )
    assert found["generated"]["psnr_db"] > 100
    assert found["generated"]["ssim"] == pytest.approx(1, abs=1e-5)
    assert found["generated"]["perceptual"] == pytest.approx(0, abs=1e-5)
    assert found["generated"]["cpbd"] == found["real"]["cpbd"]
    for baseline in ("mean frame", "nearest training frame"):
        assert found[baseline]["psnr_db"] < 15
        assert found[baseline]["ssim"] < 0.5
        assert found[baseline]["perceptual"] > 1e-3
    mean = frames[:8].astype(np.float64).mean(0).round()
    expected = -10 * np.log10(np.mean(((mean - frames[8:]) / 255) ** 2, axis=(1, 2, 3))).mean()
    assert found["mean frame"]["psnr_db"] == pytest.approx(expected, abs=1e-3)


def test_eyes_that_follow_the_blink_correlate_and_eyes_that_do_not_have_zero():
    blink = 5 * np.maximum(np.sin(np.arange(60) / 4), 0) ** 4
    follow = face(60)
    follow[:, 36:48, 1] *= (1 - 0.18 * blink)[:, None]
    found = evaluation.eye_closing(follow, blink)
    assert found["correlation"] == pytest.approx(1, abs=1e-3)
    assert found["opening_closed"] < 0.6 < 0.9 < found["opening_open"]
    assert evaluation.eye_closing(face(60), blink)["correlation"] == 0
    follow[::2] = np.nan
    assert evaluation.eye_closing(follow, blink)["seen"] == 0.5
    with pytest.raises(ValueError, match="at least three frames"):
        evaluation.eye_closing(np.full((9, 68, 2), np.nan), blink[:9])


def test_jitter_is_the_acceleration_in_widths_of_the_eyes():
    still = face(6)
    assert landmark_jitter(still) == 0
    evenly = still + np.arange(6)[:, None, None]
    assert landmark_jitter(evenly) == pytest.approx(0)
    # To and fro by 1: the second difference is 4 at every frame; the eyes' corners are 10 apart.
    trembling = still + np.array([0.5, -0.5] * 3)[:, None, None] * [1, 0]
    assert landmark_jitter(trembling) == pytest.approx(0.2)
    assert landmark_jitter(7 * trembling) == pytest.approx(0.2)
    trembling[2] = np.nan
    assert landmark_jitter(trembling) == pytest.approx(0.2)
    with pytest.raises(ValueError, match="three frames"):
        landmark_jitter(trembling[:4])


@pytest.fixture(scope="module")
def held_out():
    """The demo subject's frames of some attributes."""
    subject = load_subject("demo")
    pose = np.zeros((4, 6), np.float32)
    pose[:, 5] = -2
    moving = attributes(4, pose=pose)
    return subject, moving, evaluation.generate(subject, moving)


def test_regions_are_compared_alone_beside_what_the_network_sees(held_out):
    subject, moving, real = held_out
    made = real.copy()
    made[:, :20, :20] = 255 - made[:, :20, :20]  # a corner, where no face is
    seen = evaluation.shown_to_network(subject, moving)
    rows = evaluation.compare_regions(seen, moving.blink, real, made)
    generated, shown = rows["generated"], rows["what the network sees"]
    assert generated["whole_psnr_db"] < 40
    for region in ("face", "mouth", "eyes"):
        assert generated[f"{region}_psnr_db"] > 60
        assert 5 < shown[f"{region}_psnr_db"] < 40
    assert "closed_eyes_psnr_db" not in generated
    closing = moving.replace(blink=np.array([0, 3, 4, 0], np.float32))
    changed = real.copy()
    changed[[0, 3]] = 255 - changed[[0, 3]]  # frames whose eyes are open
    seen = evaluation.shown_to_network(subject, closing)
    rows_closing = evaluation.compare_regions(seen, closing.blink, real, changed)
    assert rows_closing["generated"]["closed_eyes_psnr_db"] > 60
    assert rows_closing["generated"]["eyes_psnr_db"] < 20
    assert generated["specks_permille"] == pytest.approx(1000 * 400 / real[0, ..., 0].size, rel=0.3)
    assert rows["real"]["folding"] > 0


def test_the_worst_mouths_are_shown_real_shown_and_generated(held_out, monkeypatch):
    subject, moving, real = held_out
    monkeypatch.setattr(evaluation, "_WORST", 2)
    made = real.copy()
    made[[1, 3], 100:] = 255 - made[[1, 3], 100:]
    sheet = evaluation.worst_mouths(evaluation.shown_to_network(subject, moving), real, made)
    size = real.shape[1]
    assert sheet.shape == (3 * size, 2 * size, 3)
    np.testing.assert_array_equal(sheet[:size], np.concatenate([real[1], real[3]], axis=1))
    np.testing.assert_array_equal(sheet[2 * size :], np.concatenate([made[1], made[3]], axis=1))


def test_landmarks_irises_and_the_pasted_face_are_compared(held_out):
    subject, moving, real = held_out
    points = face(4) * 8 + 80
    points[:, 8] = [120, 160]
    irises = np.stack([points[:, 36:42].mean(axis=1), points[:, 42:48].mean(axis=1)], axis=1)
    made = real.copy()
    made[:, :5] = 0
    moved = points.copy()
    moved[:, 48:68, 1] += np.arange(20)
    videos = {id(made): evaluation.Seen(moved, irises + np.array([1.0, 0])), id(real): None}
    videos[id(real)] = evaluation.Seen(points, irises)
    rows = evaluation.compare_landmarks(
        subject, moving, real, made, landmarks=lambda frames, _: videos[id(frames)]
    )
    assert rows["pasted"]["psnr_db"] > rows["whole"]["psnr_db"] + 10
    assert rows["whole"]["mouth_lmd_percent"] > rows["whole"]["lmd_percent"] > 0
    assert rows["whole"]["opening_error"] == pytest.approx(0, abs=1e-6)
