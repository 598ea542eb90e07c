import dataclasses
import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from facial_jax.appearance import Appearance
from facial_jax.models.layers.parameters import load_variables
from facial_jax.models.rendering_to_video import conditioning, losses, reference, sampling
from facial_jax.models.rendering_to_video import config as library
from facial_jax.models.rendering_to_video import task as training
from facial_jax.models.rendering_to_video.batch import (
    VideoBatch,
    from_uint8,
    unchanged,
    window_indices,
)
from facial_jax.models.rendering_to_video.network import LocalEnhancer, MultiscaleDiscriminator
from facial_jax.models.rendering_to_video.perceptual import perceptual_network
from facial_jax.models.rendering_to_video.task import RenderingToVideoTask
from facial_jax.rendering.surroundings import SurroundingsMotion
from facial_jax.stages import stage
from facial_jax.training.parallel import data_mesh
from facial_jax.training.step import initial_state
from tests.eight_devices import run_on_eight_devices
from tests.one_device import (
    QUICK,
    compiled_one_device_step,
    one_device_step,
    quickly_compiled,
)
from tests.written_for import written_for

CONFIG = library.RenderingToVideoTrainingConfig(
    generator={"width": 4, "downsamplings": 1, "blocks": 1, "local_blocks": 1, "kernel_size": 3},
    discriminator={"width": 4, "layers": 2, "scales": 2},
    weights=losses.RenderingToVideoWeights(gradient=5.0),
)
GENERATOR, DISCRIMINATOR = library.networks(CONFIG)


class Perceptual(nn.Module):
    """Five maps of a picture, in the place of VGG-19's."""

    @nn.compact
    def __call__(self, images):
        kernel = self.param("kernel", nn.initializers.ones_init(), (3, 5))
        return tuple(jnp.split(nn.relu(images @ kernel), 5, axis=-1))


PERCEPTUAL = Perceptual()
PERCEPTUAL_VARIABLES = {
    "params": {"kernel": np.random.default_rng(3).normal(size=(3, 5)).astype(np.float32)}
}


class StepTask(RenderingToVideoTask):
    """The task with another optimizer; its clip plays no part in a step."""

    def __init__(self, optimizer=None, **options):
        config = dataclasses.replace(CONFIG, **options)
        variables = PERCEPTUAL_VARIABLES
        super().__init__(
            config, numbered_clip(), perceptual=PERCEPTUAL, perceptual_variables=variables
        )
        self.optimizer = optimizer or optax.adam(2e-3, b1=0.5)

    def optimizers(self):
        return {"generator": self.optimizer, "discriminator": self.optimizer}


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    condition = rng.integers(0, 256, (2, 32, 32, 8), np.uint8)
    frame = condition[..., :3] // 2 + 40
    return VideoBatch(condition, frame, np.ones((2, 32, 32, 1), np.float32), unchanged(2))


def begin(batch, task=None):
    """A state at step 0; drawn by NumPy, because compiling the networks' own draws takes long."""
    task = task or StepTask()
    row = jax.tree.map(lambda x: jnp.asarray(x[:1]), batch)
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda row: initial_state(task, row), row)
    state = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    draw = functools.partial(
        jax.tree.map, lambda x: jnp.asarray(rng.normal(0, 0.1, x.shape), jnp.float32)
    )
    generator = draw(state.variables["generator"])
    average = jax.tree.map(jnp.copy, generator)
    discriminator = draw(state.variables["discriminator"])
    variables = {"generator": generator, "average": average, "discriminator": discriminator}
    return state.replace(variables=variables)


@pytest.fixture(scope="module")
def state(batch):
    return begin(batch)


@functools.cache
def compiled(phase, compute_dtype="float32"):
    return compiled_one_device_step(StepTask(compute_dtype=compute_dtype), phase=phase)


def train_step(state, batch, *, adversarial, compute_dtype="float32"):
    phase = "adversarial" if adversarial else "reconstruction"
    return compiled(phase, compute_dtype)(state, batch)


