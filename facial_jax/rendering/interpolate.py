"""Attributes of vertices at the pixels that a rasterizer covers."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from facial_jax.rendering.mapping import add_at, fold_pixels, map_frames, set_pixels, take


def interpolate(
    attributes: Float[Array, "*b n c"],
    rast: Float[Array, "*b h w 4"],
    triangles: Int[Array, "f 3"],
) -> Float[Array, "*b h w c"]:
    """Vertex attributes at each pixel: u·a₁ + v·a₂ + (1 − u − v)·a₃; zero where nothing is drawn.

    Differentiable (in reverse mode) in the attributes and in (u, v). For attributes shared by a
    batch use `jax.vmap` or broadcast them.

    Args:
        attributes: any number of channels per vertex.
        rast: from `rasterize`.
        triangles: the triangles given to `rasterize`.
    """
    out_shape = (*rast.shape[:-1], attributes.shape[-1])
    if triangles.shape[0] == 0 or attributes.shape[-2] == 0:
        return jnp.zeros(out_shape, attributes.dtype)
    if not rast.shape[:-3]:
        return _interpolate(attributes, rast, triangles)
    flat = map_frames(
        lambda attributes, rast: _interpolate(attributes, rast, triangles),
        attributes.reshape(-1, *attributes.shape[-2:]),
        rast.reshape(-1, *rast.shape[-3:]),
    )
    return flat.reshape(out_shape)


@jax.custom_vjp
def _interpolate(attributes: Array, rast: Array, triangles: Array) -> Array:
    index, covered = _triangle_index(rast)
    corners = take(triangles, index)
    values = _blend(rast, *(take(attributes, corners[..., k]) for k in range(3)))
    return jnp.where(covered[..., None], values, 0.0)


def _triangle_index(rast: Array) -> tuple[Array, Array]:
    number = rast[..., 3].astype(jnp.int32)
    return jnp.maximum(number - 1, 0), number > 0


def _blend(rast: Array, a1: Array, a2: Array, a3: Array) -> Array:
    u, v = rast[..., 0:1], rast[..., 1:2]
    return u * a1 + v * a2 + (1 - u - v) * a3


def _forward(attributes, rast, triangles):
    return _interpolate(attributes, rast, triangles), (attributes, rast, triangles)


def _backward(saved, cotangent):
    """The gradient, summed over the covered pixels only."""
    attributes, rast, triangles = saved
    shape = rast.shape
    rast = rast.reshape(-1, 4)
    cotangent = cotangent.reshape(-1, cotangent.shape[-1])

    def add(state, pixels, wanted):
        by_attributes, by_rast = state
        at_pixels = take(rast, pixels)
        corners = take(triangles, _triangle_index(at_pixels)[0])
        values = [take(attributes, corners[:, k]) for k in range(3)]
        _, pull = jax.vjp(_blend, at_pixels, *values)
        by_pixel, *by_corner = pull(jnp.where(wanted[:, None], take(cotangent, pixels), 0.0))
        for k in range(3):
            by_attributes = add_at(by_attributes, corners[:, k], by_corner[k], wanted)
        return by_attributes, set_pixels(by_rast, pixels, by_pixel, wanted)

    initial = (jnp.zeros_like(attributes), jnp.zeros_like(rast))
    by_attributes, by_rast = fold_pixels(rast[:, 3] > 0, add, initial)
    return by_attributes, by_rast.reshape(shape), None


_interpolate.defvjp(_forward, _backward)


def quartered(rast: Float[Array, "*b h w 4"]) -> Float[Array, "*b h w 4"]:
    """What `rasterize` gave of a mesh, as if it had drawn its quarters (`face.color_mesh`).

    A pixel beyond ½ of a corner's barycentric is in the quarter at that corner, others are in the
    one in the middle.
    """
    u, v, number = rast[..., 0], rast[..., 1], rast[..., 3]
    corners = jnp.stack([u, v, 1 - u - v], axis=-1)
    at_corner = corners > 0.5
    inner = ~at_corner.any(axis=-1)
    local = jnp.where(
        inner[..., None], 1 - 2 * corners, 2 * corners - at_corner.astype(corners.dtype)
    )
    part = jnp.where(inner, 3, jnp.argmax(at_corner, axis=-1)).astype(number.dtype)
    fine = jnp.where(number > 0, 4 * (number - 1) + part + 1, 0)
    return jnp.stack([local[..., 0], local[..., 1], rast[..., 2], fine], axis=-1)
