"""Gradients that lie in memory as their parameters do."""

from typing import Any

import jax
from jax.experimental.layout import Layout, with_layout_constraint

from facial_jax.backend import on_cpu


def keep_gradients_layout(params: Any) -> Any:
    """The parameters as they are; their gradients come in row-major order, as parameters lie.

    cuDNN gives the gradient of a convolution's kernel with the output channels first. Left to
    itself, XLA transposes the kernel, its running average and both of Adam's moments to that order
    and back, in every step; so it transposes the gradient alone. On CPUs nothing is changed.
    """
    if on_cpu():
        return params
    return jax.tree.map(lambda x: _keep_layout(x) if x.ndim > 1 else x, params)


@jax.custom_vjp
def _keep_layout(x):
    return x


def _row_major(_, gradient):
    layout = Layout(major_to_minor=tuple(range(gradient.ndim)))
    return (with_layout_constraint(gradient, layout),)


_keep_layout.defvjp(lambda x: (x, None), _row_major)