NAMES = ("generator", "discriminator")


def params_of(state, name):
    return state.variables[name]["params"]


def changed(a, b):
    return [bool(jnp.any(x != y)) for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True)]


def test_reconstruction_learns_and_leaves_the_discriminator_alone(state, batch):
    first, after = None, state
    for _ in range(60):
        after, measured = train_step(after, batch, adversarial=False)
        first = measured if first is None else first
    assert measured["l1"] < 0.7 * first["l1"]
    assert set(measured) == {"l1", "perceptual", "gradient"}
    assert not any(changed(params_of(state, "discriminator"), params_of(after, "discriminator")))
    assert int(after.step) == 60


def test_one_adversarial_step_moves_both_networks_with_finite_numbers(state, batch):
    after, measured = train_step(state, batch, adversarial=True)
    assert set(measured) == {
        "l1",
        "perceptual",
        "gradient",
        "gan",
        "feature_matching",
        "discriminator",
    }
    assert all(np.isfinite(value) for value in measured.values())
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params_of(after, "generator")))
    assert any(changed(params_of(state, "generator"), params_of(after, "generator")))
    assert any(changed(params_of(state, "discriminator"), params_of(after, "discriminator")))


def straightforward_gradients(state, batch, objective):
    """Eq. 10 as it stands: each network's objective by itself, with all that it needs."""
    condition, frame = from_uint8(batch)
    weights = losses.RenderingToVideoWeights(gradient=5.0)
    least_squares = objective == "least_squares"
    name = "least_squares" if least_squares else "log"
    discriminator_loss = getattr(losses, f"{name}_discriminator_loss")
    generator_loss = getattr(losses, f"{name}_generator_loss")

    def generate(params):
        return GENERATOR.apply({"params": params}, condition)

    def judge(params, image):
        return DISCRIMINATOR.apply({"params": params}, jnp.concatenate([condition, image], -1))

    def perceive(image):
        return PERCEPTUAL.apply(PERCEPTUAL_VARIABLES, losses.halve(image))

    def of_generator(params):
        fake = generate(params)
        judged, truth = (judge(discriminator, image) for image in (fake, frame))
        return (
            weights.l1 * losses.weighted_l1_loss(frame, fake, batch.weight)
            + weights.gradient * losses.gradient_loss(frame, fake, batch.weight)
            + weights.perceptual * losses.perceptual_loss(perceive(frame), perceive(fake))
            + weights.gan * generator_loss(judged)
            + weights.feature_matching * losses.feature_matching_loss(truth, judged)
        )

    generator, discriminator = (params_of(state, name) for name in NAMES)
    fake = generate(generator)

    def of_discriminator(params):
        return discriminator_loss(judge(params, frame), judge(params, fake))

    return jax.grad(of_generator)(generator), jax.grad(of_discriminator)(discriminator)


@pytest.mark.parametrize(("backend", "objective"), [("cpu", "log"), ("gpu", "least_squares")])
def test_a_step_follows_the_gradients_of_the_two_objectives(batch, backend, objective):
    task = StepTask(optax.sgd(1.0), objective=objective)
    state = begin(batch, task)
    with written_for(backend):
        after, _ = compiled_one_device_step(task, phase="adversarial")(state, batch)
    expected = jax.jit(
        functools.partial(straightforward_gradients, objective=objective),
        compiler_options=QUICK,
    )(state, batch)
    taken = jax.tree.map(
        jnp.subtract,
        (params_of(state, "generator"), params_of(state, "discriminator")),
        (params_of(after, "generator"), params_of(after, "discriminator")),
    )
    pairs = list(zip(*map(jax.tree.leaves, (taken, expected)), strict=True))
    largest = max(float(jnp.abs(b).max()) for _, b in pairs)
    for a, b in pairs:
        # Biases before a norm have gradients of zero, but for the rounding of large sums.
        np.testing.assert_allclose(a, b, atol=2e-4 * float(jnp.abs(b).max()) + 1e-5 * largest)


