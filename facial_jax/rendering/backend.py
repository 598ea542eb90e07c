"""The rasterizer's backends by name."""

from collections.abc import Callable
from typing import NamedTuple

from facial_jax.rendering import antialias, interpolate, nvdiffrast_backend, rasterizer


class Rasterizer(NamedTuple):
    """A backend's three operations; their namesakes in this package say what they mean."""

    rasterize: Callable
    interpolate: Callable
    antialias: Callable


_BACKENDS = {
    "xla": Rasterizer(rasterizer.rasterize, interpolate.interpolate, antialias.antialias),
    "nvdiffrast": Rasterizer(
        nvdiffrast_backend.rasterize,
        nvdiffrast_backend.interpolate,
        nvdiffrast_backend.antialias,
    ),
}


def backend(name: str) -> Rasterizer:
    """The backend "xla" (pure JAX, everywhere), "nvdiffrast" (CUDA, optional) or "auto".

    "auto" is nvdiffrast where that can be used, else xla: for gradients through pictures, which
    nvdiffrast makes faster. Its pictures differ from xla's at the edges of triangles.

    Raises ValueError for any other name. What nvdiffrast needs is looked for when it is first used.
    """
    if name == "auto":
        name = "nvdiffrast" if nvdiffrast_backend.available() else "xla"
    if name not in _BACKENDS:
        names = ", ".join((*_BACKENDS, "auto"))
        raise ValueError(f"rasterizer: expected one of {names}, got {name!r}")
    return _BACKENDS[name]
