"""The rasterizer against a brute-force one in float64, and claim by claim."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.rendering.interpolate import interpolate
from facial_jax.rendering.rasterizer import rasterize

# Most scenes share these, and so one compilation.
COUNT, SIZE = 150, (64, 80)


def brute_force(positions, triangles, size, *, cull_backfaces=False):
    """Every triangle at every pixel by homogeneous edge functions, in float64.

    Returns u, v, z/w, index + 1, and how close the decision was: the least |edge function| and
    depth difference, relative, over all triangles.
    """
    height, width = size
    positions = np.asarray(positions, np.float64)
    px, py = np.meshgrid(
        (np.arange(width) + 0.5) * 2 / width - 1, (np.arange(height) + 0.5) * 2 / height - 1
    )
    out, nearest = np.zeros((height, width, 4)), np.full((height, width), np.inf)
    closeness = np.full((height, width), np.inf)
    for index, corners in enumerate(np.asarray(triangles)):
        x, y, z, w = positions[corners].T
        determinant = np.linalg.det(np.stack([x, y, w]))
        if determinant == 0 or (cull_backfaces and determinant > 0):
            continue
        sign = np.sign(determinant)
        dx = x[:, None, None] - px * w[:, None, None]
        dy = y[:, None, None] - py * w[:, None, None]
        inside, edges = np.ones((height, width), bool), []
        for i, j in ((1, 2), (2, 0), (0, 1)):
            e = sign * (dx[i] * dy[j] - dy[i] * dx[j])
            along_x, along_y = (
                sign * (y[i] * w[j] - y[j] * w[i]),
                sign * (x[j] * w[i] - x[i] * w[j]),
            )
            owns = along_x > 0 or (along_x == 0 and along_y > 0)
            inside &= (e > 0) | ((e == 0) & owns)
            edges.append(e)
            # distance from the edge, in units of half the image
            closeness = np.minimum(closeness, np.abs(e) / np.hypot(along_x, along_y))
        with np.errstate(all="ignore"):
            b = np.stack(edges) / np.sum(edges, axis=0)
            depth_w = np.tensordot(w, b, 1)
            depth = np.tensordot(z, b, 1) / depth_w
        inside &= (depth_w > 0) & (depth >= -1) & (depth <= 1)
        with np.errstate(invalid="ignore"):
            closeness = np.where(inside, np.minimum(closeness, abs(depth - nearest)), closeness)
        seen = inside & (depth < nearest)
        nearest[seen] = depth[seen]
        values = np.stack([b[0], b[1], depth, np.full_like(depth, index + 1)], axis=-1)
        out[seen] = values[seen]
    return out, closeness


def random_scene(seed, count, scale, *, perspective=True):
    """Separate triangles at random places, depths and w."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform(-1.2, 1.2, (count, 1, 2)) + scale * rng.normal(size=(count, 3, 2))
    w = rng.uniform(1, 4, (count, 3, 1)) if perspective else np.ones((count, 3, 1))
    z = rng.uniform(-0.9, 0.9, (count, 3, 1))
    positions = np.concatenate([xy * w, z * w, w], axis=-1).reshape(-1, 4).astype(np.float32)
    return positions, np.arange(3 * count, dtype=np.int32).reshape(count, 3)


def around_the_camera(seed, count):
    """Triangles of which many corners lie behind the camera or out of the depth range."""
    positions = np.random.default_rng(seed).normal(size=(3 * count, 4)) * [2, 2, 1, 1]
    return positions.astype(np.float32), np.arange(3 * count, dtype=np.int32).reshape(count, 3)


draw = jax.jit(rasterize, static_argnames=("size", "cull_backfaces", "block"))
interpolate_jit = jax.jit(interpolate)


