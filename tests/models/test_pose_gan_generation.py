"""Chained generation of head poses with a tiny PoseGAN."""

import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.attributes import Attributes
from facial_jax.metrics.pose_seams import measure_seams
from facial_jax.models.layers.seams import continue_motion
from facial_jax.models.pose_gan.generation import (
    GENERATOR_FILE,
    WINDOW_FRAMES,
    PoseGan,
    _generate_window,
    generate_poses,
    load_pose_gan,
    save_pose_gan,
)
from facial_jax.models.pose_gan.network import PoseGenerator
from facial_jax.models.pose_gan.rest_frame import (
    PoseStatistics,
    pose_before_camera,
    pose_from_rest,
    pose_statistics,
    poses_from_rest,
    resting_pose,
)
from facial_jax.rendering.camera import pose_vertices
from facial_jax.subject import BUNDLED_SUBJECTS
from tests.random_clips import clip_source, random_clip

GENERATOR = PoseGenerator(encoder_features=(1, 1, 2, 2), unet_features=(2, 2), fusion_features=(3,))
REST = np.array([0.1, -0.3, 0.05, 0.2, -0.1, 0.3], np.float32)


@pytest.fixture(scope="module")
def model():
    shapes = jax.eval_shape(
        GENERATOR.init, jax.random.key(0), jnp.zeros((1, 256, 5)), jnp.zeros((1, 6))
    )
    rng = np.random.default_rng(1)
    # Positive, because some of them are variances.
    variables = jax.tree.map(lambda s: rng.uniform(0.1, 0.5, s.shape).astype(np.float32), shapes)
    statistics = PoseStatistics(mean=jnp.full(6, 0.01), std=jnp.full(6, 0.005))
    return PoseGan(variables=variables, statistics=statistics, rest_pose=REST, generator=GENERATOR)


def features(frames, seed=0):
    return np.random.default_rng(seed).normal(size=(frames, 5)).astype(np.float32)


def test_speech_of_any_length_gives_as_many_poses_with_one_compilation(model):
    _generate_window.cache_clear()
    for frames in (1, 2, 255, 256, 257, 700):
        poses = generate_poses(model, features(frames))
        assert poses.shape == (frames, 6)
        assert poses.dtype == np.float32
        assert np.isfinite(poses).all()
    assert _generate_window.cache_info().misses == 1


def test_windows_are_the_networks_and_each_starts_from_the_pose_before(model):
    x = features(2 * WINDOW_FRAMES)
    poses = generate_poses(model, x)
    before = pose_from_rest(REST, REST)
    for start in (0, WINDOW_FRAMES):
        mean, std = np.asarray(model.statistics.mean), np.asarray(model.statistics.std)
        raw = jax.jit(model.generator.apply)(
            model.variables,
            jnp.asarray(x[None, start : start + WINDOW_FRAMES]),
            jnp.asarray((before - mean) / std)[None],
        )
        expected = continue_motion(raw[0] * std[None] + mean[None], jnp.asarray(before))
        got = pose_from_rest(poses[start : start + WINDOW_FRAMES], REST)
        np.testing.assert_allclose(got, expected, atol=2e-5)
        before = got[-1]


def test_where_windows_lie_depends_on_the_frame_number_alone(model):
    x = features(600)
    whole = generate_poses(model, x)
    np.testing.assert_array_equal(generate_poses(model, x[:512]), whole[:512])
    later = generate_poses(model, x[256:], initial_pose=whole[255])
    np.testing.assert_allclose(later, whole[256:], atol=1e-5)


def test_the_initial_pose_is_where_the_head_comes_from(model):
    initial = REST + np.float32(0.2)
    poses = generate_poses(model, features(30), initial_pose=initial)
    steps = np.abs(np.diff(poses, axis=0, prepend=initial[None])).max(axis=1)
    assert steps[0] <= 2 * steps[1:].max()
    assert np.abs(generate_poses(model, features(30)) - poses).max() > 1e-3


def test_the_head_goes_on_over_a_seam_as_it_does_after_it():
    rng = np.random.default_rng(0)
    window = jnp.asarray(rng.normal(size=(256, 6)), jnp.float32)
    before = jnp.asarray(rng.normal(size=6), jnp.float32)
    smooth = np.asarray(continue_motion(window, before))
    np.testing.assert_allclose(smooth[0] - before, window[1] - window[0], atol=1e-5)
    np.testing.assert_allclose(smooth[150:], window[150:], atol=1e-4)


def test_without_the_initial_pose_windows_know_nothing_of_one_another(model):
    blind = GENERATOR.clone(with_initial_pose=False)
    variables = jax.jit(blind.init)(jax.random.key(0), jnp.zeros((1, 256, 5)), jnp.zeros((1, 6)))
    model = model.replace(variables=variables, generator=blind)
    x = features(512)
    np.testing.assert_allclose(
        generate_poses(model, x)[256:], generate_poses(model, x[256:]), atol=1e-6
    )


