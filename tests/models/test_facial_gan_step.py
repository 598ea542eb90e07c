"""One whole training step of FACIAL-GAN on tiny networks."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from facial_jax.models.facial_gan.losses import paper_objective, published_code_objective
from facial_jax.models.facial_gan.network import FacialDiscriminator, FacialGenerator
from facial_jax.models.facial_gan.step import (
    FacialBatch,
    facial_evaluation_step,
    facial_train_step,
    init_facial_train_state,
)
from tests.written_for import written_for

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


def make_batch(size=4):
    rng = np.random.default_rng(0)

    def noise(*shape):
        return rng.standard_normal((size, *shape), np.float32)

    attributes = noise(FRAMES + 1, 71).cumsum(axis=1) / 5
    return FacialBatch(
        rows=noise(FRAMES + 15, 29),
        initial_state=attributes[:, 0],
        attributes=attributes[:, 1:],
        valid=np.ones((size, FRAMES), bool),
    )


def make_step(optimizer, objective=None, **options):
    return functools.partial(
        facial_train_step,
        optimizer=optimizer,
        objective=objective or paper_objective(),
        **{"generator": GENERATOR, "discriminator": DISCRIMINATOR} | options,
    )


@pytest.fixture(scope="module")
def trained():
    optimizer = optax.adam(1e-2)
    batch = make_batch()
    state = init_facial_train_state(jax.random.key(0), batch, GENERATOR, DISCRIMINATOR, optimizer)
    step = jax.jit(make_step(optimizer), compiler_options=QUICK)
    states, losses = [state], []
    # Optax itself raises a float to an integer power.
    with jax.numpy_dtype_promotion("standard"):
        for _ in range(40):
            state, metrics = step(states[-1], batch)
            states.append(state)
            losses.append(metrics)
    return states, losses


def with_sgd(state, optimizer):
    return state.replace(
        generator_optimizer=optimizer.init(state.generator["params"]),
        discriminator_optimizer=optimizer.init(state.discriminator["params"]),
    )


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


def test_each_network_follows_the_gradient_of_its_own_objective(trained):
    """Against the objectives written out in one function each, and JAX's own gradients."""
    state, batch, objective = trained[0][0], make_batch(), paper_objective()
    optimizer = optax.sgd(1.0)
    after, metrics = jax.jit(make_step(optimizer), compiler_options=QUICK)(
        with_sgd(state, optimizer), batch
    )

    def fake_of(params):
        index = np.arange(FRAMES)[:, None] + np.arange(16)
        return GENERATOR.apply(
            {**state.generator, "params": params},
            jnp.asarray(batch.rows)[:, index],
            jnp.asarray(batch.initial_state),
            train=True,
            mutable=["batch_stats"],
        )[0]

    def judge(params, x):
        variables = {**state.discriminator, "params": params}
        x = jnp.asarray(x)
        return DISCRIMINATOR.apply(variables, x, train=True, mutable=["batch_stats"])[0]

    def d_objective(params):
        fake = fake_of(state.generator["params"])
        return objective.discriminator(judge(params, batch.attributes), judge(params, fake))

    def g_objective(params):
        fake = fake_of(params)
        gan = objective.generator(judge(state.discriminator["params"], fake))
        return 0.1 * gan + objective.regression(jnp.asarray(batch.attributes), fake).total

    for name, function in (("generator", g_objective), ("discriminator", d_objective)):
        before = getattr(state, name)["params"]
        value, gradient = jax.jit(jax.value_and_grad(function), compiler_options=QUICK)(before)
        assert float(metrics[name]) == pytest.approx(float(value), rel=1e-4)
        scale = float(optax.tree.norm(gradient))
        assert float(metrics[f"{name}_gradient"]) == pytest.approx(scale, rel=1e-3)
        jax.tree.map(
            lambda old, new, g, scale=scale: np.testing.assert_allclose(
                old - new, g, rtol=1e-3, atol=1e-4 * scale
            ),
            before,
            getattr(after, name)["params"],
            gradient,
        )


def test_frames_after_a_clips_end_are_seen_by_no_loss(trained):
    state, batch = trained[0][0], make_batch()
    valid = batch.valid.copy()
    valid[:, 20:] = False
    held = batch.replace(valid=valid)

    @functools.partial(jax.jit, compiler_options=QUICK)
    def losses(batch):
        return facial_evaluation_step(
            state.generator, batch, generator=GENERATOR, objective=paper_objective()
        )

    far = batch.attributes.copy()
    far[:, 21:] += 100.0
    assert float(losses(held).total) < float(losses(batch).total)
    # Only the step from the last valid frame to the next one is seen, and that one is true.
    np.testing.assert_allclose(
        losses(held).expression, losses(held.replace(attributes=far)).expression, rtol=1e-4
    )


def test_the_published_codes_objective_trains_too(trained):
    state = trained[0][0]
    optimizer = optax.sgd(1e-3)
    step = jax.jit(make_step(optimizer, published_code_objective()), compiler_options=QUICK)
    state, before = step(with_sgd(state, optimizer), make_batch())
    for _ in range(5):
        state, after = step(state, make_batch())
    assert float(after["generator"]) < float(before["generator"])


def test_the_programs_of_both_devices_take_the_same_step_and_the_accelerators_scatters_nothing():
    optimizer, batch = optax.sgd(1.0), make_batch()
    state = init_facial_train_state(jax.random.key(0), batch, GENERATOR, DISCRIMINATOR, optimizer)
    results = {}
    for backend in ("cpu", "gpu"):
        with written_for(backend):
            step = make_step(optimizer)
            results[backend] = jax.jit(step, compiler_options=QUICK)(state, batch)
            program = str(jax.make_jaxpr(step)(state, batch))
    assert "conv_general_dilated" in program
    assert "scatter" not in program
    (one, one_metrics), (other, other_metrics) = results.values()
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4),
        (one_metrics, one.generator["batch_stats"], one.discriminator),
        (other_metrics, other.generator["batch_stats"], other.discriminator),
    )
    moved = jax.tree.map(
        lambda a, b, c: (a - c, b - c),
        one.generator["params"],
        other.generator["params"],
        state.generator["params"],
    )
    pairs = jax.tree.leaves(moved, is_leaf=lambda x: isinstance(x, tuple))
    largest = max(float(jnp.abs(a).max()) for a, _ in pairs)
    for a, b in pairs:
        # Biases before a norm have gradients of zero, but for the rounding of large sums.
        np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-6 * largest)