def pad(positions, triangles, *, vertices=3 * COUNT, count=COUNT):
    """The same mesh with unused vertices and degenerate triangles, so that shapes are shared."""
    positions, triangles = np.asarray(positions, np.float32), np.asarray(triangles, np.int32)
    more = np.tile(positions[:1], (vertices - len(positions), 1))
    none = np.zeros((count - len(triangles), 3), np.int32)
    return (
        jnp.asarray(np.concatenate([positions, more])),
        jnp.asarray(np.concatenate([triangles, none])),
    )


def draw_small(positions, triangles, **options):
    return np.asarray(draw(*pad(positions, triangles), SIZE, **options))


def assert_like_brute_force(positions, triangles, size, *, run=None, **options):
    mesh = jnp.asarray(positions), jnp.asarray(triangles)
    got = np.asarray(draw(*mesh, size, **options) if run is None else run(*mesh))
    options.pop("block", None)
    expected, closeness = brute_force(positions, triangles, size, **options)
    same = got[..., 3] == expected[..., 3]
    assert same.mean() >= 0.9999
    assert (closeness[~same] < 1e-6).all(), "ids differ away from edges"
    assert np.abs(got - expected)[same].max() < 2e-4
    return got


@pytest.mark.parametrize("scale", [0.2, 0.01, 5.0, 500.0])
def test_random_scenes_from_sub_pixel_to_huge_match_brute_force(scale):
    got = assert_like_brute_force(*random_scene(int(100 * scale), COUNT, scale), SIZE)
    assert (got[..., 3] > 0).any()


@pytest.mark.parametrize("seed", range(3))
def test_triangles_behind_and_across_the_camera_match_brute_force(seed):
    got = assert_like_brute_force(*around_the_camera(seed, COUNT), SIZE)
    assert (got[..., 3] > 0).mean() > 0.5


def test_triangles_wholly_behind_the_camera_draw_nothing():
    positions, triangles = random_scene(0, COUNT, 1.0)
    assert (np.asarray(draw(jnp.asarray(-positions), jnp.asarray(triangles), SIZE)) == 0).all()


def test_culling_draws_the_triangles_that_face_the_camera_only():
    got = assert_like_brute_force(*random_scene(5, COUNT, 0.2), SIZE, cull_backfaces=True)
    # By hand: with y down on the screen, an outward normal towards the viewer runs anticlockwise.
    corners = np.array([[-1, -1, 0, 1], [-1, 1, 0, 1], [1, 1, 0, 1]], np.float32)
    assert got.any()
    assert draw_small(corners, [[0, 1, 2]], cull_backfaces=True).any()
    assert not draw_small(corners, [[0, 2, 1]], cull_backfaces=True).any()


@pytest.mark.parametrize("block", [1000, 1 << 16])
def test_block_size_changes_nothing(block):
    positions, triangles = map(jnp.asarray, random_scene(1, COUNT, 0.2))
    expected = draw(positions, triangles, SIZE)
    np.testing.assert_array_equal(draw(positions, triangles, SIZE, block=block), expected)


def test_more_candidates_than_int32_numbers_are_all_drawn():
    """10,000 triangles of up to 512 × 512 candidates: the largest numbers do not fit in int32."""
    count = 10_000
    small = np.array([[9, 9, 0, 1], [9.1, 9, 0, 1], [9, 9.1, 0, 1]])  # off the screen
    covering = np.array([[-3, -3, 0, 1], [9, -3, 0, 1], [-3, 9, 0, 1]])
    positions = np.concatenate([small, covering, covering - [0, 0, 0.5, 0]]).astype(np.float32)
    triangles = np.tile(np.array([[0, 1, 2]], np.int32), (count, 1))
    triangles[17], triangles[-1] = [3, 4, 5], [6, 7, 8]
    got = draw(jnp.asarray(positions), jnp.asarray(triangles), (512, 512))
    assert (np.asarray(got[..., 3]) == count).all()
    np.testing.assert_allclose(got[..., 2], -0.5, atol=1e-6)


