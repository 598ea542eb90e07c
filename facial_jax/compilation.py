"""How this project's functions are compiled on CPUs, and called so that they are compiled once."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from facial_jax.backend import on_cpu

_YNN_OPTION = "xla_cpu_experimental_ynn_fusion_type"
_YNN_VALUE = "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"


@functools.cache
def _accepts(option: str, value: str) -> bool:
    """Whether this jaxlib compiles with the option; unknown names raise at compilation."""
    cpu = jax.local_devices(backend="cpu")[0]
    try:
        jax.jit(lambda x: x + 1.0, compiler_options={option: value}).lower(
            jax.ShapeDtypeStruct((), "float32", sharding=jax.sharding.SingleDeviceSharding(cpu))
        ).compile()
    except Exception:  # whatever this jaxlib raises for an option that it does not know
        return False
    return True


def cpu_compiler_options() -> dict[str, str] | None:
    """Options for `jax.jit(f, compiler_options=…)`; None if there is nothing to set.

    jaxlib 0.10.2 can hand convolutions and products to a faster library on CPUs, about twice as
    fast in our networks, but does not by itself.  The option is set only if the default
    device is a CPU and the installed jaxlib knows it.
    """
    if not on_cpu() or not _accepts(_YNN_OPTION, _YNN_VALUE):
        return None
    return {_YNN_OPTION: _YNN_VALUE}


def jit(function=None, **options):
    """`jax.jit` with `cpu_compiler_options()`, looked up at the first call, not at import.

    Inside another transformation, such as `jax.jit`, `jax.grad` or `jax.lax.map`, it is `jax.jit`:
    there options belong to the program around it.
    """
    if function is None:
        return functools.partial(jit, **options)

    @functools.cache
    def compiled():
        return jax.jit(function, compiler_options=cpu_compiler_options(), **options)

    @functools.cache
    def part():
        return jax.jit(function, **options)

    @functools.wraps(function)
    def call(*args, **kwargs):
        return (part() if _is_traced(args, kwargs) else compiled())(*args, **kwargs)

    return call


def in_batches(function: Callable[[np.ndarray], Any], count: int, size: int) -> Any:
    """What a function gives of all numbers below `count`, always of `size` of them at a time.

    One program does them all: the last number fills up the last batch.

    Args:
        function: of numbers (size,), gives a pytree of arrays (size, …).
        count: at least one.
        size: of a batch.

    Returns:
        The pytree of NumPy arrays (count, …).
    """
    parts = [
        jax.device_get(function(np.minimum(np.arange(start, start + size), count - 1)))
        for start in range(0, count, size)
    ]
    return jax.tree.map(lambda *arrays: np.concatenate(arrays)[:count], *parts)


def _is_traced(*arguments) -> bool:
    """Whether a call with these arguments becomes a part of another program."""
    # Within a program that is traced, a new array is a part of it, whatever the arguments are.
    leaves = (*jax.tree.leaves(arguments), jnp.zeros(()))
    return any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)