def test_a_step_judges_the_real_and_the_made_frame_once_and_scatters_nothing(state, batch):
    judged = mock.Mock(side_effect=MultiscaleDiscriminator.apply)
    with (
        mock.patch.object(
            MultiscaleDiscriminator, "apply", lambda self, *a, **k: judged(self, *a, **k)
        ),
        written_for("gpu"),
    ):
        step = one_device_step(StepTask(), phase="adversarial")
        program = str(jax.make_jaxpr(step)(state, batch))
    assert judged.call_count == 2
    assert "conv_general_dilated" in program
    assert "scatter" not in program


def test_bfloat16_follows_float32_and_keeps_its_weights_in_float32(state, batch):
    whole, expected = train_step(state, batch, adversarial=False)
    half, measured = train_step(state, batch, adversarial=False, compute_dtype="bfloat16")
    dtypes = {leaf.dtype for leaf in jax.tree.leaves(params_of(half, "generator"))}
    assert dtypes == {jnp.dtype("float32")}
    assert {value.dtype for value in measured.values()} == {jnp.dtype("float32")}
    for name, value in expected.items():
        assert measured[name] != value, name
        np.testing.assert_allclose(measured[name], value, rtol=0.03)
    # Adam's first step is the sign of the gradient: most signs must agree.
    begin, one, other = (
        np.asarray(params_of(x, "generator")["output"]["conv"]["kernel"])
        for x in (state, whole, half)
    )
    assert (np.sign(one - begin) == np.sign(other - begin)).mean() > 0.95


def test_the_average_follows_the_generator(state, batch):
    after, _ = train_step(state, batch, adversarial=False)
    decay = 1 / 10  # (1 + 0) / (10 + 0)
    old, new, average = (
        params_of(state, "average"),
        params_of(after, "generator"),
        params_of(after, "average"),
    )
    expected = jax.tree.map(lambda a, b: decay * a + (1 - decay) * b, old, new)
    chex.assert_trees_all_close(average, expected, rtol=1e-7, atol=1e-6)


def test_bytes_become_the_networks_ranges(batch):
    edge = VideoBatch(
        condition=np.array([0, 255], np.uint8).reshape(1, 1, 1, 2),
        frame=np.array([0, 255, 0], np.uint8).reshape(1, 1, 1, 3),
        weight=np.ones((1, 1, 1, 1), np.float32),
        warp=unchanged(1),
    )
    condition, frame = from_uint8(edge)
    # A GPU multiplies by the rounded 1/255.
    np.testing.assert_allclose(condition.ravel(), [0, 1], rtol=1e-6)
    np.testing.assert_allclose(frame.ravel(), [-1, 1, -1], rtol=1e-6)


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


def test_log_losses_are_cross_entropies():
    one, zero = [[jnp.full((1, 2, 2, 1), 1.5)]], [[jnp.zeros((1, 2, 2, 1))]]
    sigmoid = 1 / (1 + np.exp(-1.5))
    expected = 0.5 * (-np.log(sigmoid) - np.log(1 - 0.5))
    np.testing.assert_allclose(losses.log_discriminator_loss(one, zero), expected, rtol=1e-6)
    np.testing.assert_allclose(losses.log_generator_loss(one * 2), -2 * np.log(sigmoid), rtol=1e-6)
    certain = [[jnp.full((1, 2, 2, 1), -1e4)]]
    gradient = jax.grad(lambda x: losses.log_generator_loss([[x]]))(certain[0][0])
    np.testing.assert_allclose(gradient, -0.25)


def test_perceptual_loss_has_the_published_weights_and_leaves_the_real_frame_alone():
    real = [jnp.zeros((1, 2**i, 2**i, 3)) for i in range(5)]
    fake = [jnp.full(x.shape, 32.0) for x in real]
    np.testing.assert_allclose(losses.perceptual_loss(real, fake), 1 + 2 + 4 + 8 + 32)
    gradients = jax.grad(losses.perceptual_loss)(real, fake)
    assert not any(np.any(x) for x in gradients)
    with pytest.raises(ValueError, match="shorter"):
        losses.perceptual_loss(real, fake[:4])


