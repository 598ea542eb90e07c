"""Batch norm by products is Linen's, in value, gradient and running statistics."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.models.layers.normalization import BatchNorm, repeat_rows, sum_rows
from tests.written_for import written_for


@pytest.mark.parametrize("shape", [(5, 3), (2, 4, 3), (2, 3, 4, 3)])
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_it_is_linens_batch_norm(shape, train, backend):
    ours = BatchNorm(use_running_average=not train)
    linen = nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5)
    x = 1.0 + 2.0 * jax.random.normal(jax.random.key(0), shape)
    target = jax.random.normal(jax.random.key(1), shape)
    variables = linen.init(jax.random.key(2), x)
    assert jax.tree.map(jnp.shape, ours.init(jax.random.key(2), x)) == jax.tree.map(
        jnp.shape, variables
    )
    params = jax.tree.map(lambda v: v + 0.3, variables["params"])
    stats = jax.tree.map(lambda v: v + 0.2, variables["batch_stats"])

    def run(module):
        def loss(params, x):
            y, updates = module.apply(
                {"params": params, "batch_stats": stats}, x, mutable=["batch_stats"]
            )
            return jnp.sum((y - target) ** 3), (y, updates)

        return jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(params, x)

    with written_for(backend):
        results = run(ours), run(linen)
    chex.assert_trees_all_close(*results, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_sums_and_repetitions_are_each_others_gradients(backend):
    x = jnp.arange(6.0).reshape(3, 2)
    with written_for(backend):
        _check_sums_and_repetitions(x)


def _check_sums_and_repetitions(x):
    np.testing.assert_array_equal(sum_rows(x), [6.0, 9.0])
    np.testing.assert_array_equal(repeat_rows(jnp.array([1.0, 2.0]), x), [[1, 2]] * 3)
    np.testing.assert_array_equal(jax.grad(lambda x: jnp.sum(sum_rows(x) ** 2))(x), [[12, 18]] * 3)
    weight = jnp.arange(6.0).reshape(3, 2)
    gradient = jax.grad(lambda v: jnp.sum(weight * repeat_rows(v, x)))(jnp.zeros(2))
    np.testing.assert_array_equal(gradient, [6.0, 9.0])


def test_statistics_are_shared_over_a_mapped_axis():
    x = jax.random.normal(jax.random.key(0), (4, 6, 3)) * jnp.arange(1.0, 5.0)[:, None, None]
    alone = BatchNorm(use_running_average=False)
    variables = alone.init(jax.random.key(1), x[0])
    whole, stats = alone.apply(variables, x, mutable=["batch_stats"])
    mapped = BatchNorm(use_running_average=False, axis_name="data")
    parts, part_stats = jax.vmap(
        lambda x: mapped.apply(variables, x, mutable=["batch_stats"]), axis_name="data"
    )(x)
    np.testing.assert_allclose(whole, parts, rtol=1e-4, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b[2], rtol=1e-4), stats, part_stats)


def test_a_constant_channel_has_finite_gradients():
    module = BatchNorm(use_running_average=False)
    x = jnp.full((4, 2), 3.0)
    variables = module.init(jax.random.key(0), x)
    gradient = jax.grad(
        lambda x: jnp.sum(module.apply(variables, x, mutable=["batch_stats"])[0] ** 2)
    )(x)
    assert np.isfinite(gradient).all()
