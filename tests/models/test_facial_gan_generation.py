"""Chained generation with a tiny FACIAL-GAN."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.attributes import AttributeStatistics, pack_attributes, standardize, unstandardize
from facial_jax.audio.features import context_windows, feature_windows
from facial_jax.models.facial_gan.generation import (
    WINDOW_FRAMES,
    FacialGan,
    blink_when_due,
    continue_pose,
    generate_attributes,
    load_facial_gan,
    save_facial_gan,
)
from facial_jax.models.facial_gan.network import FacialGenerator

TINY = dict(
    temporal_features=(2, 2, 4, 4),
    unet_features=(4, 4, 4, 4, 4),
    fusion_features=(8, 8),
    latent_size=4,
    local_features=(4, 4, 4, 4),
)


@pytest.fixture(scope="module")
def model():
    generator = FacialGenerator(**TINY)
    shapes = jax.eval_shape(
        generator.init, jax.random.key(0), jnp.zeros((1, 128, 16, 29)), jnp.zeros((1, 71))
    )
    rng = np.random.default_rng(1)
    # Positive, because some of them are variances.
    variables = jax.tree.map(lambda s: rng.uniform(0.1, 0.3, s.shape).astype(np.float32), shapes)
    statistics = AttributeStatistics(
        mean=jnp.linspace(1.0, 2.0, 71), std=jnp.linspace(0.01, 0.02, 71)
    )
    return FacialGan(
        variables=variables,
        statistics=statistics,
        initial_state=jnp.zeros(71),
        generator=generator,
    )


def features(frames, seed=0):
    return np.random.default_rng(seed).normal(size=(frames, 29)).astype(np.float32)


def test_windows_are_those_of_the_speech_features():
    rows = features(40)
    padded = np.pad(rows, ((8, 7), (0, 0)))
    np.testing.assert_array_equal(
        context_windows(jnp.asarray(padded)[None])[0], feature_windows(rows)
    )


@pytest.mark.parametrize("frames", [1, 127, 128, 129, 300])
def test_one_row_of_attributes_per_row_of_features(model, frames):
    attributes = generate_attributes(model, features(frames))
    assert len(attributes) == frames
    assert attributes.blink.min() >= 0
    assert attributes.blink.max() <= 5


def test_first_window_is_the_network_on_the_first_128_frames(model):
    x = features(WINDOW_FRAMES)
    state = standardize(model.initial_state, model.statistics)[None]
    raw = jax.jit(model.generator.apply)(model.variables, feature_windows(x)[None], state)
    expected = continue_pose(unstandardize(raw[0], model.statistics), model.initial_state)
    expected = np.array(expected)
    expected[:, 6] = expected[:, 6].clip(0, 5)
    actual = np.asarray(pack_attributes(generate_attributes(model, x)))
    np.testing.assert_allclose(actual, expected, atol=1e-4)


def test_each_window_starts_from_the_last_frame_of_the_one_before(model):
    x = features(2 * WINDOW_FRAMES)
    whole = generate_attributes(model, x)
    first = pack_attributes(whole)[WINDOW_FRAMES - 1]
    rows = np.pad(x, ((0, 7), (0, 0)))[WINDOW_FRAMES - 8 :]
    second = jax.jit(model.generator.apply)(
        model.variables,
        context_windows(jnp.asarray(rows)[None]),
        standardize(first, model.statistics)[None],
    )
    second = np.asarray(continue_pose(unstandardize(second[0], model.statistics), first))
    actual = np.asarray(pack_attributes(whole))[WINDOW_FRAMES:]
    # The blink is cut to its range when all is done, so what went on was the uncut one.
    assert 0 < first[6] < 5
    np.testing.assert_allclose(actual[:, :6], second[:, :6], rtol=1e-4)
    other = generate_attributes(model, x, initial_state=whole[7:8])
    assert np.abs(np.asarray(other.pose - whole.pose)).max() > 1e-5


def test_the_head_goes_on_over_a_seam_as_it_does_after_it(model):
    rng = np.random.default_rng(0)
    window = jnp.asarray(rng.normal(size=(128, 71)), jnp.float32)
    before = jnp.asarray(rng.normal(size=71), jnp.float32)
    smooth = np.asarray(continue_pose(window, before))
    raw_step = np.asarray(window[1, :6] - window[0, :6])
    np.testing.assert_allclose(smooth[0, :6] - before[:6], raw_step, atol=1e-5)
    np.testing.assert_array_equal(smooth[:, 6:], window[:, 6:])
    np.testing.assert_allclose(smooth[110:], window[110:], atol=1e-4)
    steady = jnp.linspace(0.0, 1.0, 129)[:, None] * jnp.ones((1, 71))
    np.testing.assert_allclose(continue_pose(steady[1:], steady[0]), steady[1:], atol=1e-6)


def test_saved_and_loaded_model_generates_the_same(model, tmp_path):
    path = tmp_path / "facial_gan.safetensors"
    save_facial_gan(path, model)
    loaded = load_facial_gan(path)
    x = features(130)
    np.testing.assert_array_equal(
        pack_attributes(generate_attributes(loaded, x)),
        pack_attributes(generate_attributes(model, x)),
    )


def test_errors_say_what_is_wrong(model, tmp_path):
    with pytest.raises(ValueError, match="at least one frame"):
        generate_attributes(model, np.zeros((0, 29), np.float32))
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors"):
        load_facial_gan(tmp_path / "none.safetensors")


def test_eyes_that_stay_open_blink_when_it_is_due():
    blink = blink_when_due(np.zeros(1500, np.float32), 25.0)
    closed = (blink[1:] > 2.5) & (blink[:-1] <= 2.5)
    intervals = np.diff(np.nonzero(closed)[0]) / 25
    assert 60 / 8.5 <= closed.sum() <= 60 / 5
    assert intervals.min() >= 5
    assert intervals.max() <= 8.5
    assert np.std(intervals) > 0.5
    assert 4 < blink.max() <= 5
    np.testing.assert_array_equal(blink_when_due(np.zeros(700, np.float32), 25.0), blink[:700])


def test_blinks_that_come_in_time_are_all_that_there_is():
    blink = np.zeros(1000, np.float32)
    blink[50::100] = 4.0
    np.testing.assert_array_equal(blink_when_due(blink, 25.0), blink)