def test_the_perceptual_term_sees_pictures_of_the_asked_size(state, batch):
    _, measured = train_step(state, batch, adversarial=False)
    fake = jax.jit(GENERATOR.apply)({"params": params_of(state, "generator")}, from_uint8(batch)[0])
    pair = [x.reshape(2, 16, 2, 16, 2, 3).mean((2, 4)) for x in (from_uint8(batch)[1], fake)]
    maps = [PERCEPTUAL.apply(PERCEPTUAL_VARIABLES, x) for x in pair]
    terms = [float(jnp.abs(a - b).mean()) for a, b in zip(*maps, strict=True)]
    expected = np.dot(terms, [1 / 32, 1 / 16, 1 / 8, 1 / 4, 1])
    np.testing.assert_allclose(measured["perceptual"], expected, rtol=1e-4)


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
    return reference.RenderedClip(frames, pictures, regions, np.array([0, 6], np.int32))


def test_joined_clips_are_one_after_another_and_windows_keep_to_their_borders():
    first, count = numbered_clip(), 12
    second = dataclasses.replace(first, pictures=first.pictures + np.uint8(100))
    joined = reference.joined_clips(first, second)
    np.testing.assert_array_equal(joined.clip_starts, [0, 6, 12, 18])
    np.testing.assert_array_equal(joined.frames[count:], second.frames)
    config = library.RenderingToVideoTrainingConfig(window_half=2)
    batch = sampling.make_batch(joined, np.array([11, 12]), np.array([0, 0]), config)
    shown = batch.condition[:, 0, 0].reshape(2, 4, 4)[..., 0]
    np.testing.assert_array_equal(shown, [[9, 10, 11, 11], [100, 100, 100, 101]])
    assert reference.joined_clips(first) is first


def test_batches_hold_windows_of_one_clip_beside_their_frames():
    config = library.RenderingToVideoTrainingConfig(window_half=2, mouth_weight=6.0)
    batch = sampling.make_batch(numbered_clip(), np.array([5, 6]), np.array([0, 0]), config)
    np.testing.assert_array_equal(batch.frame[:, 0, 0, 0], [5, 6])
    np.testing.assert_array_equal(batch.condition[0, 0, 0].reshape(4, 4)[:, 0], [3, 4, 5, 5])
    np.testing.assert_array_equal(batch.condition[1, 0, 0].reshape(4, 4)[:, 0], [6, 6, 6, 7])
    assert batch.weight[0, 0, 0, 0] == 7
    assert batch.weight[0, 1, 1, 0] == 1


@pytest.mark.parametrize("resident", [True, False])
def test_batches_on_the_devices_are_those_of_the_host_to_the_bit(resident):
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, (12, 16, 16, n), np.uint8) for n in (3, 4, 2)]
    clip = reference.RenderedClip(*arrays, np.array([0, 6], np.int32))
    config = dataclasses.replace(TINY, held_probability=0.3, window_half=3, eye_weight=3.3)
    with mock.patch.object(training, "fits_on_devices", return_value=resident):
        batches = RenderingToVideoTask(config, clip).batches(data_mesh(jax.devices()[:1]))
    for step, batch in batches.between(0, 6):
        places = sampling.sample_places(clip, step, config)
        pictures = arrays[1][places.window]
        condition = np.stack([np.concatenate(list(window), axis=-1) for window in pictures])
        np.testing.assert_array_equal(batch.condition, condition)
        np.testing.assert_array_equal(batch.frame, arrays[0][places.frame])
        region = arrays[2][places.frame].astype(np.float32) / 255
        weight = 1 + region @ np.array([config.mouth_weight, config.eye_weight], np.float32)
        np.testing.assert_array_equal(batch.weight, weight[..., None])
        assert batch.condition.dtype == batch.frame.dtype == np.uint8


