"""How work is shared out over frames and pixels: bit by bit on a CPU, all at once elsewhere.

A CPU is fast on what fits in its cache and on what it need not do; a GPU or TPU on what is wide and
regular. The results are the same but for the order of summation.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool

_RUN = 16  # neighbouring pixels that are visited together
_RUNS_AT_ONCE = 512


def map_frames(function: Callable, *arrays: Any) -> Any:
    """`function` of every frame: over the leading axis of pytrees of arrays, in order."""
    if jax.default_backend() == "cpu":
        return lax.map(lambda frame: function(*frame), arrays)
    return jax.vmap(function)(*arrays)


def fold_pixels(
    flags: Bool[Array, "p"], function: Callable[[Any, Array, Array], Any], initial: Any
) -> Any:
    """Folds a function over the flagged pixels, however few or many they are.

    Args:
        flags: which pixels are wanted.
        function: (state, pixels, wanted) → state, for a block of pixels (k,) int32 of which those
            that are `wanted` (k,) count; the others may be any, even repeated.
        initial: the first state.
    """
    count = flags.shape[0]
    if jax.default_backend() != "cpu":
        return function(initial, jnp.arange(count, dtype=jnp.int32), flags)
    runs = -(-count // _RUN)
    padded = jnp.pad(flags, (0, runs * _RUN - count))
    wanted_runs = padded.reshape(runs, _RUN).any(axis=1)
    place = jnp.cumsum(wanted_runs, dtype=jnp.int32)
    at_once = min(runs, _RUNS_AT_ONCE)
    order = jnp.zeros(runs + at_once, jnp.int32)
    order = order.at[jnp.where(wanted_runs, place - 1, runs + at_once)].set(
        jnp.arange(runs, dtype=jnp.int32), mode="drop"
    )

    def step(carry):
        begin, state = carry
        block = lax.dynamic_slice(order, (begin,), (at_once,))
        exists = jnp.arange(at_once, dtype=jnp.int32) + begin < place[-1]
        pixels = block[:, None] * _RUN + jnp.arange(_RUN, dtype=jnp.int32)[None]
        wanted = exists[:, None] & padded.reshape(runs, _RUN)[block]
        pixels = jnp.minimum(pixels.reshape(-1), count - 1)
        return begin + at_once, function(state, pixels, wanted.reshape(-1))

    return lax.while_loop(lambda carry: carry[0] < place[-1], step, (jnp.int32(0), initial))[1]


def take(array: Array, index: Array) -> Array:
    """array[index] for indices known to be in bounds, which spares their clamping."""
    return array.at[index].get(mode="promise_in_bounds")


def add_at(array: Array, index: Array, values: Array) -> Array:
    """The array with values added at indices known to be in bounds, repeated ones every time."""
    return array.at[index].add(values, mode="promise_in_bounds")
