"""Antialiasing of silhouettes, which makes an image differentiable where triangles end.

After Laine et al., "Modular primitives for high-performance differentiable rendering" (2020),
Sec. 3.5: wherever two neighbouring pixels show different triangles and a silhouette edge of the
nearer one passes between their centres, the two colours are blended by where it passes. Coverage,
which a rasterizer decides all or nothing, so comes to depend smoothly on the vertices.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from facial_jax.backend import on_cpu
from facial_jax.rendering.mapping import add_at, fold_pixels, map_frames, take

_MIN_W = 1e-6  # nearer to the camera's plane than this, a vertex has no useful projection
_TOLERANCE = 1e-3  # of a pixel: how far beyond a pixel centre a crossing is still accepted


def antialias(
    image: Float[Array, "*b h w c"],
    rast: Float[Array, "*b h w 4"],
    positions: Float[Array, "*b n 4"],
    triangles: Int[Array, "f 3"],
    opposite: Int[Array, "f 3"],
) -> Float[Array, "*b h w c"]:
    """Blends colours across silhouettes; differentiable (in reverse mode) in both.

    Args:
        image: what was drawn with `rast`, any number of channels.
        rast: from `rasterize`.
        positions: the clip-space positions given to `rasterize`.
        triangles: the triangles given to `rasterize`.
        opposite: from `facial_jax.face.topology.opposite_vertices`.
    """
    if triangles.shape[0] == 0 or positions.shape[-2] == 0:
        return image
    batch = image.shape[:-3]
    if not batch:
        return _antialias(image, rast, positions, triangles, opposite)
    flat = map_frames(
        lambda *frame: _antialias(*frame, triangles, opposite),
        image.reshape(-1, *image.shape[-3:]),
        rast.reshape(-1, *rast.shape[-3:]),
        positions.reshape(-1, *positions.shape[-2:]),
    )
    return flat.reshape(image.shape)


@jax.custom_vjp
def _antialias(image, rast, positions, triangles, opposite):
    result = image.reshape(-1, image.shape[-1])
    for pairs in _silhouette_pairs(rast, positions, triangles, opposite):

        def add(result, pixels, wanted, pairs=pairs):
            corners, colors, changes = pairs.at(pixels, wanted, image, positions)
            return pairs.add_to_both(result, pixels, changes(corners, colors), wanted)

        result = fold_pixels(pairs.exist, add, result)
    return result.reshape(image.shape)


def _forward(image, rast, positions, triangles, opposite):
    result = _antialias(image, rast, positions, triangles, opposite)
    return result, (image, rast, positions, triangles, opposite)


def _backward(saved, cotangent):
    """The gradient, which differs from the identity at pairs across a silhouette only."""
    image, rast, positions, triangles, opposite = saved
    cotangent = cotangent.reshape(-1, cotangent.shape[-1])
    state = (cotangent, jnp.zeros_like(positions))
    for pairs in _silhouette_pairs(rast, positions, triangles, opposite):

        def add(state, pixels, wanted, pairs=pairs):
            by_image, by_positions = state
            corners, colors, changes = pairs.at(pixels, wanted, image, positions)
            both = pairs.both(pixels)
            _, pull = jax.vjp(changes, corners, colors)
            by_corners, by_colors = pull(tuple(take(cotangent, which) for which in both))
            by_image = pairs.add_to_both(by_image, pixels, by_colors, wanted)
            for which, change in zip(pairs.corners(pixels), by_corners, strict=True):
                by_positions = add_at(by_positions, which, change, wanted)
            return by_image, by_positions

        state = fold_pixels(pairs.exist, add, state)
    by_image, by_positions = state
    return by_image.reshape(image.shape), jnp.zeros_like(rast), by_positions, None, None


_antialias.defvjp(_forward, _backward)


class _Pairs(NamedTuple):
    """The pairs of a pixel and its neighbour to the right, or below, that may need blending."""

    exist: Array  # per pixel, as the first of the two
    forward: Array  # per pixel: the first of the two shows the nearer triangle
    rast: Array  # (pixels, 4)
    triangles: Array
    opposite: Array
    size: tuple[int, int]
    along_x: bool

    def both(self, pixels: Array) -> tuple[Array, Array]:
        """The two pixels of each pair."""
        return pixels, jnp.minimum(pixels + self._step, self.exist.size - 1)

    @property
    def _step(self) -> int:
        """From the first pixel's number to the second one's."""
        return 1 if self.along_x else self.size[1]

    def add_to_both(self, image: Array, pixels: Array, changes: Sequence, wanted: Array) -> Array:
        """The image (p, c) with changes added at the two pixels of each pair of a block."""
        if not on_cpu():  # the block is the whole image, and what is not wanted is zero
            return image + changes[0] + jnp.roll(changes[1], self._step, axis=0)
        for which, change in zip(self.both(pixels), changes, strict=True):
            image = add_at(image, which, change, wanted)
        return image

    def _nearer(self, pixels: Array) -> tuple[Array, Array, Array]:
        """The pixel that shows the nearer triangle, that triangle, and whether it is the first."""
        first, second = self.both(pixels)
        forward = take(self.forward, first)
        pixel = jnp.where(forward, first, second)
        number = take(self.rast[:, 3], pixel).astype(jnp.int32)
        return pixel, jnp.maximum(number - 1, 0), forward

    def corners(self, pixels: Array) -> list[Array]:
        """The vertices of each pair's nearer triangle."""
        triangle = take(self.triangles, self._nearer(pixels)[1])
        return [triangle[:, k] for k in range(3)]

    def at(self, pixels: Array, wanted: Array, image: Array, positions: Array):
        """Corners' positions, the two colours, and how the colours change with both of them."""
        nearer, triangle, forward = self._nearer(pixels)
        opposite = take(self.opposite, triangle)
        others = [take(positions, opposite[:, k]) for k in range(3)]
        corners = [take(positions, which) for which in self.corners(pixels)]
        image = image.reshape(-1, image.shape[-1])
        colors = [take(image, which) for which in self.both(pixels)]

        def changes(corners, colors):
            blend = _blend(corners, others, nearer, forward, self.size, self.along_x)
            # Towards 0.5 the background reaches into the nearer triangle's pixel, towards −0.5 the
            # triangle into the background's. Both move one pixel towards its neighbour's colour.
            blend = jnp.where(wanted, blend, 0.0).astype(image.dtype)
            into_near, into_far = jnp.maximum(blend, 0.0), jnp.maximum(-blend, 0.0)
            of_first = jnp.where(forward, into_near, into_far)[:, None]
            of_second = jnp.where(forward, into_far, into_near)[:, None]
            difference = colors[1] - colors[0]
            return of_first * difference, -of_second * difference

        return corners, colors, changes


