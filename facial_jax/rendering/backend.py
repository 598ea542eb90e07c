"""The rasterizer's backends by name."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from facial_jax.rendering import antialias, interpolate, nvdiffrast_backend, rasterizer


class Rasterizer(NamedTuple):
    """A backend's operations; their namesakes in this package say what they mean."""

    rasterize: Callable
    interpolate: Callable
    antialias: Callable
    draw_antialiased: Callable


def draw_antialiased(
    positions: Float[Array, "*b n 4"],
    attributes: Float[Array, "*b n c"],
    triangles: Int[Array, "f 3"],
    opposite: Int[Array, "f 3"],
    size: tuple[int, int],
    *,
    cull_backfaces: bool = False,
) -> tuple[Float[Array, "*b h w c"], Float[Array, "*b h w 1"]]:
    """Vertex attributes at the pixels and the coverage, zero around, silhouettes blended.

    `rasterize`, `interpolate` and `antialias`, which say what the arguments are, one after another.
    Differentiable in reverse mode in positions and attributes.
    """
    rast = rasterizer.rasterize(positions, triangles, size, cull_backfaces=cull_backfaces)
    plain = interpolate.interpolate(attributes, rast, triangles)
    covered = (rast[..., 3:] > 0).astype(plain.dtype)
    both = jnp.concatenate([plain, covered], axis=-1)
    both = antialias.antialias(both, rast, positions, triangles, opposite)
    return both[..., :-1], both[..., -1:]


_BACKENDS = {
    "xla": Rasterizer(
        rasterizer.rasterize, interpolate.interpolate, antialias.antialias, draw_antialiased
    ),
    "nvdiffrast": Rasterizer(
        nvdiffrast_backend.rasterize,
        nvdiffrast_backend.interpolate,
        nvdiffrast_backend.antialias,
        nvdiffrast_backend.draw_antialiased,
    ),
}


def backend(name: str) -> Rasterizer:
    """The backend "xla" (pure JAX, everywhere), "nvdiffrast" (CUDA, optional) or "auto".

    "auto" is nvdiffrast if that can be used, else xla: for gradients through pictures, which
    nvdiffrast makes faster. Its pictures differ from xla's at the edges of triangles.

    Raises ValueError for any other name. What nvdiffrast needs is looked for when it is first used.
    """
    if name == "auto":
        name = "nvdiffrast" if nvdiffrast_backend.available() else "xla"
    if name not in _BACKENDS:
        names = ", ".join((*_BACKENDS, "auto"))
        raise ValueError(f"rasterizer: expected one of {names}, got {name!r}")
    return _BACKENDS[name]