def test_candidates_beyond_the_numbering_go_to_another_round(monkeypatch):
    from facial_jax.rendering import rasterizer

    positions, triangles = random_scene(2, COUNT, 0.3)
    expected = draw(jnp.asarray(positions), jnp.asarray(triangles), SIZE)
    # The same scene as if int32 held few numbers only: many rounds of few candidates each.
    monkeypatch.setattr(rasterizer, "_INT32_CANDIDATES", 0)
    monkeypatch.setattr(rasterizer, "_MAX_CANDIDATES", 20_000)
    got = jax.jit(functools.partial(rasterize, size=SIZE, block=512))(
        jnp.asarray(positions), jnp.asarray(triangles)
    )
    np.testing.assert_allclose(got, expected, atol=1e-6)


def mesh_on_grid(rows, columns, jitter, seed=0):
    """A flat sheet of triangles over the whole screen."""
    rng = np.random.default_rng(seed)
    y, x = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    inner = np.zeros_like(x)
    inner[1:-1, 1:-1] = jitter
    x = x + inner * rng.uniform(-1, 1, x.shape)
    y = y + inner * rng.uniform(-1, 1, x.shape)
    positions = np.stack([x, y, 0 * x, 0 * x + 1], axis=-1).reshape(-1, 4).astype(np.float32)
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    halves = [np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)]
    return positions, np.concatenate(halves).astype(np.int32)


@jax.jit
def count_padded(positions, triangles):
    alone = jax.lax.map(lambda t: rasterize(positions, t[None], (32, 32))[..., 3] > 0, triangles)
    return jnp.sum(alone, axis=0, dtype=jnp.int32)


def coverage_count(positions, triangles):
    """How many triangles cover each of 32 × 32 pixels, drawing each of them alone."""
    return np.asarray(count_padded(*pad(positions, triangles, vertices=400, count=750)))


@pytest.mark.parametrize(
    ("rows", "columns", "jitter"),
    [(17, 17, 0.0), (33, 9, 0.0), (12, 15, 0.05), (20, 20, 0.03)],
    ids=["corners on whole pixels", "edges through pixel centres", "irregular", "irregular, finer"],
)
def test_a_sheet_covers_every_pixel_exactly_once(rows, columns, jitter):
    positions, triangles = mesh_on_grid(rows, columns, jitter)
    np.testing.assert_array_equal(coverage_count(positions, triangles), 1)


def test_a_fan_around_a_pixel_centre_covers_it_once():
    rng = np.random.default_rng(0)
    for trial in range(10):
        angles = np.sort(rng.uniform(0, 2 * np.pi, 7)) + 0.1 * trial
        rim = 0.4 * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        center = (np.array([18.5, 7.5]) * 2 / 32 - 1)[None]
        xy = np.concatenate([center, center + rim])
        positions = np.concatenate([xy, np.zeros((8, 1)), np.ones((8, 1))], -1).astype(np.float32)
        triangles = np.array([[0, 1 + k, 1 + (k + 1) % 7] for k in range(7)], np.int32)
        if np.diff(angles).max() > 3 or angles[0] + 2 * np.pi - angles[-1] > 3:
            continue  # the fan does not go round
        assert coverage_count(positions, triangles)[7, 18] == 1


def test_top_left_rule_by_hand():
    """A square with corners on pixel centres owns its top and left edges, not the others."""
    low, high = 2.5 * 2 / 32 - 1, 5.5 * 2 / 32 - 1
    square = [[low, low], [high, low], [high, high], [low, high]]
    positions = [[*p, 0, 1] for p in square]
    expected = np.zeros((32, 32), np.int32)
    expected[2:5, 2:5] = 1
    for triangles in ([[0, 1, 2], [0, 2, 3]], [[2, 1, 0], [3, 0, 2]], [[0, 1, 3], [3, 2, 1]]):
        np.testing.assert_array_equal(coverage_count(positions, triangles), expected)