def test_a_steps_batch_depends_on_seed_and_step_alone_and_never_on_held_out_frames():
    clip, config = numbered_clip(), library.RenderingToVideoTrainingConfig(held_out_fraction=0.25)
    first, again = (sampling.sample_places(clip, 7, config) for _ in range(2))
    np.testing.assert_array_equal(first.window, again.window)
    frames = np.concatenate([sampling.sample_places(clip, i, config).frame for i in range(60)])
    assert set(frames) == set(range(9))


def test_regions_are_brightest_in_the_middle_of_their_landmarks():
    points = jnp.array([[[8.0, 12.0], [24.0, 12.0], [16.0, 8.0], [16.0, 16.0]]])
    region = conditioning.blob(points, (32, 32))
    assert region.shape == (1, 32, 32)
    assert np.unravel_index(region[0].argmax(), (32, 32)) in [
        (11, 15),
        (11, 16),
        (12, 15),
        (12, 16),
    ]
    assert region[0, 12, 16] > 0.95
    assert region[0, 30, 16] < 0.01


PARALLEL = """
import jax
import numpy as np
import optax
from facial_jax.training.parallel import data_mesh, data_parallel, replicate, split_batch
from facial_jax.models.rendering_to_video.batch import VideoBatch, unchanged
from tests.models.test_rendering_to_video_training import StepTask, begin
from tests.one_device import device_step, one_device_step

assert len(jax.devices()) == 8
rng = np.random.default_rng(0)
condition = rng.integers(0, 256, (8, 16, 16, 8), np.uint8)
weight = 1 + 5 * rng.random((8, 16, 16, 1), np.float32)
batch = VideoBatch(condition, condition[..., :3] // 2 + 40, weight, unchanged(8))
task = StepTask(optax.sgd(1e-3), perceptual_halvings=0)
state = begin(batch, task)
first = jax.tree.map(np.array, state.variables)
alone = jax.jit(one_device_step(task, phase="adversarial"))(state, batch)
mesh = data_mesh()
step = data_parallel(device_step(task, phase="adversarial"), mesh)
fixed = replicate(task.fixed, mesh)
mapped = step(replicate(state, mesh), split_batch(batch, mesh), fixed)
for one, many in zip(jax.tree.leaves(alone), jax.tree.leaves(mapped), strict=True):
    np.testing.assert_allclose(one, many, rtol=1e-3, atol=1e-5)
for name, before in first.items():
    after = alone[0].variables[name]
    moved = jax.tree.map(lambda x, y: float(np.abs(x - y).max()), before, after)
    assert max(jax.tree.leaves(moved)) > 1e-4, moved
print("the same")
"""


def test_eight_devices_give_the_numbers_of_one():
    assert "the same" in run_on_eight_devices(PARALLEL)


def test_an_epoch_shows_every_frame_but_the_held_out_ones_once():
    config = library.RenderingToVideoTrainingConfig(
        held_out_fraction=0.25, batch_size=4, steps=None, epochs=2.0
    )
    clip = numbered_clip()
    frames = [sampling.sample_frames(clip, step, config) for step in range(9)]
    first, second = np.concatenate(frames)[:9], np.concatenate(frames)[9:18]
    assert sorted(first) == sorted(second) == list(range(9))
    assert list(first) != list(second)
    assert sampling.step_count(clip, config) == round(2 * 9 / 4)


@pytest.mark.parametrize("preset", library.PRESETS)
def test_presets_are_networks_of_this_project_with_the_papers_weights(preset):
    config = library.PRESETS[preset]
    generator, _ = (
        LocalEnhancer(**config.generator),
        MultiscaleDiscriminator(**config.discriminator),
    )
    assert (config.weights.feature_matching, config.weights.l1) == (2.0, 50.0)
    if preset == "paper":
        assert generator == LocalEnhancer()
        assert config.weights == losses.RenderingToVideoWeights()
        assert 2 * config.window_half * 4 == 40


