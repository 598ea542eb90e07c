import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments import train_rendering_to_video as script
from facial_jax.losses import rendering_to_video as losses
from facial_jax.networks.rendering_to_video import LocalEnhancer, MultiscaleDiscriminator
from facial_jax.training.checkpoints import Checkpoints
from facial_jax.training.rendering_to_video import (
    VideoBatch,
    from_uint8,
    init_video_train_state,
    video_train_step,
    window_indices,
)

GENERATOR = LocalEnhancer(width=4, downsamplings=1, blocks=1, local_blocks=1, kernel_size=3)
DISCRIMINATOR = MultiscaleDiscriminator(width=4, layers=2, scales=2)


def adam_with_its_own_promotion():
    """Optax divides by powers of an integer step; our own code stays under strict promotion."""
    adam = optax.adam(2e-3, b1=0.5)

    def update(*args):
        with jax.numpy_dtype_promotion("standard"):
            return adam.update(*args)

    return optax.GradientTransformation(adam.init, update)


OPTIMIZER = adam_with_its_own_promotion()


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    condition = rng.integers(0, 256, (2, 32, 32, 8), np.uint8)
    frame = condition[..., :3] // 2 + 40
    return VideoBatch(condition, frame, np.ones((2, 32, 32, 1), np.float32))


@pytest.fixture(scope="module")
def state(batch):
    return init_video_train_state(
        jax.random.key(0), batch, GENERATOR, DISCRIMINATOR, OPTIMIZER, OPTIMIZER
    )


@functools.partial(jax.jit, static_argnames="adversarial")
def train_step(state, batch, *, adversarial):
    return video_train_step(
        state,
        batch,
        generator=GENERATOR,
        discriminator=DISCRIMINATOR,
        optimizer=OPTIMIZER,
        discriminator_optimizer=OPTIMIZER,
        weights=losses.RenderingToVideoWeights(),
        adversarial=adversarial,
    )


def changed(a, b):
    return [bool(jnp.any(x != y)) for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True)]


def test_reconstruction_learns_and_leaves_the_discriminator_alone(state, batch):
    first, after = None, state
    for _ in range(60):
        after, measured = train_step(after, batch, adversarial=False)
        first = measured if first is None else first
    assert measured["l1"] < 0.7 * first["l1"]
    assert set(measured) == {"l1", "gradient"}
    assert not any(changed(state.discriminator, after.discriminator))
    assert int(after.step) == 60


def test_one_adversarial_step_moves_both_networks_with_finite_numbers(state, batch):
    after, measured = train_step(state, batch, adversarial=True)
    assert set(measured) == {"l1", "gradient", "gan", "feature_matching", "discriminator"}
    assert all(np.isfinite(value) for value in measured.values())
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(after.generator))
    assert any(changed(state.generator, after.generator))
    assert any(changed(state.discriminator, after.discriminator))


def test_a_resumed_training_goes_on_to_the_same_numbers(state, batch, tmp_path):
    once, _ = train_step(state, batch, adversarial=True)
    Checkpoints(tmp_path, {}).save(1, once, {})
    straight, _ = train_step(once, batch, adversarial=True)
    again, _ = Checkpoints(tmp_path, {}).restore(state)
    resumed, _ = train_step(again, batch, adversarial=True)
    assert not any(changed(straight, resumed))


def test_the_average_follows_the_generator(state, batch):
    after, _ = train_step(state, batch, adversarial=False)
    decay = 1 / 10  # (1 + 0) / (10 + 0)
    expected = jax.tree.map(
        lambda old, new: decay * old + (1 - decay) * new, state.average, after.generator
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), after.average, expected)


def test_bytes_become_the_networks_ranges(batch):
    edge = VideoBatch(
        condition=np.array([0, 255], np.uint8).reshape(1, 1, 1, 2),
        frame=np.array([0, 255, 0], np.uint8).reshape(1, 1, 1, 3),
        weight=np.ones((1, 1, 1, 1), np.float32),
    )
    condition, frame = from_uint8(edge)
    np.testing.assert_allclose(condition.ravel(), [0, 1])
    np.testing.assert_allclose(frame.ravel(), [-1, 1, -1])


def test_windows_stay_within_their_clip():
    np.testing.assert_array_equal(
        window_indices(np.array([10, 11, 15, 19]), 10, 20, 2),
        [[10, 10, 10, 11], [10, 10, 11, 12], [13, 14, 15, 16], [17, 18, 19, 19]],
    )
    np.testing.assert_array_equal(
        window_indices(np.array([5, 5, 5]), 0, 20, 2, np.array([-1, 0, 1])),
        [[5, 5, 5, 6], [3, 4, 5, 6], [3, 4, 5, 5]],
    )