def test_nearer_triangle_wins_and_of_equal_ones_the_first():
    corners = np.array([[-3, -3], [9, -3], [-3, 9]], np.float32)
    depths = [0.5, 0.2, 0.2, 0.7]
    positions = np.concatenate(
        [np.concatenate([corners, np.full((3, 1), d), np.ones((3, 1))], -1) for d in depths]
    )
    triangles = np.arange(12).reshape(4, 3)
    assert (draw_small(positions, triangles)[..., 3] == 2).all()


def test_barycentrics_are_perspective_correct():
    """A floor from w = 1 to w = 5: u and v at the pixel are those of the ray's point in space."""
    points = np.array([[-1, -1, 0.5, 1], [1, -1, 0.5, 1], [0, 5, 0.5, 5]], np.float32)
    rast = draw_small(points, [[0, 1, 2]])
    row, column = 40, 40
    u, v = rast[row, column, :2]
    point = u * points[0] + v * points[1] + (1 - u - v) * points[2]
    seen_at = point[:2] / point[3]
    np.testing.assert_allclose(seen_at, [81 / 80 - 1, 81 / 64 - 1], atol=1e-5)


@pytest.mark.parametrize(
    "bad",
    [
        [[0, 0, 0, 1], [0, 0, 0, 1], [0.5, 0.5, 0, 1]],
        [[-0.5, -0.5, 0, 1], [0, 0, 0, 1], [0.5, 0.5, 0, 1]],
        [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
        [[np.nan, 0, 0, 1], [1, 0, 0, 1], [0, 1, 0, 1]],
        [[0, 0, 0, 1], [np.inf, 0, 0, 1], [0, 1, 0, np.nan]],
    ],
    ids=["point", "line", "zeros", "nan", "infinite"],
)
def test_degenerate_triangles_draw_nothing_and_hide_nothing(bad):
    good = [[-3, -3, 0.5, 1], [9, -3, 0.5, 1], [-3, 9, 0.5, 1]]
    rast = draw_small(bad + good, [[0, 1, 2], [3, 4, 5]])
    assert (rast[..., 3] == 2).all()
    assert np.isfinite(rast).all()


@pytest.mark.parametrize(("vertices", "triangles"), [(0, 0), (3, 0)])
def test_empty_meshes_give_empty_images(vertices, triangles):
    rast = rasterize(jnp.zeros((2, vertices, 4)), jnp.zeros((triangles, 3), jnp.int32), (4, 5))
    assert rast.shape == (2, 4, 5, 4)
    assert not rast.any()
    image = interpolate(jnp.zeros((2, vertices, 3)), rast, jnp.zeros((triangles, 3), jnp.int32))
    assert image.shape == (2, 4, 5, 3)


def test_any_batch_axes_and_vmap_and_jit_give_the_same_images():
    batch = (2, 3)
    positions, triangles = random_scene(3, COUNT, 0.3)
    shifts = np.random.default_rng(0).normal(size=(*batch, 1, 4)).astype(np.float32) * 0.1
    batched = jnp.asarray(positions + shifts)
    attributes = batched[..., :2]
    triangles = jnp.asarray(triangles)
    rast = draw(batched, triangles, SIZE)
    image = interpolate_jit(attributes, rast, triangles)
    assert rast.shape == (*batch, *SIZE, 4)
    assert image.shape == (*batch, *SIZE, 2)
    for index in np.ndindex(*batch):
        one = draw(batched[index], triangles, SIZE)
        np.testing.assert_allclose(rast[index], one, atol=1e-4)
        one = interpolate_jit(attributes[index], one, triangles)
        np.testing.assert_allclose(image[index], one, atol=1e-3)
    alone = draw(batched[0, :1], triangles, SIZE)
    np.testing.assert_allclose(alone, rast[0, :1], atol=1e-4)
    flat = batched.reshape(-1, *positions.shape)
    mapped = jax.jit(jax.vmap(lambda p: rasterize(p, triangles, SIZE)))(flat)
    np.testing.assert_allclose(mapped, rast.reshape(-1, *SIZE, 4), atol=1e-4)


class RasterizerVariants(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_jitted_or_not_the_pixels_are_those_of_brute_force(self):
        positions, triangles = random_scene(4, COUNT, 0.4)
        run = self.variant(lambda positions, triangles: rasterize(positions, triangles, SIZE))
        assert_like_brute_force(positions, triangles, SIZE, run=run)


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (8192, 8192)])
def test_impossible_sizes_are_refused(size):
    with pytest.raises(ValueError, match="size"):
        rasterize(jnp.zeros((3, 4)), jnp.array([[0, 1, 2]]), size)


