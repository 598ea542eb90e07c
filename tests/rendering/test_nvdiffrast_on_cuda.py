"""nvdiffrast itself on a CUDA device, against the XLA backend and against its own calls."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from benchmarks.bench_nvdiffrast import on_nvdiffrasts_grid
from facial_jax.attributes import Attributes
from facial_jax.face.procedural import procedural_face_model
from facial_jax.face.topology import opposite_vertices
from facial_jax.rendering import nvdiffrast_backend
from facial_jax.rendering.backend import backend
from facial_jax.rendering.camera import (
    camera_vertices,
    clip_positions,
    pinhole_camera,
    pose_vertices,
)

if importlib.util.find_spec("nvdiffrast") is None:
    pytest.skip("nvdiffrast, which needs a CUDA device, is not installed", allow_module_level=True)


@pytest.fixture
def cuda():
    """The real backend; skips where it cannot run."""
    try:
        nvdiffrast_backend._operations()
    except RuntimeError as error:
        pytest.skip(str(error))
    return backend("nvdiffrast")


def sphere(*batch, rings=24, seed=0):
    """A bumpy sphere in perspective, turned differently in each image."""
    angle_up, angle_around = np.meshgrid(
        np.linspace(0.05, np.pi - 0.05, rings), np.linspace(0, 2 * np.pi, 2 * rings)[:-1]
    )
    points = np.stack(
        [
            np.sin(angle_up) * np.cos(angle_around),
            np.cos(angle_up),
            np.sin(angle_up) * np.sin(angle_around),
        ],
        axis=-1,
    )
    rng = np.random.default_rng(seed)
    points = points * (1 + 0.05 * rng.normal(size=(*points.shape[:2], 1)))
    around, up = points.shape[:2]
    number = np.arange(around * up).reshape(around, up)
    a, b = number[:, :-1], number[:, 1:]
    c, d = np.roll(number, -1, axis=0)[:, 1:], np.roll(number, -1, axis=0)[:, :-1]
    triangles = np.concatenate(
        [np.stack(t, axis=-1).reshape(-1, 3) for t in ((a, b, c), (a, c, d))]
    )
    turns = np.linalg.qr(rng.normal(size=(*batch, 3, 3)))[0]
    points = points.reshape(-1, 3) @ np.swapaxes(turns, -1, -2)
    depth = 4 - points[..., 2]
    positions = np.stack(
        [2.7 * points[..., 0], -2.7 * points[..., 1], (depth - 4) * 2, depth], axis=-1
    )
    attributes = rng.uniform(size=(*batch, around * up, 3))
    return (
        jnp.asarray(positions, jnp.float32),
        jnp.asarray(attributes, jnp.float32),
        jnp.asarray(triangles, jnp.int32),
    )


def whole_picture(ops, positions, attributes, triangles, size, *, cull=False, where=1.0):
    """An antialiased image, and the gradients of its squared difference from another.

    Pixels outside `where`, which broadcasts to (b, h, w, 1), do not count.
    """
    opposite = jnp.asarray(opposite_vertices(np.asarray(triangles)))
    target = np.random.default_rng(2).uniform(size=(*positions.shape[:-2], *size, 3))

    def loss(positions, attributes):
        rast = ops.rasterize(positions, triangles, size, cull_backfaces=cull)
        plain = ops.interpolate(attributes, rast, triangles)
        image = ops.antialias(plain, rast, positions, triangles, opposite)
        return (where * (image - target.astype(np.float32)) ** 2).sum(), (rast, plain, image)

    run = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
    (_, (rast, plain, image)), gradients = run(positions, attributes)
    return [np.asarray(a) for a in (rast, plain, image, *gradients)]


def alike(a, b):
    """Cosine of the angle between two arrays, and the ratio of their lengths."""
    a, b = a.reshape(-1), b.reshape(-1)
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b), np.linalg.norm(a) / np.linalg.norm(b)


@pytest.mark.parametrize("cull", [False, True])
def test_nvdiffrast_and_xla_agree_on_ids_images_and_gradients(cuda, cull):
    mesh, size = sphere(3), (128, 96)
    got = whole_picture(cuda, *mesh, size, cull=cull)
    expected = whole_picture(backend("xla"), *mesh, size, cull=cull)
    same = got[0][..., 3] == expected[0][..., 3]
    assert same.mean() > 0.98
    np.testing.assert_allclose(got[0][same], expected[0][same], atol=1e-3)
    np.testing.assert_allclose(got[1][same], expected[1][same], atol=2e-3)
    assert np.abs(got[2] - expected[2]).mean() < 5e-3
    # Gradients are compared where a pixel and its neighbours show the same triangles: of so small
    # a picture, what nvdiffrast snaps to another triangle is a tenth of the gradient.
    around = 1.0 - binary_dilation(~same, np.ones((1, 3, 3)))[..., None].astype(np.float32)
    got, expected = (
        whole_picture(ops, *mesh, size, cull=cull, where=around) for ops in (cuda, backend("xla"))
    )
    for a, b in zip(got[3:], expected[3:], strict=True):
        cosine, ratio = alike(a, b)
        assert cosine > 0.97
        assert ratio == pytest.approx(1, abs=0.05)


def turned_face(size):
    """The built-in face model, and clip-space positions of its vertices in two turns."""
    model, camera = procedural_face_model(), pinhole_camera(size)
    pose = jnp.zeros((2, 6)).at[:, 1].set(jnp.array([-0.4, 0.1]))
    attributes = Attributes(expression=jnp.zeros((2, 64)), pose=pose, blink=jnp.zeros(2))
    shape = jnp.broadcast_to(model.mean_shape, (2, *model.mean_shape.shape))
    seen = camera_vertices(camera, pose_vertices(shape, attributes))
    return model, clip_positions(camera, seen, size)


@pytest.mark.parametrize("cull", [False, True])
def test_with_vertices_on_its_grid_nvdiffrast_shows_and_moves_the_same_triangles(cuda, cull):
    size = (256, 256)
    model, positions = turned_face(size)
    positions = on_nvdiffrasts_grid(positions, size)

    def gradient_by_barycentrics(ops, seen):
        def rasterize(positions):
            return ops.rasterize(positions, model.triangles, size, cull_backfaces=cull)

        rast, pull = jax.vjp(rasterize, positions)
        weights = np.random.default_rng(3).normal(size=rast.shape) * seen * [1, 1, 0, 0]
        return pull(jnp.asarray(weights, jnp.float32))[0]

    ids = [
        np.asarray(ops.rasterize(positions, model.triangles, size, cull_backfaces=cull))[..., 3:]
        for ops in (cuda, backend("xla"))
    ]
    same = ids[0] == ids[1]
    assert (ids[0] > 0).mean() > 0.2
    assert same[ids[0] > 0].mean() > 0.999
    cosine, _ = alike(
        *(np.asarray(gradient_by_barycentrics(ops, same)) for ops in (cuda, backend("xla")))
    )
    assert cosine > 0.99


def test_antialiasing_is_nvdiffrasts_where_the_silhouettes_are(cuda):
    # Not on nvdiffrast's grid: there, edges pass through pixels' centres, and whether they pass on
    # this side or on that one is rounding.
    size = (256, 256)
    model, positions = turned_face(size)
    rast = cuda.rasterize(positions, model.triangles, size)
    rng = np.random.default_rng(4)
    image, weights = (rng.uniform(size=(2, *size, 3)).astype(np.float32) for _ in range(2))

    def blended(ops):
        def antialias(image, positions):
            mesh = model.triangles, model.opposite_vertices
            return ops.antialias(image, rast, positions, *mesh)

        result, pull = jax.vjp(antialias, jnp.asarray(image), positions)
        return [np.asarray(a) for a in (result, *pull(jnp.asarray(weights)))]

    got, expected = blended(cuda), blended(backend("xla"))
    changed = [(np.abs(result[0] - image) > 1e-6).any(axis=-1) for result in (got, expected)]
    same = changed[0] == changed[1]
    assert changed[1].sum() > 300
    assert (~same).sum() < 0.04 * changed[1].sum()
    difference = np.abs(got[0] - expected[0]).max(axis=-1)
    assert np.quantile(difference[same & changed[0]], 0.99) < 1e-3
    assert alike(got[1] - weights, expected[1] - weights)[0] > 0.95
    cosine, ratio = alike(got[2], expected[2])
    assert cosine > 0.999
    assert ratio == pytest.approx(1, abs=0.01)


def test_results_are_those_of_nvdiffrast_called_from_pytorch(cuda):
    import nvdiffrast.torch as dr
    import torch

    mesh, size = sphere(2), (64, 80)
    got = whole_picture(cuda, *mesh, size)
    positions, attributes, triangles = (torch.from_numpy(np.array(a)).cuda() for a in mesh)
    positions.requires_grad_()
    attributes.requires_grad_()
    rast, _ = dr.rasterize(
        dr.RasterizeCudaContext(), positions, triangles, resolution=size, grad_db=False
    )
    plain, _ = dr.interpolate(attributes, rast, triangles)
    image = dr.antialias(plain, rast, positions, triangles)
    target = np.random.default_rng(2).uniform(size=(2, *size, 3)).astype(np.float32)
    ((image - torch.from_numpy(target).cuda()) ** 2).sum().backward()
    expected = (rast, plain, image, positions.grad, attributes.grad)
    np.testing.assert_array_equal(got[0], expected[0].detach().cpu())
    for a, b in zip(got[1:], expected[1:], strict=True):
        b = b.detach().cpu().numpy()
        # Sums over pixels are made in no fixed order.
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * np.abs(b).max())


def test_many_calls_one_context(cuda):
    positions, _, triangles = sphere(2)
    for size in ((32, 32), (64, 48)):
        cuda.rasterize(positions, triangles, size)
    assert len(nvdiffrast_backend._operations()._contexts) == 1
