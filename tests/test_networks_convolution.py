import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.networks.convolution import Conv


@pytest.mark.parametrize(
    ("size", "kernel", "stride"),
    [(7, 4, 1), (8, 4, 2), (9, 3, 2), (30, 3, 1), (33, 4, 1), (64, 3, 1)],
)
def test_values_parameters_and_gradients_are_linens(size, kernel, stride):
    padding = ((kernel // 2,) * 2,) * 2
    ours = Conv(5, (kernel, kernel), stride, padding)
    linen = nn.Conv(5, (kernel, kernel), (stride, stride), padding)
    x = jax.random.normal(jax.random.key(0), (2, size, size + 1, 3))
    variables = linen.init(jax.random.key(1), x)
    assert jax.tree.map(jnp.shape, ours.init(jax.random.key(1), x)) == jax.tree.map(
        jnp.shape, variables
    )
    np.testing.assert_allclose(ours.apply(variables, x), linen.apply(variables, x), atol=1e-6)
    gradients = [
        jax.jit(jax.grad(lambda v, x, m=module: jnp.mean(m.apply(v, x) ** 3), argnums=(0, 1)))(
            variables, x
        )
        for module in (ours, linen)
    ]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), *gradients)
