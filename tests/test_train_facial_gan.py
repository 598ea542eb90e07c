"""One whole training step of FACIAL-GAN on tiny networks, and the windows that it is fed."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from facial_jax.networks.facial_gan import FacialDiscriminator, FacialGenerator
from facial_jax.training.facial_gan import facial_train_step, init_facial_train_state
from facial_jax.training.facial_windows import (
    FacialClip,
    Perturbation,
    cut_batch,
    perturb,
    window_starts,
)

GENERATOR = FacialGenerator(
    temporal_features=(2, 2, 4, 4),
    unet_features=(4, 4),
    fusion_features=(8, 8),
    latent_size=4,
    local_features=(4, 4),
)
DISCRIMINATOR = FacialDiscriminator(features=(2, 4))
FRAMES = 32
# Compiling takes longer than running these: without the costly passes it is bearable.
QUICK = {"xla_llvm_disable_expensive_passes": True, "xla_backend_optimization_level": 0}


def clips():
    rng = np.random.default_rng(0)
    return [
        FacialClip(
            features=rng.normal(size=(n, 29)).astype(np.float32),
            attributes=rng.normal(size=(n, 71)).astype(np.float32).cumsum(axis=0) / 5,
        )
        for n in (50, 70)
    ]


def batch():
    return cut_batch(clips(), window_starts(clips(), frames=FRAMES, stride=20), frames=FRAMES)


def even_batch():
    return cut_batch(clips(), np.array([[0, 1], [0, 9], [1, 1], [1, 30]]), frames=FRAMES)


@pytest.fixture(scope="module")
def trained():
    optimizer = optax.adam(1e-2)
    state = init_facial_train_state(jax.random.key(0), batch(), GENERATOR, DISCRIMINATOR, optimizer)
    step = jax.jit(
        functools.partial(
            facial_train_step,
            generator=GENERATOR,
            discriminator=DISCRIMINATOR,
            optimizer=optimizer,
        ),
        compiler_options=QUICK,
    )
    states, losses = [state], []
    # Optax itself raises a float to an integer power.
    with jax.numpy_dtype_promotion("standard"):
        for _ in range(40):
            state, metrics = step(states[-1], batch())
            states.append(state)
            losses.append(metrics)
    return states, losses


def test_windows_have_the_frame_before_as_initial_state():
    found = window_starts(clips(), frames=FRAMES, stride=5)
    assert found[0].tolist() == [0, 1]
    assert found[-1].tolist() == [1, 36]
    made = cut_batch(clips(), found, frames=FRAMES)
    clip = clips()[1]
    np.testing.assert_array_equal(made.initial_state[-1], clip.attributes[35])
    np.testing.assert_array_equal(made.attributes[-1], clip.attributes[36:68])
    np.testing.assert_array_equal(made.rows[-1, :-5], clip.features[28:70])
    np.testing.assert_array_equal(made.rows[-1, -5:], 0)
    np.testing.assert_array_equal(made.rows[0, :7], 0)


def test_perturbed_truth_returns_to_the_truth():
    truth = np.zeros((64, 100, 71), np.float32)
    state, moved = perturb(truth[:, 0], truth, Perturbation(), np.random.default_rng(0))
    assert np.abs(state[:, :6]).max() > 0.1
    kept = np.abs(state).max(axis=1) == 0
    assert 0.15 < kept.mean() < 0.55
    np.testing.assert_allclose(moved[:, 0, 0], state[:, 0] * np.exp(-1 / 20), rtol=1e-5)
    assert np.abs(moved[:, -1]).max() < 0.01
    with pytest.raises(ValueError, match="random generator"):
        cut_batch(clips(), np.array([[0, 1]]), frames=FRAMES, perturbation=Perturbation())


def test_some_windows_hear_nothing_before_they_begin():
    starts = np.array([[1, 20], [1, 30]])
    begin, go_on = (
        cut_batch(
            clips(),
            starts,
            frames=FRAMES,
            rng=np.random.default_rng(0),
            perturbation=Perturbation(start_share=share),
        )
        for share in (1.0, 0.0)
    )
    np.testing.assert_array_equal(begin.rows[:, :8], 0)
    np.testing.assert_array_equal(begin.rows[:, 8:], go_on.rows[:, 8:])
    np.testing.assert_array_equal(go_on.rows[0, 0], clips()[1].features[12])


def test_a_step_changes_every_parameter_and_statistic(trained):
    states, _ = trained
    assert int(states[1].step) == 1
    for name in ("generator", "discriminator"):
        before = jax.tree_util.tree_leaves_with_path(getattr(states[0], name))
        after = jax.tree.leaves(getattr(states[1], name))
        for (path, old), new in zip(before, after, strict=True):
            # Biases before a batch norm have no effect, and so no gradient.
            if "bias" not in jax.tree_util.keystr(path):
                assert np.abs(np.asarray(new - old)).max() > 0, jax.tree_util.keystr(path)


def test_training_lowers_the_regression_loss(trained):
    _, losses = trained
    first, last = losses[0], losses[-1]
    assert float(last["generator"]) < 0.6 * float(first["generator"])
    assert all(np.isfinite(float(v)) for metrics in losses for v in metrics.values())


def test_the_mapped_step_gives_the_same_numbers_as_one_device(trained):
    optimizer = optax.sgd(1e-4)
    state = trained[0][0]
    state = state.replace(
        generator_optimizer=optimizer.init(state.generator["params"]),
        discriminator_optimizer=optimizer.init(state.discriminator["params"]),
    )
    step = functools.partial(facial_train_step, optimizer=optimizer)
    whole = even_batch()
    alone, _ = jax.jit(functools.partial(step, generator=GENERATOR, discriminator=DISCRIMINATOR))(
        state, whole
    )
    mapped_step = functools.partial(
        step,
        generator=GENERATOR.clone(axis_name="data"),
        discriminator=DISCRIMINATOR.clone(axis_name="data"),
        axis_name="data",
    )
    halves = jax.tree.map(lambda x: jnp.asarray(x).reshape(2, -1, *x.shape[1:]), whole)
    both, _ = jax.jit(
        jax.vmap(mapped_step, in_axes=(None, 0), axis_name="data"), compiler_options=QUICK
    )(state, halves)
    for a, b in zip(jax.tree.leaves(alone.generator), jax.tree.leaves(both.generator), strict=True):
        np.testing.assert_allclose(a, b[0], rtol=2e-3, atol=2e-5)
