import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.models.layers.convolution import Conv
from tests.written_for import written_for


@pytest.mark.parametrize(
    ("size", "kernel", "stride"),
    [(7, 4, 1), (8, 4, 2), (9, 3, 2), (30, 3, 1), (33, 4, 1), (64, 3, 1)],
)
@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_values_parameters_and_gradients_are_linens(size, kernel, stride, backend):
    padding = ((kernel // 2,) * 2,) * 2
    ours = Conv(5, (kernel, kernel), stride, padding)
    linen = nn.Conv(5, (kernel, kernel), (stride, stride), padding)
    x = jax.random.normal(jax.random.key(0), (2, size, size + 1, 3))
    variables = linen.init(jax.random.key(1), x)
    assert jax.tree.map(jnp.shape, ours.init(jax.random.key(1), x)) == jax.tree.map(
        jnp.shape, variables
    )
    with written_for(backend):
        np.testing.assert_allclose(ours.apply(variables, x), linen.apply(variables, x), atol=1e-6)
        gradients = [
            jax.jit(jax.grad(lambda v, x, m=module: jnp.mean(m.apply(v, x) ** 3), argnums=(0, 1)))(
                variables, x
            )
            for module in (ours, linen)
        ]
    chex.assert_trees_all_close(*gradients, rtol=1e-4, atol=1e-4)


def test_accelerators_are_given_convolutions_without_products():
    conv, x = Conv(5, (3, 3), 1, ((1, 1), (1, 1))), jnp.zeros((1, 8, 8, 3))
    variables = conv.init(jax.random.key(0), x)

    def text(backend):
        with written_for(backend):
            gradient = jax.grad(lambda v: conv.apply(v, x).sum())
            return jax.jit(gradient).lower(variables).as_text()

    assert "dot_general" in text("cpu")
    assert "dot_general" not in text("gpu")