def test_interpolation_of_positions_gives_the_pixels_back():
    positions, triangles = map(jnp.asarray, random_scene(6, COUNT, 0.5, perspective=False))
    rast = draw(positions, triangles, SIZE)
    image = np.asarray(interpolate(positions[:, :2], rast, triangles))
    covered = np.asarray(rast[..., 3] > 0)
    x, y = np.meshgrid((np.arange(80) + 0.5) / 40 - 1, (np.arange(64) + 0.5) / 32 - 1)
    np.testing.assert_allclose(image[covered], np.stack([x, y], -1)[covered], atol=1e-4)
    assert (image[~covered] == 0).all()


@jax.jit
@functools.partial(jax.value_and_grad, argnums=(0, 1), has_aux=True)
def weighted_sum(positions, attributes, triangles, weights):
    """Of an interpolated image and its depth; and the triangles seen."""
    rast = rasterize(positions, triangles, weights.shape[:2])
    depth = (weights[..., 0] * rast[..., 2]).sum()
    return (weights * interpolate(attributes, rast, triangles)).sum() + depth, rast[..., 3]


@pytest.mark.parametrize("crossing", [False, True], ids=["in front", "across the camera"])
def test_gradients_match_finite_differences_inside_triangles(crossing):
    """In x64, with the pixels at which the seen triangle changes left out of the sum."""
    positions, triangles = around_the_camera(1, 12) if crossing else random_scene(7, 12, 0.5)
    size, rng = (12, 14), np.random.default_rng(0)
    with jax.enable_x64(True):
        positions = jnp.asarray(positions, jnp.float64)
        triangles = jnp.asarray(triangles)
        attributes = jnp.asarray(rng.normal(size=(positions.shape[0], 3)))
        weights = jnp.asarray(rng.normal(size=(*size, 3)))
        direction = jnp.asarray(rng.normal(size=positions.shape))
        tangent = jnp.asarray(rng.normal(size=attributes.shape))
        step = 1e-7

        def at(moves, weights):
            return weighted_sum(positions + moves * direction, attributes, triangles, weights)

        ids = [at(moves, weights)[0][1] for moves in (-step, 0, step)]
        stable = (ids[0] == ids[1]) & (ids[1] == ids[2])
        assert stable.mean() > 0.9
        weights = jnp.where(stable[..., None], weights, 0.0)
        by_positions, by_attributes = at(0, weights)[1]
        slope = (at(step, weights)[0][0] - at(-step, weights)[0][0]) / (2 * step)
        np.testing.assert_allclose((by_positions * direction).sum(), slope, rtol=1e-5)
        ends = [
            weighted_sum(positions, attributes + moves * tangent, triangles, weights)[0][0]
            for moves in (-step, step)
        ]
        slope = (ends[1] - ends[0]) / (2 * step)
        np.testing.assert_allclose((by_attributes * tangent).sum(), slope, rtol=1e-6)


def test_gradients_are_finite_where_nothing_is_drawn_or_triangles_are_degenerate():
    positions = jnp.array([[0, 0, 0, 1], [0, 0, 0, 1], [1, 1, 0, 0.0], [-3, -3, 0, 1.0]])
    triangles = jnp.array([[0, 1, 2], [0, 1, 3]])

    def total(p):
        rast = rasterize(p, triangles, (6, 6))
        return (rast[..., :3].sum() + interpolate(p, rast, triangles)).sum()

    assert np.isfinite(jax.jit(jax.grad(total))(positions)).all()