def test_least_squares_losses_are_zero_for_a_perfect_judge_and_a_perfect_fake():
    ones, zeros = [[jnp.ones((1, 2, 2, 1))]] * 2, [[jnp.zeros((1, 2, 2, 1))]] * 2
    assert losses.least_squares_discriminator_loss(ones, zeros) == 0
    assert losses.least_squares_discriminator_loss(zeros, ones) == 2.0
    assert losses.least_squares_generator_loss(ones) == 0
    assert losses.least_squares_generator_loss(zeros) == 2.0


def test_feature_matching_has_the_published_weights():
    # Two scales of four layers and scores that do not count: 4/4 each, 1/2 per scale.
    real = [[jnp.zeros((1, 2, 2, 3))] * 4 + [jnp.zeros((1, 2, 2, 1))]] * 2
    fake = [[jnp.full((1, 2, 2, 3), 0.5)] * 4 + [jnp.ones((1, 2, 2, 1))]] * 2
    np.testing.assert_allclose(losses.feature_matching_loss(real, fake), 4 * 0.5)


def test_weighted_l1_counts_heavy_pixels_more():
    real, fake = jnp.zeros((1, 1, 2, 1)), jnp.array([1.0, 0.0]).reshape(1, 1, 2, 1)
    weights = jnp.array([3.0, 1.0]).reshape(1, 1, 2, 1)
    np.testing.assert_allclose(losses.weighted_l1_loss(real, fake, weights), 0.75)
    np.testing.assert_allclose(losses.weighted_l1_loss(real, fake, jnp.ones_like(weights)), 0.5)


def test_gradient_loss_ignores_a_constant_shift_and_sees_an_edge():
    real, weights = jnp.zeros((1, 8, 8, 1)), jnp.ones((1, 8, 8, 1))
    np.testing.assert_allclose(losses.gradient_loss(real, real + 0.3, weights), 0, atol=1e-7)
    edge = real.at[:, :, 4:].set(1.0)
    # One of 7, 3 and 1 horizontal differences is 1; the vertical ones are 0.
    expected = (1 / 7 + 1 / 3 + 1) / 6
    np.testing.assert_allclose(losses.gradient_loss(real, edge, weights), expected, rtol=1e-6)


def numbered_clip(count=12, size=4):
    """Frame and picture t are filled with t; two clips, the second from frame 6."""
    number = np.arange(count, dtype=np.uint8)[:, None, None, None]
    frames = np.broadcast_to(number, (count, size, size, 3))
    pictures = np.broadcast_to(number, (count, size, size, 4))
    regions = np.zeros((count, size, size, 2), np.uint8)
    regions[:, 0, 0, 0] = 255
    return script.Clip(frames, pictures, regions, np.array([0, 6], np.int32))


def test_batches_hold_windows_of_one_clip_beside_their_frames():
    config = script.VideoTrainingConfig(window_half=2, mouth_weight=6.0)
    batch = script.make_batch(numbered_clip(), np.array([5, 6]), np.array([0, 0]), config)
    np.testing.assert_array_equal(batch.frame[:, 0, 0, 0], [5, 6])
    np.testing.assert_array_equal(batch.condition[0, 0, 0].reshape(4, 4)[:, 0], [3, 4, 5, 5])
    np.testing.assert_array_equal(batch.condition[1, 0, 0].reshape(4, 4)[:, 0], [6, 6, 6, 7])
    assert batch.weight[0, 0, 0, 0] == 7
    assert batch.weight[0, 1, 1, 0] == 1


def test_a_steps_batch_depends_on_seed_and_step_alone_and_never_on_held_out_frames():
    clip, config = numbered_clip(), script.VideoTrainingConfig(held_out_fraction=0.25)
    first, again = (script.sample_batch(clip, 7, config) for _ in range(2))
    np.testing.assert_array_equal(first.condition, again.condition)
    frames = np.concatenate([script.sample_batch(clip, i, config).frame for i in range(60)])
    assert set(frames[:, 0, 0, 0]) == set(range(9))


def test_regions_are_brightest_in_the_middle_of_their_landmarks():
    points = jnp.array([[[8.0, 12.0], [24.0, 12.0], [16.0, 8.0], [16.0, 16.0]]])
    region = script.blob(points, (32, 32))
    assert region.shape == (1, 32, 32)
    assert np.unravel_index(region[0].argmax(), (32, 32)) in [
        (11, 15),
        (11, 16),
        (12, 15),
        (12, 16),
    ]
    assert region[0, 12, 16] > 0.95
    assert region[0, 30, 16] < 0.01
