"""Colours of points between a mesh's vertices: a texture finer than the shape, without a map.

Points in the middle of edges have colours of their own, as vertices do ("mesh colors", Yuksel,
Keyser and House, TOG 2010, of resolution 2). A triangle of the shape is four of the colours. Folds
and rims of glasses are narrower than the triangles of a face: with colours of vertices alone they
are rows of dots.
"""

import functools

import flax.struct
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from facial_jax.face.topology import mesh_edges
from facial_jax.rendering.mapping import take_rows


@flax.struct.dataclass
class ColorMesh:
    """Points that have colours: the n vertices of a mesh, then the middles of its e edges."""

    edges: Int[Array | np.ndarray, "e 2"]
    # the vertices at both ends, the smaller index first
    triangles: Int[Array | np.ndarray, "q 3"]
    # of points: of each triangle (a, b, c) the quarters at a, b and c and the one in the middle


def color_mesh(triangles: Int[Array | np.ndarray, "f 3"], vertex_count: int) -> ColorMesh:
    """The points of a mesh of these triangles and so many vertices."""
    return _color_mesh(np.asarray(triangles, np.int32).tobytes(), vertex_count)


@functools.lru_cache(maxsize=4)
def _color_mesh(triangles: bytes, vertex_count: int) -> ColorMesh:
    """`color_mesh` of the bytes of int32 indices, computed once for a face model."""
    corners = np.frombuffer(triangles, np.int32).reshape(-1, 3)
    edges = mesh_edges(corners)
    a, b, c = corners.astype(np.int64).T
    keys = edges[:, 0].astype(np.int64) * vertex_count + edges[:, 1]

    def middle(p, q):
        key = np.minimum(p, q) * vertex_count + np.maximum(p, q)
        return vertex_count + np.searchsorted(keys, key)

    ab, bc, ca = middle(a, b), middle(b, c), middle(c, a)
    quarters = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (bc, ca, ab)]
    parts = np.stack([np.stack(quarter, axis=-1) for quarter in quarters], axis=1)
    return ColorMesh(edges=edges, triangles=parts.reshape(-1, 3).astype(np.int32))


def at_points(
    values: Float[Array | np.ndarray, "*b n c"], mesh: ColorMesh | None
) -> Float[Array, "*b m c"]:
    """Vertices' values, then in the middle of each edge the mean of both ends'.

    Without a mesh, points are the vertices alone.
    """
    values = jnp.asarray(values)
    if mesh is None:
        return values
    first, second = (take_rows(values, jnp.asarray(mesh.edges[:, k])) for k in range(2))
    return jnp.concatenate([values, (first + second) / 2], axis=-2)


def points_within(
    vertices: Bool[Array | np.ndarray, "n"], mesh: ColorMesh | None
) -> Bool[Array, "m"]:
    """Which points are among these vertices, or between two of them."""
    return at_points(jnp.asarray(vertices, jnp.float32)[:, None], mesh)[:, 0] == 1
