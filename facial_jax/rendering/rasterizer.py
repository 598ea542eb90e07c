"""Triangle rasterizer in pure JAX: the same code on CPU, GPU and TPU.

Conventions are nvdiffrast's: clip-space positions (x, y, z, w), of which x/w and y/w in [−1, 1]
span the image and row 0 is y = −1; per pixel the barycentrics (u, v) of the triangle's first and
second vertex, z/w, and the triangle's index + 1, all zero where nothing is drawn. The nearest
fragment in −1 ≤ z/w ≤ 1 wins, of equally near ones the triangle with the lowest index. Coverage is
decided at pixel centres with the top-left rule: of two triangles on the two sides of an edge,
exactly one owns a pixel on it.

How it works. Every pixel in the bounding box of every triangle is a candidate, and the candidates
of all triangles, in order, are numbered through: triangle i's begin at the cumulative sum of the
areas before it. A pass handles one block of numbers at once: each triangle's index is scattered to
its first number and spread by a running maximum, so that each number knows its triangle and pixel;
inside tests and depths are then element-wise, and a scatter-max of depths and a scatter-min of
triangles find each pixel's winner. As many passes are made as the candidates need, so nothing is
lost however large the triangles are; the block's size changes the speed, never the result. The
winners' barycentrics and depths are computed last, at the covered pixels only.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from facial_jax.backend import on_cpu
from facial_jax.rendering.mapping import (
    add_at,
    fold_pixels,
    map_frames,
    set_pixels,
    take,
    update_at,
)

_MIN_W = 1e-6  # nearer to the camera's plane than this, a vertex has no useful projection
_GUARD_BAND = 16.0  # |x/w|, |y/w| up to this keep pixel positions exact enough to work with
_MAX_PIXELS = 1 << 24  # candidates are numbered in int32, their boxes divided in float32
_INT32_CANDIDATES = 1 << 31  # fewer than this surely fit in int32
_MAX_CANDIDATES = 1 << 29  # else numbered at once; twice this must fit in int32
_NOTHING = -2.0  # nearness, −z/w, where nothing is drawn


class _Corners(NamedTuple):
    """The corners (3, …) of triangles, or vertices (…), in homogeneous pixel coordinates.

    Clip positions times a positive factor. Wherever a vertex is in front of the camera and not far
    outside the image that is 1/w, so that s = 1 and (x, y) is the pixel position.
    """

    x: Array
    y: Array
    z: Array
    s: Array

    def map(self, function) -> "_Corners":
        return _Corners(*(function(field) for field in self))


class _Boxes(NamedTuple):
    """Rectangles of pixel centres, (f,) int32: every pixel that a triangle may cover."""

    first_pixel: Array
    width: Array
    area: Array


class _Picture(NamedTuple):
    """What has been drawn so far, per pixel."""

    nearness: Array  # −z/w
    winner: Array  # the triangle's index; their count if there is none


def rasterize(
    positions: Float[Array, "*b n 4"],
    triangles: Int[Array, "f 3"],
    size: tuple[int, int],
    *,
    cull_backfaces: bool = False,
    block: int | None = None,
) -> Float[Array, "*b h w 4"]:
    """Rasterizes triangles; differentiable (in reverse mode) inside triangles in the positions.

    Args:
        positions: clip-space positions x, y, z, w.
        triangles: vertex indices, shared by the batch.
        size: (height, width) of the image.
        cull_backfaces: draw only triangles whose outward normal (v1 − v2) × (v2 − v3) faces the
            camera, when clip space comes from this package's camera.
        block: candidates handled at once; by default chosen from the image's size. Any value gives
            the same result.

    Returns:
        Per pixel: barycentrics u and v of the triangle's first and second vertex (perspective
        correct), z/w, and triangle index + 1 as a float; zeros where nothing is drawn.

    Raises:
        ValueError: if the image is empty or has more than 2^24 pixels, or there are more than 2^24
            triangles (their indices would not be exact in float32).
    """
    height, width = size
    if height < 1 or width < 1 or height * width > _MAX_PIXELS:
        raise ValueError(f"size: expected (height, width) with 1 to 2^24 pixels, got {size}")
    if triangles.shape[0] > 1 << 24:
        raise ValueError(f"triangles: expected at most 2^24 of them, got {triangles.shape[0]}")
    if block is None:
        block = max(4096, height * width // 4 if on_cpu() else height * width)
    batch = positions.shape[:-2]
    if triangles.shape[0] == 0 or positions.shape[-2] == 0:
        return jnp.zeros((*batch, height, width, 4), positions.dtype)

    def one(positions):
        return _rasterize(positions, triangles, size, cull_backfaces, block)

    if not batch:
        return one(positions)
    flat = map_frames(one, positions.reshape(-1, *positions.shape[-2:]))
    return flat.reshape(*batch, height, width, 4)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _rasterize(
    positions: Array, triangles: Array, size: tuple[int, int], cull: bool, block: int
) -> Array:
    vertices = _homogeneous_pixels(positions, size)
    corners = vertices.map(lambda field: tuple(take(field, triangles[:, k]) for k in range(3)))
    determinant = _determinant(corners)
    drawn = (determinant < 0) if cull else (determinant != 0)
    # Almost always every vertex projects, and the cheaper code below does it all. Triangles with a
    # vertex behind the camera or far outside the image are drawn in a second round.
    simple = functools.reduce(jnp.logical_and, (s == 1 for s in corners.s))
    pixels = size[0] * size[1]
    picture = _Picture(
        nearness=jnp.full(pixels, _NOTHING, positions.dtype),
        winner=jnp.full(pixels, triangles.shape[0], jnp.int32),
    )
    boxes = _projected_boxes(corners, drawn & simple, size)
    picture = _draw(picture, corners, boxes, size, block, homogeneous=False)
    boxes = lax.cond(
        jnp.any(drawn & ~simple),
        lambda: _clipped_boxes(corners, drawn & ~simple, size),
        lambda: jax.tree.map(jnp.zeros_like, boxes),
    )
    winner = _draw(picture, corners, boxes, size, block, homogeneous=True).winner

    def write(rast, pixels, wanted):
        triangle = jnp.minimum(take(winner, pixels), triangles.shape[0] - 1)
        corners = take(triangles, triangle)
        values = _fragment_values([take(positions, corners[:, k]) for k in range(3)], pixels, size)
        number = (triangle + 1).astype(values.dtype)
        rows = jnp.concatenate([values, number[:, None]], axis=-1)
        return set_pixels(rast, pixels, rows, wanted)

    rast = jnp.zeros((*winner.shape, 4), positions.dtype)
    rast = fold_pixels(winner < triangles.shape[0], write, rast)
    return rast.reshape(*size, 4)


def _forward(positions, triangles, size, cull, block):
    rast = _rasterize(positions, triangles, size, cull, block)
    return rast, (positions, triangles, rast)


def _backward(size, cull, block, saved, cotangent):
    """The gradient of what is seen, summed over the covered pixels only."""
    positions, triangles, rast = saved
    numbers = rast[..., 3].reshape(-1).astype(jnp.int32)
    cotangent = cotangent.reshape(-1, 4)

    def add(gradient, pixels, wanted):
        corners = take(triangles, jnp.maximum(take(numbers, pixels) - 1, 0))
        places = [take(positions, corners[:, k]) for k in range(3)]
        _, pull = jax.vjp(lambda *places: _fragment_values(list(places), pixels, size), *places)
        by_corner = pull(jnp.where(wanted[:, None], take(cotangent, pixels)[:, :3], 0.0))
        for k in range(3):
            gradient = add_at(gradient, corners[:, k], by_corner[k], wanted)
        return gradient

    return fold_pixels(numbers > 0, add, jnp.zeros_like(positions)), None


_rasterize.defvjp(_forward, _backward)


def _fragment_values(corners: list[Array], pixels: Array, size: tuple[int, int]) -> Array:
    """(u, v, z/w) at the centres of pixels of the triangles with these clip-space corners."""
    height, width = size
    xs, ys, zs, ws = ([corner[:, i] for corner in corners] for i in range(4))
    row = lax.div(pixels, jnp.int32(width))
    px = ((pixels - row * width).astype(xs[0].dtype) + 0.5) * (2 / width) - 1
    py = (row.astype(xs[0].dtype) + 0.5) * (2 / height) - 1
    x = [a - px * w for a, w in zip(xs, ws, strict=True)]
    y = [a - py * w for a, w in zip(ys, ws, strict=True)]
    edges = [x[(k + 1) % 3] * y[(k + 2) % 3] - y[(k + 1) % 3] * x[(k + 2) % 3] for k in range(3)]
    total = edges[0] + edges[1] + edges[2]
    inverse = 1 / jnp.where(total == 0, 1.0, total)
    u, v = edges[0] * inverse, edges[1] * inverse
    t = 1 - u - v
    z = u * zs[0] + v * zs[1] + t * zs[2]
    w = u * ws[0] + v * ws[1] + t * ws[2]
    return jnp.stack([u, v, z / jnp.where(w == 0, 1.0, w)], axis=-1)


def _homogeneous_pixels(positions: Array, size: tuple[int, int]) -> _Corners:
    height, width = size
    x, y, z, w = jnp.moveaxis(positions, -1, 0)
    extent = jnp.maximum(jnp.abs(x), jnp.abs(y))
    simple = (w >= _MIN_W) & (extent <= _GUARD_BAND * w)
    factor = 1 / jnp.where(simple, w, jnp.maximum(jnp.maximum(extent, jnp.abs(w)), _MIN_W))
    s = jnp.where(simple, 1.0, w * factor)
    x = (0.5 * width) * (x * factor + s)
    y = (0.5 * height) * (y * factor + s)
    return _Corners(x, y, z * factor, s)


def _determinant(c: _Corners) -> Array:
    """Its sign tells from which side triangles are seen; negative is the front."""
    # Relative to the first corner, so that a small triangle far from the origin keeps its sign.
    ax, ay = c.x[1] * c.s[0] - c.x[0] * c.s[1], c.y[1] * c.s[0] - c.y[0] * c.s[1]
    bx, by = c.x[2] * c.s[0] - c.x[0] * c.s[2], c.y[2] * c.s[0] - c.y[0] * c.s[2]
    return (ax * by - ay * bx) * jnp.sign(c.s[0])


def _projected_boxes(c: _Corners, drawn: Array, size: tuple[int, int]) -> _Boxes:
    """Bounding boxes of triangles all of whose corners project (s = 1)."""
    low_x, high_x = functools.reduce(jnp.minimum, c.x), functools.reduce(jnp.maximum, c.x)
    low_y, high_y = functools.reduce(jnp.minimum, c.y), functools.reduce(jnp.maximum, c.y)
    return _boxes_from_bounds(low_x, high_x, low_y, high_y, drawn, size)


def _boxes_from_bounds(low_x, high_x, low_y, high_y, drawn, size: tuple[int, int]) -> _Boxes:
    height, width = size

    def centers(low, high, limit):
        first = jnp.maximum(jnp.ceil(low - 0.5), 0.0)
        last = jnp.minimum(jnp.floor(high - 0.5), limit - 1.0)
        return first.astype(jnp.int32), jnp.maximum(last - first + 1, 0.0).astype(jnp.int32)

    left, columns = centers(low_x, high_x, width)
    top, rows = centers(low_y, high_y, height)
    area = jnp.where(drawn, columns * rows, 0)
    return _Boxes(top * width + left, jnp.maximum(columns, 1), area)


def _clipped_boxes(c: _Corners, drawn: Array, size: tuple[int, int]) -> _Boxes:
    """Bounding boxes of triangles cut at the near plane; the whole image if that fails."""
    height, width = size
    x, y, z, s = (jnp.stack(field) for field in c)
    next_corner = jnp.array([1, 2, 0])
    distance = z + s  # from the near plane, times a positive factor
    in_view = distance >= 0
    crosses = in_view != in_view[next_corner]
    t = distance / jnp.where(crosses, distance - distance[next_corner], 1.0)
    # The visible part's corners: those of the triangle in view, and the crossings of its edges.
    points = [jnp.concatenate([a, a + t * (a[next_corner] - a)]) for a in (x, y, s)]
    exists = jnp.concatenate([in_view, crosses])
    projects = points[2] > _MIN_W
    unbounded = jnp.any(exists & ~projects, axis=0)
    margin = jnp.where(jnp.any(crosses, axis=0), 0.01, 0.0)  # pixels; crossings are not exact

    def bounds(values, limit):
        values = values / jnp.where(projects, points[2], 1.0)
        low = jnp.min(jnp.where(exists, values, jnp.inf), axis=0) - margin
        high = jnp.max(jnp.where(exists, values, -jnp.inf), axis=0) + margin
        low = jnp.clip(jnp.where(unbounded, 0.0, low), 0.0, limit + 1.0)
        return low, jnp.clip(jnp.where(unbounded, limit, high), -1.0, limit)

    low_x, high_x = bounds(points[0], float(width))
    low_y, high_y = bounds(points[1], float(height))
    return _boxes_from_bounds(low_x, high_x, low_y, high_y, drawn & jnp.any(exists, axis=0), size)


def _draw(
    picture: _Picture,
    corners: _Corners,
    boxes: _Boxes,
    size: tuple[int, int],
    block: int,
    *,
    homogeneous: bool,
) -> _Picture:
    """Draws all boxes' candidates onto the picture."""
    count = boxes.area.shape[0]
    if count * size[0] * size[1] < _INT32_CANDIDATES:
        end_numbers = lax.associative_scan(jnp.add, boxes.area)
        return _draw_numbered(picture, corners, boxes, end_numbers, size, block, homogeneous)

    # The candidates may be more than int32 can number: as many triangles at a time as it can.
    def some(carry):
        begin, picture = carry
        area = jnp.where(jnp.arange(count) >= begin, boxes.area, 0)
        end_numbers = lax.associative_scan(
            lambda a, b: jnp.minimum(a + b, _MAX_CANDIDATES + 1), area
        )
        fits = end_numbers <= _MAX_CANDIDATES
        now = boxes._replace(area=jnp.where(fits, area, 0))
        picture = _draw_numbered(picture, corners, now, end_numbers, size, block, homogeneous)
        return jnp.sum(fits, dtype=jnp.int32), picture

    return lax.while_loop(lambda carry: carry[0] < count, some, (jnp.int32(0), picture))[1]


