"""One whole training step of FACIAL-GAN on tiny networks."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from facial_jax.data.windows import subject_statistics
from facial_jax.models.facial_gan.batch import FacialBatch
from facial_jax.models.facial_gan.config import FacialGanTrainingConfig
from facial_jax.models.facial_gan.initialization import FacialGanNetworks
from facial_jax.models.facial_gan.losses import paper_objective
from facial_jax.models.facial_gan.network import FacialDiscriminator, FacialGenerator
from facial_jax.models.facial_gan.task import FacialGanTask
from facial_jax.models.facial_gan.validation import regression_losses
from facial_jax.training.step import initial_state
from tests.one_device import QUICK, compiled_one_device_step, one_device_step
from tests.random_clips import clip_source, random_clip
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


class StepTask(FacialGanTask):
    """The task with another optimizer; what it is given as clips plays no part in a step."""

    def __init__(self, optimizer, objective="paper"):
        clips = clip_source(random_clip("a0", "a", 150))
        super().__init__(
            FacialGanTrainingConfig(objective=objective, batch=1),
            FacialGanNetworks(GENERATOR, DISCRIMINATOR),
            clips,
            clips,
            subject_statistics(clips),
        )
        self.optimizer = optimizer

    def optimizers(self):
        return {"generator": self.optimizer, "discriminator": self.optimizer}


def begin(task, batch):
    return initial_state(task, jax.tree.map(lambda x: jnp.asarray(x[:1]), batch))


@pytest.fixture(scope="module")
def trained():
    task, batch = StepTask(optax.adam(1e-2)), make_batch()
    step = compiled_one_device_step(task)
    states, losses = [begin(task, batch)], []
    for _ in range(40):
        state, metrics = step(states[-1], batch)
        states.append(state)
        losses.append(metrics)
    return states, losses


def with_sgd(state, optimizer):
    optimizers = {name: optimizer.init(of["params"]) for name, of in state.variables.items()}
    return state.replace(optimizers=optimizers)


def test_a_step_changes_every_parameter_and_statistic(trained):
    states, _ = trained
    assert int(states[1].step) == 1
    for name in ("generator", "discriminator"):
        before = jax.tree_util.tree_leaves_with_path(states[0].variables[name])
        after = jax.tree.leaves(states[1].variables[name])
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
    step = compiled_one_device_step(StepTask(optimizer))
    after, metrics = step(with_sgd(state, optimizer), batch)

    def fake_of(params):
        index = np.arange(FRAMES)[:, None] + np.arange(16)
        return GENERATOR.apply(
            {**state.variables["generator"], "params": params},
            jnp.asarray(batch.rows)[:, index],
            jnp.asarray(batch.initial_state),
            train=True,
            mutable=["batch_stats"],
        )[0]

    def judge(params, x):
        variables = {**state.variables["discriminator"], "params": params}
        x = jnp.asarray(x)
        return DISCRIMINATOR.apply(variables, x, train=True, mutable=["batch_stats"])[0]

    def d_objective(params):
        fake = fake_of(state.variables["generator"]["params"])
        return objective.discriminator(judge(params, batch.attributes), judge(params, fake))

    def g_objective(params):
        fake = fake_of(params)
        gan = objective.generator(judge(state.variables["discriminator"]["params"], fake))
        return 0.1 * gan + objective.regression(jnp.asarray(batch.attributes), fake).total

    for name, function in (("generator", g_objective), ("discriminator", d_objective)):
        before = state.variables[name]["params"]
        value, gradient = jax.jit(jax.value_and_grad(function), compiler_options=QUICK)(before)
        assert float(metrics[name]) == pytest.approx(float(value), rel=1e-4)
        scale = float(optax.tree.norm(gradient))
        assert float(metrics[f"{name}_gradient"]) == pytest.approx(scale, rel=1e-3)
        jax.tree.map(
            lambda old, new, g, scale=scale: np.testing.assert_allclose(
                old - new, g, rtol=1e-3, atol=1e-4 * scale
            ),
            before,
            after.variables[name]["params"],
            gradient,
        )


def test_frames_after_a_clips_end_are_seen_by_no_loss(trained):
    state, batch = trained[0][0], make_batch()
    valid = batch.valid.copy()
    valid[:, 20:] = False
    held = batch.replace(valid=valid)

    @functools.partial(jax.jit, compiler_options=QUICK)
    def losses(batch):
        return regression_losses(
            state.variables["generator"], batch, generator=GENERATOR, objective=paper_objective()
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
    step = compiled_one_device_step(StepTask(optimizer, "published_code"))
    state, before = step(with_sgd(state, optimizer), make_batch())
    for _ in range(5):
        state, after = step(state, make_batch())
    assert float(after["generator"]) < float(before["generator"])


def test_the_programs_of_both_devices_take_the_same_step_and_the_accelerators_scatters_nothing():
    task, batch = StepTask(optax.sgd(1.0)), make_batch()
    state = begin(task, batch)
    results = {}
    for backend in ("cpu", "gpu"):
        with written_for(backend):
            step = one_device_step(task)
            results[backend] = jax.jit(step, compiler_options=QUICK)(state, batch)
            program = str(jax.make_jaxpr(step)(state, batch))
    assert "conv_general_dilated" in program
    assert "scatter" not in program
    (one, one_metrics), (other, other_metrics) = results.values()
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4),
        *(
            (metrics, of["generator"]["batch_stats"], of["discriminator"])
            for metrics, of in ((one_metrics, one.variables), (other_metrics, other.variables))
        ),
    )
    moved = jax.tree.map(
        lambda a, b, c: (a - c, b - c),
        one.variables["generator"]["params"],
        other.variables["generator"]["params"],
        state.variables["generator"]["params"],
    )
    pairs = jax.tree.leaves(moved, is_leaf=lambda x: isinstance(x, tuple))
    largest = max(float(jnp.abs(a).max()) for a, _ in pairs)
    for a, b in pairs:
        # Biases before a norm have gradients of zero, but for the rounding of large sums.
        np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-6 * largest)