def test_the_bundled_heads_move_and_do_not_jump_where_windows_meet():
    model = load_pose_gan(BUNDLED_SUBJECTS / "demo" / GENERATOR_FILE)
    rng = np.random.default_rng(0)
    # Something like phonemes, each held for some frames.
    sounds = np.eye(model.speech_features, dtype=np.float32)[rng.integers(40, size=500)]
    poses = generate_poses(model, np.repeat(sounds, 5, axis=0))
    seams = measure_seams(poses, model.statistics.std)
    assert seams.largest_at_seams <= seams.largest_elsewhere
    assert (poses.std(axis=0) > 0.2 * np.asarray(model.statistics.std)).all()
    np.testing.assert_allclose(poses.mean(axis=0), model.rest_pose, atol=0.15)


def test_memory_does_not_grow_with_the_length_but_for_the_poses(model):
    def peak(frames):
        x = features(frames)
        tracemalloc.start()
        generate_poses(model, x)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most - frames * 6 * 4

    peak(300)
    assert peak(256 * 20) < peak(256 * 2) + 100_000


def test_saved_and_loaded_model_generates_the_same(model, tmp_path):
    save_pose_gan(tmp_path / "whole.safetensors", model, half_precision=False)
    loaded = load_pose_gan(tmp_path / "whole.safetensors")
    x = features(300)
    np.testing.assert_array_equal(generate_poses(loaded, x), generate_poses(model, x))
    save_pose_gan(tmp_path / "half.safetensors", model)
    half = load_pose_gan(tmp_path / "half.safetensors")
    np.testing.assert_allclose(generate_poses(half, x), generate_poses(model, x), atol=2e-3)


def test_errors_say_what_is_wrong(model, tmp_path):
    with pytest.raises(ValueError, match="at least one frame"):
        generate_poses(model, features(0))
    with pytest.raises(ValueError, match="5 speech features a frame, got 7"):
        generate_poses(model, np.zeros((3, 7), np.float32))
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors"):
        load_pose_gan(tmp_path / "none.safetensors")


def test_seen_from_rest_a_head_is_where_it_was():
    rng = np.random.default_rng(0)
    pose = rng.uniform(-0.4, 0.4, (7, 6)).astype(np.float32)
    seen = pose_from_rest(pose, REST)
    np.testing.assert_allclose(pose_before_camera(seen, REST), pose, atol=1e-5)
    np.testing.assert_allclose(pose_from_rest(REST, REST), np.zeros(6), atol=1e-6)
    # A head's points, moved by the pose as it is seen, and then as the resting head is.
    points = jnp.asarray(rng.normal(size=(1, 9, 3)), jnp.float32)

    def moved(points, pose):
        pose = jnp.asarray(pose)
        return pose_vertices(
            points, Attributes(expression=jnp.zeros((1, 64)), pose=pose, blink=jnp.zeros(1))
        )

    twice = moved(moved(points, seen[:1]), REST[None])
    np.testing.assert_allclose(twice, moved(points, pose[:1]), atol=1e-4)


def test_clips_before_other_cameras_are_alike_from_rest():
    clip = random_clip("a", "s", 90)
    rest = clip.pose.mean(axis=0)
    away = random_clip("b", "s", 90)
    away.pose[:] = pose_before_camera(pose_from_rest(clip.pose, rest), rest + np.float32(0.3))
    np.testing.assert_allclose(poses_from_rest(away), poses_from_rest(clip), atol=0.02)
    statistics = pose_statistics(clip_source(clip, away))
    np.testing.assert_allclose(statistics.mean, np.zeros(6), atol=0.01)
    np.testing.assert_allclose(
        resting_pose(clip_source(clip, away)), rest + np.float32(0.15), atol=0.01
    )


def test_the_filter_sees_no_frame_beyond_a_cut():
    valid = np.ones(60, bool)
    valid[30] = False
    clip = random_clip("a", "s", 60, valid=valid)
    clip.pose[30] = np.nan
    before = poses_from_rest(clip, 3.0)[:30]
    clip.pose[31:, 0] += 0.2
    clip.pose[:30, 0] -= 0.2  # the middle stays
    after = poses_from_rest(clip, 3.0)[:30]
    assert np.isfinite(after).all()
    step = pose_from_rest(clip.pose[:30], clip.pose[valid].mean(axis=0))
    assert np.abs(after.mean(axis=0) - step.mean(axis=0)).max() < 0.02
    assert np.abs(before - after).max() > 0.1