def _draw_numbered(picture, c, boxes, end_numbers, size, block: int, homogeneous: bool):
    width = size[1]
    triangle_count = boxes.area.shape[0]
    indices = jnp.arange(triangle_count, dtype=jnp.int32)
    first_numbers = end_numbers - boxes.area
    total = jnp.max(jnp.where(boxes.area > 0, end_numbers, 0))

    def one_pass(carry):
        start, (nearness, winners) = carry
        # The triangle of every number in this block. One that began before it continues at 0.
        place = jnp.maximum(first_numbers - start, 0)
        here = (boxes.area > 0) & (end_numbers > start) & (first_numbers < start + block)
        owner = jnp.zeros(block, jnp.int32)
        owner = owner.at[jnp.where(here, place, block)].max(indices, mode="drop")
        owner = lax.associative_scan(jnp.maximum, owner)
        # Numbers past the last candidate repeat pixels of the last triangle. A CPU draws these
        # again, which does no harm.
        number = jnp.arange(block, dtype=jnp.int32) + start
        exists, number = number < total, jnp.minimum(number, total - 1)
        pixel = _pixel_of_number(number - take(first_numbers, owner), owner, boxes, width)
        near = _nearness_at_pixel(c, owner, pixel, width, homogeneous)
        nearest = update_at(nearness, "max", pixel, near, exists & (near > _NOTHING))
        wins = (near > _NOTHING) & (near == take(nearest, pixel))
        new = jnp.full_like(winners, triangle_count)
        candidate = jnp.where(wins, owner, triangle_count)
        new = update_at(new, "min", pixel, candidate, exists & wins)
        winners = jnp.where(nearest > nearness, new, jnp.minimum(new, winners))
        return start + block, _Picture(nearest, winners)

    return lax.while_loop(lambda carry: carry[0] < total, one_pass, (jnp.int32(0), picture))[1]