def _silhouette_pairs(rast, positions, triangles, opposite) -> list[_Pairs]:
    """Pairs to the right and below whose nearer triangle has a silhouette edge somewhere."""
    height, width = rast.shape[:2]
    rast = rast.reshape(-1, 4)
    numbers = rast[:, 3].astype(jnp.int32)
    ends = _has_silhouette(positions, triangles, opposite)
    ends = take(ends, jnp.maximum(numbers - 1, 0)) & (numbers > 0)
    columns = jnp.tile(jnp.arange(width), height)
    all_pairs = []
    for along_x in (True, False):
        step = 1 if along_x else width

        def next_of(array, step=step):
            return jnp.concatenate([array[step:], array[:step]])

        covered, next_covered = numbers > 0, next_of(numbers) > 0
        forward = covered & (~next_covered | (rast[:, 2] <= next_of(rast[:, 2])))
        inside = columns < width - 1 if along_x else jnp.arange(rast.shape[0]) < step * (height - 1)
        exist = inside & (numbers != next_of(numbers)) & jnp.where(forward, ends, next_of(ends))
        all_pairs.append(
            _Pairs(exist, forward, rast, triangles, opposite, (height, width), along_x)
        )
    return all_pairs


def _has_silhouette(positions, triangles, opposite) -> Array:
    """Whether any edge of each triangle is a silhouette: without a neighbour, or folded over."""
    in_front = positions[:, 3] > _MIN_W
    x, y = (positions[:, i] / jnp.where(in_front, positions[:, 3], 1.0) for i in range(2))

    def fetch(which):
        return take(x, which), take(y, which)

    corner = [fetch(triangles[:, k]) for k in range(3)]
    other = [fetch(opposite[:, k]) for k in range(3)]
    own_side = _twice_area(*corner)
    folded = [
        _twice_area(other[k], corner[(k + 1) % 3], corner[(k + 2) % 3]) * own_side > 0
        for k in range(3)
    ]
    return folded[0] | folded[1] | folded[2]


def _blend(corners, others, pixels, forward, size: tuple[int, int], along_x: bool) -> Array:
    """How much a silhouette between two neighbouring pixels blends them.

    0.5 − (distance of the nearer triangle's silhouette from its pixel's centre) in pixels; 0 where
    there is no silhouette between the two.
    """
    height, width = size
    dtype = corners[0].dtype
    row = lax.div(pixels, jnp.int32(width))
    center = (pixels - row * width).astype(dtype) + 0.5, row.astype(dtype) + 0.5

    def on_screen(position):
        """Relative to the nearer triangle's pixel: along the pair of pixels, across it."""
        w = position[:, 3]
        # Behind the camera there is no silhouette to speak of.
        inverse_w = 1 / jnp.where(w > _MIN_W, w, 1.0)
        x = (position[:, 0] * inverse_w + 1) * (width / 2) - center[0]
        y = (position[:, 1] * inverse_w + 1) * (height / 2) - center[1]
        return (x, y) if along_x else (y, x)

    in_front = (corners[0][:, 3] > _MIN_W) & (corners[1][:, 3] > _MIN_W)
    in_front = in_front & (corners[2][:, 3] > _MIN_W)
    corner, other = [on_screen(c) for c in corners], [on_screen(o) for o in others]
    own_side = _twice_area(*corner)
    step = jnp.where(forward, 1.0, -1.0).astype(dtype)
    best = jnp.full(pixels.shape, -jnp.inf, dtype)
    silhouette = jnp.zeros(pixels.shape, bool)
    for k in range(3):
        a, b = corner[(k + 1) % 3], corner[(k + 2) % 3]
        crosses = (a[1] < 0) != (b[1] < 0)
        along = a[0] - a[1] * (b[0] - a[0]) / jnp.where(crosses, b[1] - a[1], 1.0)
        distance = jnp.where(crosses, along * step, -jnp.inf)
        # The way out of the triangle is its farther crossing. It ends there for good if the
        # triangle behind the edge is absent or folded back to the same side.
        folded = _twice_area(other[k], a, b) * own_side > 0
        farther = crosses & (distance > best)
        # Steep edges part neighbours in a row, flat ones neighbours in a column: never both, which
        # would count every slanted edge's movement twice.
        steep = jnp.abs(b[1] - a[1]) >= jnp.abs(b[0] - a[0])
        silhouette = jnp.where(farther, folded & steep, silhouette)
        best = jnp.where(farther, distance, best)
    valid = silhouette & in_front & (best > -_TOLERANCE) & (best < 1 + _TOLERANCE)
    distance = jnp.clip(jnp.where(valid, best, 0.5), 0.0, 1.0)
    return 0.5 - distance


def _twice_area(a, b, c):
    return (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])