def test_the_papers_learning_rate_is_constant_for_20_epochs_and_linear_to_0_over_30():
    config = dataclasses.replace(library.PRESETS["paper"], held_out_fraction=0.0)
    optimizer, _ = library.optimizers(config, 500)
    gradient, rates = {"x": jnp.float32(1)}, []
    state = optimizer.init(gradient)
    with jax.numpy_dtype_promotion("standard"):
        for _ in range(500):
            updates, state = optimizer.update(gradient, state)
            rates.append(-float(updates["x"]))  # Adam's steps along a constant gradient
    np.testing.assert_allclose(rates[:201], 1e-4, rtol=1e-3)
    np.testing.assert_allclose(rates[200:], 1e-4 * (1 - np.arange(300) / 300), rtol=1e-3)


def test_what_the_perceptual_term_uses_is_said(tmp_path):
    assert "random" in perceptual_network(library.PRESETS["paper"])[2]
    off = library.PRESETS["demo"]
    assert "left out" in perceptual_network(off)[2]
    with pytest.raises(ValueError, match=r"got weights\.perceptual 0"):
        perceptual_network(dataclasses.replace(off, vgg=tmp_path / "vgg19.pth"))
    with pytest.raises(FileNotFoundError, match="vgg19"):
        perceptual_network(
            dataclasses.replace(library.PRESETS["paper"], vgg=tmp_path / "vgg19.pth")
        )


TINY = library.RenderingToVideoTrainingConfig(
    generator={"width": 2, "downsamplings": 0, "blocks": 0, "local_blocks": 0, "kernel_size": 3},
    discriminator={"width": 2, "layers": 1, "scales": 1},
    batch_size=2,
    steps=8,
    reconstruction_steps=3,
    perceptual_halvings=0,
)


