import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax import compilation


def test_options_are_accepted_by_this_jaxlib_and_change_no_result():
    x = jax.random.normal(jax.random.key(0), (2, 8, 8, 3))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 3, 4))

    def conv(x, kernel):
        return jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    fast = jax.jit(conv, compiler_options=compilation.cpu_compiler_options())
    np.testing.assert_allclose(fast(x, kernel), conv(x, kernel), atol=1e-5)


def test_an_option_that_the_jaxlib_does_not_know_is_left_out(monkeypatch):
    assert not compilation._accepts("xla_cpu_no_such_option", "1")
    monkeypatch.setattr(compilation, "_accepts", lambda option, value: False)
    assert compilation.cpu_compiler_options() is None


def test_jit_takes_jax_jits_options_as_call_and_as_decorator():
    @compilation.jit(static_argnames="power")
    def raised(x, *, power):
        return x**power

    np.testing.assert_allclose(raised(jnp.float32(3), power=2), 9)
    np.testing.assert_allclose(compilation.jit(jnp.sin)(jnp.float32(0)), 0)
    assert raised.__name__ == "raised"


def test_a_jitted_function_may_be_a_part_of_other_programs():
    @compilation.jit
    def squared(x):
        return x * x

    @compilation.jit
    def nine():
        return squared(jnp.float32(3))

    x = jnp.arange(3.0)
    np.testing.assert_array_equal(squared(x), x * x)
    np.testing.assert_array_equal(jax.jit(squared)(x), x * x)
    np.testing.assert_array_equal(jax.jit(lambda x: x + nine())(x), x + 9)
    np.testing.assert_array_equal(jax.lax.map(squared, x), x * x)
    np.testing.assert_array_equal(jax.vmap(squared)(x), x * x)
    np.testing.assert_array_equal(jax.grad(lambda x: squared(x).sum())(x), 2 * x)
    np.testing.assert_array_equal(jax.jit(jax.grad(lambda x: squared(x).sum()))(x), 2 * x)
    np.testing.assert_array_equal(jax.checkpoint(squared)(x), x * x)


def test_jit_touches_no_device_before_the_first_call(monkeypatch):
    def fail():
        raise AssertionError("looked up too early")

    monkeypatch.setattr(compilation, "cpu_compiler_options", fail)
    doubled = compilation.jit(lambda x: x * 2)
    with pytest.raises(AssertionError, match="too early"):
        doubled(jnp.float32(1))


def test_batches_are_of_one_size_and_give_every_number_once():
    sizes = []

    def squares(numbers):
        sizes.append(len(numbers))
        return {"square": jnp.asarray(numbers) ** 2, "pair": np.stack([numbers, -numbers], axis=-1)}

    for count in (1, 4, 10):
        found = compilation.in_batches(squares, count, 4)
        np.testing.assert_array_equal(found["square"], np.arange(count) ** 2)
        np.testing.assert_array_equal(found["pair"], np.arange(count)[:, None] * [1, -1])
    assert set(sizes) == {4}
    assert len(sizes) == 1 + 1 + 3
