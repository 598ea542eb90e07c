"""Antialiasing of silhouettes, which makes an image differentiable where triangles end.

After Laine et al., "Modular primitives for high-performance differentiable rendering" (2020),
Sec. 3.5: wherever two neighbouring pixels show different triangles and a silhouette edge of the
nearer one passes between their centres, the two colours are blended by where it passes. Coverage,
which a rasterizer decides all or nothing, so comes to depend smoothly on the vertices.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

_TOLERANCE = 1e-3  # of a pixel: how far beyond a pixel centre a crossing is still accepted


def opposite_vertices(triangles: np.ndarray) -> np.ndarray:
    """For each triangle's edges, the third vertex of the triangle on the edge's other side.

    Args:
        triangles: (f, 3) integer vertex indices.

    Returns:
        (f, 3) int32. Column k belongs to the edge that corner k is not on; where that edge has no
        other triangle, or more than one, it holds corner k itself, which makes it a silhouette.
    """
    triangles = np.asarray(triangles)
    if triangles.ndim != 2 or triangles.shape[1] != 3:
        raise ValueError(f"triangles: expected shape (f, 3), got {triangles.shape}")
    opposite = triangles.astype(np.int32)
    if not triangles.size:
        return opposite
    edges = np.stack([triangles[:, [1, 2]], triangles[:, [2, 0]], triangles[:, [0, 1]]], axis=1)
    edges = np.sort(edges.reshape(-1, 2), axis=1)
    _, edge_of, count = np.unique(edges, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(edge_of.reshape(-1), kind="stable")
    first = (np.cumsum(count) - count)[count == 2]
    a, b = order[first], order[first + 1]
    flat = opposite.reshape(-1)
    corners = triangles.reshape(-1)
    flat[a], flat[b] = corners[b], corners[a]
    return opposite


def antialias(
    image: Float[Array, "*b h w c"],
    rast: Float[Array, "*b h w 4"],
    positions: Float[Array, "*b n 4"],
    triangles: Int[Array, "f 3"],
    opposite: Int[Array, "f 3"],
) -> Float[Array, "*b h w c"]:
    """Blends colours across silhouettes; differentiable in the image and the positions.

    Args:
        image: what was drawn with `rast`, any number of channels.
        rast: from `rasterize`.
        positions: the clip-space positions given to `rasterize`.
        triangles: the triangles given to `rasterize`.
        opposite: from `opposite_vertices`.
    """
    if triangles.shape[0] == 0 or positions.shape[-2] == 0:
        return image
    batch = image.shape[:-3]
    if not batch:
        return _antialias_one(image, rast, positions, triangles, opposite)
    flat = lax.map(
        lambda frame: _antialias_one(*frame, triangles, opposite),
        (
            image.reshape(-1, *image.shape[-3:]),
            rast.reshape(-1, *rast.shape[-3:]),
            positions.reshape(-1, *positions.shape[-2:]),
        ),
    )
    return flat.reshape(image.shape)


def _antialias_one(image, rast, positions, triangles, opposite):
    height, width = image.shape[:2]
    # Vertices in pixels. Behind the camera there is no silhouette to speak of.
    w = positions[:, 3]
    in_front = w > 1e-6
    inverse_w = 1 / jnp.where(in_front, w, 1.0)
    x = (positions[:, 0] * inverse_w + 1) * (width / 2)
    y = (positions[:, 1] * inverse_w + 1) * (height / 2)
    rows, columns = jnp.meshgrid(
        jnp.arange(height, dtype=image.dtype) + 0.5,
        jnp.arange(width, dtype=image.dtype) + 0.5,
        indexing="ij",
    )
    result = image
    for axis in (1, 0):  # neighbours to the right, then below
        first = (slice(None), slice(None, -1)) if axis else (slice(None, -1),)
        second = (slice(None), slice(1, None)) if axis else (slice(1, None),)
        forward, blend = _blend_between(
            rast[first],
            rast[second],
            (columns[first], rows[first]),
            (columns[second], rows[second]),
            (x, y, in_front),
            triangles,
            opposite,
            along_x=bool(axis),
        )
        # Towards 0.5 the background reaches into the nearer triangle's pixel, towards −0.5 the
        # triangle into the background's. Both move one pixel towards its neighbour's colour.
        into_near, into_far = jnp.maximum(blend, 0.0), jnp.maximum(-blend, 0.0)
        of_first = jnp.where(forward, into_near, into_far)[..., None]
        of_second = jnp.where(forward, into_far, into_near)[..., None]
        difference = image[second] - image[first]
        result = result.at[first].add(of_first * difference)
        result = result.at[second].add(-of_second * difference)
    return result


def _blend_between(
    rast_first, rast_second, center_first, center_second, vertices, triangles, opposite, *, along_x
):
    """How much a silhouette between two neighbouring pixels blends them.

    Returns whether the first pixel shows the nearer triangle, and 0.5 − (distance of that
    triangle's silhouette from its pixel's centre) in pixels; 0 where there is no silhouette.
    """
    id_first, id_second = rast_first[..., 3], rast_second[..., 3]
    covered_first, covered_second = id_first > 0, id_second > 0
    nearer = rast_first[..., 2] <= rast_second[..., 2]
    forward = covered_first & (~covered_second | nearer)
    index = jnp.where(forward, id_first, id_second).astype(jnp.int32) - 1
    changes = (id_first != id_second) & (index >= 0)
    index = jnp.maximum(index, 0)
    center = [jnp.where(forward, a, b) for a, b in zip(center_first, center_second, strict=True)]

    def fetch(which):
        """A vertex relative to the nearer triangle's pixel: along the pair of pixels, across it."""
        x, y, in_front = (_take(a, which) for a in vertices)
        x, y = x - center[0], y - center[1]
        return (x, y, in_front) if along_x else (y, x, in_front)

    corner = [fetch(_take(triangles[:, k], index)) for k in range(3)]
    other = [fetch(_take(opposite[:, k], index)) for k in range(3)]
    own_side = _twice_area(corner[0], corner[1], corner[2])
    step = jnp.where(forward, 1.0, -1.0).astype(center[0].dtype)

    best = jnp.full_like(center[0], -jnp.inf)
    silhouette = jnp.zeros(best.shape, bool)
    for k in range(3):
        a, b = corner[(k + 1) % 3], corner[(k + 2) % 3]
        crosses = (a[1] < 0) != (b[1] < 0)
        along = a[0] - a[1] * (b[0] - a[0]) / jnp.where(crosses, b[1] - a[1], 1.0)
        distance = jnp.where(crosses, along * step, -jnp.inf)
        # The way out of the triangle is its farther crossing. It ends there for good if the
        # triangle behind the edge is absent or folded back to the same side.
        folded = _twice_area(other[k], a, b) * own_side > 0
        farther = crosses & (distance > best)
        silhouette = jnp.where(farther, folded, silhouette)
        best = jnp.where(farther, distance, best)
    in_front = corner[0][2] & corner[1][2] & corner[2][2]
    valid = changes & silhouette & in_front
    valid = valid & (best > -_TOLERANCE) & (best < 1 + _TOLERANCE)
    distance = jnp.clip(jnp.where(valid, best, 0.5), 0.0, 1.0)
    return forward, 0.5 - distance


def _twice_area(a, b, c):
    return (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])


def _take(array, index):
    return array.at[index].get(mode="promise_in_bounds")
