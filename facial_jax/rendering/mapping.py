"""How work is shared out over frames and pixels: bit by bit on a CPU, all at once elsewhere.

A CPU is fast on what fits in its cache and on what it need not do; a GPU or TPU on what is wide and
regular. The results are the same but for the order of summation.
"""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from facial_jax.backend import on_cpu

_RUN = 16  # neighbouring pixels that are visited together
_RUNS_AT_ONCE = 512


def map_frames(function: Callable, *arrays: Any) -> Any:
    """`function` of every frame: over the leading axis of pytrees of arrays, in order."""
    if on_cpu():
        return lax.map(lambda frame: function(*frame), arrays)
    return jax.vmap(function)(*arrays)


def fold_pixels(
    flags: Bool[Array, "p"], function: Callable[[Any, Array, Array], Any], initial: Any
) -> Any:
    """Folds a function over the flagged pixels, however few or many they are.

    Args:
        flags: which pixels are wanted.
        function: (state, pixels, wanted) → state, for a block of pixels (k,) int32 of which those
            that are `wanted` (k,) count; the others may be any, even repeated. Not on a CPU it is
            called once, with all pixels in order.
        initial: the first state.
    """
    count = flags.shape[0]
    if not on_cpu():
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


def take_rows(array: Float[Array, "*b n c"], rows: Int[Array, "*i"]) -> Float[Array, "..."]:
    """array[..., rows, :] for rows known to be in bounds, which spares their clamping."""
    return array.at[..., rows, :].get(mode="promise_in_bounds")


def update_at(
    array: Array,
    how: Literal["add", "max", "min"],
    index: Array,
    values: Array,
    wanted: Array,
) -> Array:
    """The array with values put in at indices known to be in bounds, repeated ones every time.

    Values that are not wanted must change nothing, such as zeros that are added. A CPU puts them in
    all the same; elsewhere they are left out, because updates of one place wait for each other
    there, and most of what is not wanted is meant for one and the same.
    """
    if on_cpu():
        return getattr(array.at[index], how)(values, mode="promise_in_bounds")
    index = jnp.where(wanted, index, array.shape[0])
    return getattr(array.at[index], how)(values, mode="drop")


def add_at(array: Array, index: Array, values: Array, wanted: Array) -> Array:
    """`update_at` that adds."""
    return update_at(array, "add", index, values, wanted)


def set_pixels(array: Array, pixels: Array, rows: Array, wanted: Array) -> Array:
    """The array (p, c) with the rows of a block of `fold_pixels` at the wanted pixels."""
    if on_cpu():
        return array.at[jnp.where(wanted, pixels, array.shape[0])].set(rows, mode="drop")
    return jnp.where(wanted[:, None], rows, array)
