import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.training.layout import keep_gradients_layout
from tests.written_for import written_for


def gradient(params, x, keep):
    def objective(params):
        params = keep(params)
        y = jax.lax.conv_general_dilated(
            x,
            params["kernel"],
            (1, 1),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return jnp.sum((y + params["bias"][None, None, None]) ** 3)

    return jax.grad(objective)(params)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_neither_the_parameters_nor_their_gradients_change(backend):
    rng = np.random.default_rng(0)
    params = {
        "kernel": jnp.asarray(rng.normal(size=(3, 3, 4, 5)), jnp.float32),
        "bias": jnp.asarray(rng.normal(size=5), jnp.float32),
    }
    x = jnp.asarray(rng.normal(size=(2, 6, 6, 4)), jnp.float32)
    with written_for(backend):
        kept = jax.jit(lambda p, x: gradient(p, x, keep_gradients_layout))(params, x)
        chex.assert_trees_all_equal(keep_gradients_layout(params), params)
    plain = jax.jit(lambda p, x: gradient(p, x, lambda params: params))(params, x)
    chex.assert_trees_all_close(kept, plain, rtol=1e-5)


def test_accelerators_are_told_the_order_of_the_kernels_gradient_alone():
    params = {"kernel": jnp.ones((3, 3, 4, 5)), "bias": jnp.ones(5)}

    def text(backend):
        with written_for(backend):
            function = jax.jit(lambda p, x: gradient(p, x, keep_gradients_layout))
            return function.lower(params, jnp.ones((2, 6, 6, 4))).as_text()

    assert "LayoutConstraint" not in text("cpu")
    (line,) = [line for line in text("gpu").splitlines() if "LayoutConstraint" in line]
    assert "result_layouts = [dense<[3, 2, 1, 0]>" in line
    assert "tensor<3x3x4x5xf32>" in line