def _pixel_of_number(offset: Array, owner: Array, boxes: _Boxes, image_width: int) -> Array:
    """The pixel at an offset into its triangle's box."""
    width = take(boxes.width, owner)
    row = (offset.astype(jnp.float32) / width.astype(jnp.float32)).astype(jnp.int32)
    # The division is rounded: one row more or less is put right.
    row = row - (row * width > offset).astype(jnp.int32)
    row = row + (offset - row * width >= width).astype(jnp.int32)
    return take(boxes.first_pixel, owner) + row * image_width + (offset - row * width)


def _nearness_at_pixel(
    c: _Corners, owner: Array, pixel: Array, image_width: int, homogeneous: bool
) -> Array:
    """−z/w of a triangle at a pixel's centre, `_NOTHING` where it does not cover it."""
    row = lax.div(pixel, jnp.int32(image_width))
    dtype = c.x[0].dtype
    px = (pixel - row * image_width).astype(dtype) + 0.5
    py = row.astype(dtype) + 0.5
    xs, ys, zs = ([take(a, owner) for a in field] for field in (c.x, c.y, c.z))
    ss = [take(a, owner) if homogeneous else 1.0 for a in c.s]
    sign = jnp.sign(_determinant(_Corners(xs, ys, zs, ss)))
    # Corners as seen from the pixel: a function of the two alone, exactly zero where they meet.
    x = [a - px * s for a, s in zip(xs, ss, strict=True)]
    y = [a - py * s for a, s in zip(ys, ss, strict=True)]
    inside = jnp.ones(owner.shape, bool)
    edges = []
    for k in range(3):
        i, j = (k + 1) % 3, (k + 2) % 3
        # The triangle on the other side of this edge has p and q exchanged. Comparing them, and not
        # their difference (which a fused multiply-add rounds differently), both agree on the side.
        p, q = x[i] * y[j] * sign, y[i] * x[j] * sign
        # The gradient of the edge function p − q along x and y. On the edge itself, the triangle
        # to its right owns the pixel, or the one below a horizontal edge: the top-left rule.
        along_x = (ys[i] * ss[j] - ys[j] * ss[i]) * sign
        along_y = (xs[j] * ss[i] - xs[i] * ss[j]) * sign
        owns = (along_x > 0) | ((along_x == 0) & (along_y > 0))
        inside = inside & ((p > q) | ((p == q) & owns))
        edges.append(p - q)
    w = edges[0] * ss[0] + edges[1] * ss[1] + edges[2] * ss[2]
    z = edges[0] * zs[0] + edges[1] * zs[1] + edges[2] * zs[2]
    z = z / jnp.where(w == 0, 1.0, w)
    # w > 0 in front of the camera. Comparisons with NaN are false: such triangles draw nothing.
    visible = inside & (w > 0) & (z >= -1) & (z <= 1)
    return jnp.where(visible, -z, _NOTHING)