def write_reference(folder, frames=10, size=16):
    """A clip of noise, rendered already, so that a training begins at once."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "frames.npy", rng.integers(0, 256, (frames, size, size, 3), np.uint8))
    np.savez(
        folder / "attributes.npz",
        expression=np.zeros((frames, 64), np.float32),
        pose=np.zeros((frames, 6), np.float32),
        blink=np.zeros(frames, np.float32),
        identity=np.zeros(80, np.float32),
        texture=np.zeros(80, np.float32),
        illumination=np.zeros((3, 9), np.float32),
    )
    renders = folder / "work" / "renders"

    def render():
        for name, channels in (("pictures", 4), ("regions", 2)):
            shape = (frames, size, size, channels)
            np.save(renders / f"{name}.npy", rng.integers(0, 256, shape, np.uint8))

    stage(renders, reference.renders_provenance(reference.load_reference(folder)), render)


def train(folder, config=TINY, **options):
    folder = Path(folder)
    network = (PERCEPTUAL, PERCEPTUAL_VARIABLES, "a stub")
    stub = mock.patch.object(training, "perceptual_network", return_value=network)
    options = {"validate_every": 2, "progress": False} | options
    # Bits are compared: GPUs sum in any order.
    cpu = jax.local_devices(backend="cpu")[0]
    with jax.default_device(cpu), stub, quickly_compiled():
        training.train_rendering_to_video(config, folder, folder / "work", devices=[cpu], **options)
    return load_variables(folder / "work" / "rendering_to_video.safetensors")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    write_reference(folder)
    return *train(folder, network=folder / "subject" / "network.safetensors"), folder


def test_a_run_leaves_the_network_previews_and_a_log(trained):
    variables, description, folder = trained
    assert description["class"] == "LocalEnhancer"
    assert description["window_half"] == 1
    again, _ = load_variables(folder / "subject" / "network.safetensors")
    chex.assert_trees_all_equal(again, variables)
    assert (folder / "work" / "preview_000008.png").is_file()
    assert list((folder / "work" / "tensorboard").iterdir())


def test_a_killed_run_ends_with_the_same_bits(trained, tmp_path):
    write_reference(tmp_path)
    module = f"from {__name__} import train; train({str(tmp_path)!r})"
    said = tmp_path / "said.txt"
    with said.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", module],
            cwd=Path(__file__).resolve().parents[2],
            env=os.environ | {"JAX_PLATFORMS": "cpu"},
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
    deadline = time.monotonic() + 300
    while not (tmp_path / "work" / "checkpoints" / "4").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, said.read_text()[-3000:]
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    chex.assert_trees_all_equal(train(tmp_path)[0], trained[0])


def test_no_checkpoint_holds_the_perceptual_networks_weights(batch):
    task, row = StepTask(), jax.tree.map(lambda x: x[:1], batch)
    state = jax.eval_shape(lambda row: initial_state(task, row), row)
    assert set(state.variables) == {"generator", "average", "discriminator"}
    assert set(state.optimizers) == {"generator", "discriminator"}
    assert task.fixed is PERCEPTUAL_VARIABLES


def test_faces_are_rendered_again_where_the_person_or_the_size_has_changed(tmp_path):
    rendered = []

    def write(reference, pictures, regions, progress):
        rendered.append(reference.frames.shape)
        shape = reference.frames.shape[:3]
        np.save(pictures, np.zeros((*shape, 4), np.uint8))
        np.save(regions, np.zeros((*shape, 2), np.uint8))

    write_reference(tmp_path)
    first = reference.load_reference(tmp_path)
    own = Appearance(vertex_texture=np.zeros((7, 3), np.float32))
    moved = SurroundingsMotion(np.zeros((len(first.frames), 2, 2, 2), np.float32))
    renders = tmp_path / "renders"
    with mock.patch.object(reference, "write_renders", write):
        for other, made in (
            (first, True),
            (first, False),
            (first._replace(frames=first.frames + np.uint8(1)), False),
            (first._replace(appearance=own), True),
            (first._replace(appearance=own, motion=moved), True),
            (first._replace(appearance=own, frames=first.frames[:, :8]), True),
            (
                first._replace(
                    attributes=first.attributes.replace(blink=first.attributes.blink + 1)
                ),
                True,
            ),
        ):
            rendered.clear()
            clip = reference.render_clip(other, renders)
            assert bool(rendered) == made
            assert clip.pictures.shape[:3] == other.frames.shape[:3]


def test_surroundings_that_lack_an_array_are_refused_by_their_files_name(tmp_path):
    write_reference(tmp_path)
    np.savez(tmp_path / "surroundings.npz", extent=np.zeros((2, 2), np.float32))
    with pytest.raises(ValueError, match=r"surroundings\.npz is damaged: .* got no height, textu"):
        reference.load_reference(tmp_path)


def test_the_motion_of_frames_is_read_with_them_and_must_be_of_as_many(tmp_path):
    write_reference(tmp_path)
    assert reference.load_reference(tmp_path).motion is None
    rng = np.random.default_rng(0)
    displacement, sway = (rng.normal(size=(10, n, 33, 2)).astype(np.float32) for n in (40, 5))
    for motion in (SurroundingsMotion(displacement), SurroundingsMotion(displacement, sway)):
        reference.save_motion(tmp_path, motion)
        loaded = reference.load_reference(tmp_path).motion
        chex.assert_trees_all_close(jax.tree.map(np.float32, loaded), motion, atol=2e-3)
    reference.save_motion(tmp_path, jax.tree.map(lambda x: x[1:], motion))
    with pytest.raises(ValueError, match=r"motion\.npz: expected displacement of 10 frames"):
        reference.load_reference(tmp_path)


def test_losses_that_are_not_finite_name_the_step_and_the_frames(tmp_path):
    write_reference(tmp_path)
    config = dataclasses.replace(TINY, steps=1, mouth_weight=float("nan"))
    with pytest.raises(FloatingPointError, match=r"step 1: .*nan.*the batch: frames \[\d, \d\]"):
        train(tmp_path, config)
