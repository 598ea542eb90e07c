"""Everything of the nvdiffrast backend but nvdiffrast's kernels, on a CPU.

Kernels written here in NumPy take their place, because they can read a CPU's buffers. JAX's
callbacks, batching, culling and gradients are the real ones.
"""

import contextlib
import functools
import importlib.metadata
import importlib.util
import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.buffer_callback import ExecutionContext

from facial_jax.face.model import face_model_from_arrays
from facial_jax.rendering import nvdiffrast_backend
from facial_jax.rendering.backend import backend
from facial_jax.rendering.camera import (
    pinhole_camera,
)
from facial_jax.rendering.render import render_vertices

SIZE = (9, 11)


class NumpyKernels:
    """nvdiffrast's kernels: the same arguments, computed in float64 by brute force."""

    def __init__(self, wrap):
        self.wrap = wrap  # from NumPy arrays to what the operations work on
        self.contexts = 0

    def rasterize_fwd_cuda(self, context, positions, triangles, size, ranges, peeling):
        assert context == "context"
        assert peeling == -1
        positions, triangles = np.asarray(positions, np.float64), np.asarray(triangles)
        assert triangles.dtype == np.int32
        if positions.ndim == 3:  # the same triangles for every image
            images = [draw(p, triangles, size) for p in positions]
        else:  # a range of the triangles for every image; indices count from the list's beginning
            images = []
            for first, count in np.asarray(ranges):
                image = draw(positions, triangles[first : first + count], size)
                image[..., 3] += first * (image[..., 3] > 0)
                images.append(image)
        return self.wrap(np.stack(images).astype(np.float32)), None

    def rasterize_grad(self, positions, triangles, rast, cotangent):
        positions, triangles = np.asarray(positions, np.float64), np.asarray(triangles)
        rast, cotangent = np.asarray(rast), np.asarray(cotangent)
        gradient = np.zeros(positions.shape)
        image, row, column = np.nonzero(rast[..., 3] > 0)
        corners = triangles[rast[image, row, column, 3].astype(int) - 1]
        points = positions[image[:, None], corners].astype(complex)
        for k in range(3):
            for axis in range(4):
                moved = points.copy()  # the derivative by a complex step is exact
                moved[:, k, axis] += 1e-30j
                slopes = barycentrics(moved, row, column, rast.shape[1:3])[0][:2].imag / 1e-30
                change = (slopes * cotangent[image, row, column, :2].T).sum(0)
                np.add.at(gradient, (image, corners[:, k], axis), change)
        return self.wrap(gradient.astype(np.float32))

    def interpolate_fwd(self, attributes, rast, triangles):
        attributes, rast = np.asarray(attributes), np.asarray(rast)
        corners, weights = pixel_corners(rast, triangles)
        image = np.arange(len(rast))[:, None, None, None]
        values = attributes[image, corners] * weights[..., None]
        return self.wrap(values.sum(3)), None

    def interpolate_grad(self, attributes, rast, triangles, cotangent):
        attributes, rast = np.asarray(attributes), np.asarray(rast)
        cotangent = np.asarray(cotangent)
        corners, weights = pixel_corners(rast, triangles)
        image = np.arange(len(rast))[:, None, None, None]
        to_attributes = np.zeros_like(attributes)
        np.add.at(to_attributes, (image, corners), weights[..., None] * cotangent[:, :, :, None])
        a = (attributes[image, corners] * cotangent[:, :, :, None]).sum(-1)
        to_rast = np.zeros_like(rast)
        to_rast[..., :2] = (a[..., :2] - a[..., 2:]) * (rast[..., 3:] > 0)
        return self.wrap(to_attributes), self.wrap(to_rast)

    # No antialiasing, but a function of the same arguments, `made_up` below, and its gradient.

    def antialias_construct_topology_hash(self, triangles):
        return ("topology of", len(triangles))

    def antialias_fwd(self, image, rast, positions, triangles, topology):
        assert topology == ("topology of", len(triangles))
        arguments = [np.asarray(a) for a in (image, rast, positions, triangles)]
        return self.wrap(made_up(*arguments)), "silhouettes"

    def antialias_grad(self, image, rast, positions, triangles, cotangent, silhouettes):
        assert silhouettes == "silhouettes"
        image, rast, positions, triangles, cotangent = (
            np.asarray(a) for a in (image, rast, positions, triangles, cotangent)
        )
        scale = positions[:, triangles[:, 0], 0].sum(1)[:, None, None, None]
        to_positions = np.zeros_like(positions)
        change = (cotangent * image).sum((1, 2, 3))
        np.add.at(to_positions, (slice(None), triangles[:, 0], 0), change[:, None])
        return self.wrap(cotangent * scale), self.wrap(to_positions)


def made_up(image, rast, positions, triangles):
    scale = positions[:, triangles[:, 0], 0].sum(1)
    return image * scale[:, None, None, None] + rast[..., 3:]


def barycentrics(points, row, column, size):
    """(u, v, t) and (z/w, w) of pixels' centres in triangles with clip-space corners (p, 3, 4)."""
    x = points[..., 0] - ((column + 0.5) * 2 / size[1] - 1)[:, None] * points[..., 3]
    y = points[..., 1] - ((row + 0.5) * 2 / size[0] - 1)[:, None] * points[..., 3]
    after, last = [1, 2, 0], [2, 0, 1]
    edges = x[:, after] * y[:, last] - y[:, after] * x[:, last]
    edges = edges / edges.sum(1, keepdims=True)
    z, w = ((edges * points[..., k]).sum(1) for k in (2, 3))
    return edges.T, (z / w, w)


def draw(positions, triangles, size):
    """One image, pixel by pixel and triangle by triangle."""
    rast = np.zeros((*size, 4))
    depth = np.full(size, np.inf)
    row, column = (a.reshape(-1) for a in np.indices(size))
    for index, triangle in enumerate(triangles):
        points = np.broadcast_to(positions[triangle], (row.size, 3, 4))
        with np.errstate(invalid="ignore", divide="ignore"):
            (u, v, t), (z, w) = barycentrics(points, row, column, size)
        inside = (np.minimum(np.minimum(u, v), t) >= 0) & (w > 0) & (np.abs(z) <= 1)
        nearer = inside & (z < depth.reshape(-1))
        depth.reshape(-1)[nearer] = z[nearer]
        fragment = np.stack([u, v, z, np.full(len(u), index + 1)], axis=-1)
        rast.reshape(-1, 4)[nearer] = fragment[nearer]
    return rast


def pixel_corners(rast, triangles):
    """(b, h, w, 3) vertices and their weights; none where nothing is drawn."""
    corners = np.asarray(triangles)[np.maximum(rast[..., 3].astype(int) - 1, 0)]
    u, v = rast[..., 0], rast[..., 1]
    return corners, np.stack([u, v, 1 - u - v], axis=-1) * (rast[..., 3:] > 0)


class CpuOperations(nvdiffrast_backend.NvdiffrastOperations):
    """All of the operations but what needs CUDA."""

    def on_stream(self, context, tensor):
        return contextlib.nullcontext()

    def _wait(self, device):
        pass

    def _context(self, device):
        return "context"


class NumpyOperations(CpuOperations):
    """The same on NumPy arrays."""

    def tensor(self, buffer):
        return np.asarray(buffer)


NUMPY_AS_TORCH = SimpleNamespace(
    arange=np.arange,
    cat=np.concatenate,
    empty=np.empty,
    tensor=np.array,
    int32=np.int32,
    OutOfMemoryError=MemoryError,
)


TENSORS = ["numpy"] + ["torch"] * (importlib.util.find_spec("torch") is not None)


@pytest.fixture(params=TENSORS)
def stand_in(request, monkeypatch, on_a_cpu):
    """The backend with NumPy kernels, its tensors NumPy's or, where it is installed, PyTorch's."""
    if request.param == "numpy":
        operations = NumpyOperations(NUMPY_AS_TORCH, NumpyKernels(lambda array: array))
    else:
        import torch

        operations = CpuOperations(torch, NumpyKernels(torch.from_numpy))
    monkeypatch.setattr(nvdiffrast_backend, "_operations", lambda: operations)
    return backend("nvdiffrast")


def scene(*batch, vertices=12, triangles=8, seed=0):
    rng = np.random.default_rng(seed)
    positions = rng.uniform(-1.5, 1.5, (*batch, vertices, 4)).astype(np.float32)
    positions[..., 2] *= 0.5
    positions[..., 3] = rng.uniform(1, 2, (*batch, vertices))
    attributes = rng.normal(size=(*batch, vertices, 2)).astype(np.float32)
    corners = [rng.choice(vertices, 3, replace=False) for _ in range(triangles)]
    return jnp.asarray(positions), jnp.asarray(attributes), jnp.asarray(corners, jnp.int32)


def images_and_gradients(ops, positions, attributes, triangles, size, *, cull=False):
    """What is drawn, and the gradients of a weighted sum of the image."""
    channels = attributes.shape[-1]
    weights = np.random.default_rng(1).normal(size=(*size, channels)).astype(np.float32)

    def loss(positions, attributes):
        rast = ops.rasterize(positions, triangles, size, cull_backfaces=cull)
        image = ops.interpolate(attributes, rast, triangles)
        return (image * weights.reshape((1,) * (image.ndim - 3) + weights.shape)).sum(), (
            rast,
            image,
        )

    gradient = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
    (_, (rast, image)), gradients = gradient(positions, attributes)
    return rast, image, *gradients


@functools.cache
def by_xla():
    """What the XLA backend makes of the scene, front faces only; compiled once for all tests."""
    return images_and_gradients(backend("xla"), *scene(3), SIZE, cull=True)


def test_tensors_are_pytorchs_own_too():
    pytest.importorskip("torch", reason="PyTorch, an optional extra, is not installed")
    assert "torch" in TENSORS


def test_ids_images_and_gradients_are_those_of_the_xla_backend(stand_in):
    got = images_and_gradients(stand_in, *scene(3), SIZE, cull=True)
    assert len(np.unique(by_xla()[0][..., 3])) > 3
    np.testing.assert_array_equal(got[0][..., 3], by_xla()[0][..., 3])
    for a, b in zip(got, by_xla(), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4 * np.abs(b).max())


def test_without_culling_triangles_are_seen_from_both_sides(stand_in):
    positions, _, triangles = scene(3)
    turned = triangles[:, ::-1]
    front, back = (
        stand_in.rasterize(positions, t, SIZE, cull_backfaces=True) for t in (triangles, turned)
    )
    both = stand_in.rasterize(positions, triangles, SIZE)
    hidden = (back[..., 3] > 0) & ((front[..., 3] == 0) | (back[..., 2] < front[..., 2]))
    ids = np.where(hidden, back[..., 3], front[..., 3])
    assert (ids != front[..., 3]).mean() > 0.05
    np.testing.assert_array_equal(both[..., 3], ids)


def test_culled_batches_too_long_for_exact_indices_are_drawn_in_parts(stand_in, monkeypatch):
    positions, _, triangles = scene(3)
    whole = stand_in.rasterize(positions, triangles, SIZE, cull_backfaces=True)
    monkeypatch.setattr(nvdiffrast_backend, "_MAX_EXACT_INDEX", 2 * len(triangles))
    parts = stand_in.rasterize(positions, triangles, SIZE, cull_backfaces=True)
    np.testing.assert_array_equal(parts, whole)


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_batch_axes_and_vmap_give_what_single_images_give(stand_in, batch):
    positions, attributes, triangles = scene(*batch)

    def drawn(positions, attributes, triangles):
        rast = stand_in.rasterize(positions, triangles, SIZE, cull_backfaces=True)
        return stand_in.interpolate(attributes, rast, triangles)

    got = jax.jit(drawn)(positions, attributes, triangles)
    assert got.shape == (*batch, *SIZE, 2)
    mapped = drawn
    for _ in batch:
        mapped = jax.vmap(mapped, in_axes=(0, 0, None))
    np.testing.assert_array_equal(mapped(positions, attributes, triangles), got)
    for index in np.ndindex(*batch):
        alone = drawn(positions[index], attributes[index], triangles)
        np.testing.assert_array_equal(alone, got[index])


def test_vmap_over_gradients_and_over_triangles(stand_in):
    positions, attributes, triangles = scene(2)
    both = jnp.stack([triangles, triangles[::-1]])

    def loss(positions, attributes, triangles):
        rast = stand_in.rasterize(positions, triangles, SIZE)
        return (stand_in.interpolate(attributes, rast, triangles) ** 2).sum()

    for axes, chosen in (((0, 0, None), triangles), ((0, 0, 0), both), ((None, 0, 0), both)):
        arrays = (positions[0] if axes[0] is None else positions, attributes, chosen)
        got = jax.jit(jax.vmap(jax.grad(loss, argnums=(0, 1)), in_axes=axes))(*arrays)
        for i in range(2):
            one = [a if axis is None else a[i] for a, axis in zip(arrays, axes, strict=True)]
            expected = jax.grad(loss, argnums=(0, 1))(*one)
            for a, b in zip(got, expected, strict=True):
                np.testing.assert_allclose(a[i], b, rtol=1e-5, atol=1e-5)


def test_antialias_hands_every_array_and_gradient_to_its_place(stand_in):
    positions, _, triangles = scene(2)
    rng = np.random.default_rng(5)
    image = jnp.asarray(rng.normal(size=(2, *SIZE, 3)), jnp.float32)
    rast = jnp.asarray(rng.normal(size=(2, *SIZE, 4)), jnp.float32)

    def ours(image, rast, positions):
        return (stand_in.antialias(image, rast, positions, triangles, triangles) ** 2).sum()

    def expected(image, rast, positions):
        return (made_up(image, jax.lax.stop_gradient(rast), positions, triangles) ** 2).sum()

    arguments = (image, rast, positions)
    got = jax.jit(jax.value_and_grad(ours, argnums=(0, 1, 2)))(*arguments)
    want = jax.value_and_grad(expected, argnums=(0, 1, 2))(*arguments)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("cull", [False, True])
@pytest.mark.parametrize("batch", [(), (2,), (1, 2)])
def test_a_picture_in_one_call_is_that_of_three(stand_in, batch, cull):
    positions, attributes, triangles = scene(*batch)
    weights = np.random.default_rng(6).normal(size=(*batch, *SIZE, 3)).astype(np.float32)

    def weighted(image, covered):
        both = jnp.concatenate([image, covered], axis=-1)
        return (weights * both**2).sum(), (image, covered)

    def in_one(positions, attributes):
        drawn = stand_in.draw_antialiased(
            positions, attributes, triangles, triangles, SIZE, cull_backfaces=cull
        )
        return weighted(*drawn)

    def in_three(positions, attributes):
        rast = stand_in.rasterize(positions, triangles, SIZE, cull_backfaces=cull)
        ones = jnp.ones_like(attributes[..., :1])
        plain = jnp.concatenate([attributes, ones], axis=-1)
        plain = stand_in.interpolate(plain, rast, triangles)
        image = stand_in.antialias(plain, rast, positions, triangles, triangles)
        return weighted(image[..., :2], image[..., 2:])

    (got, by_got), (expected, by_expected) = (
        jax.jit(jax.value_and_grad(f, argnums=(0, 1), has_aux=True))(positions, attributes)
        for f in (in_one, in_three)
    )
    assert got[1][0].shape == (*batch, *SIZE, 2)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(by_got, by_expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(b).max())


def test_render_draws_the_same_face_with_either_backend(stand_in):
    rng = np.random.default_rng(4)
    positions, _, triangles = scene(vertices=70, seed=4)
    shape = np.asarray(positions)[:, :3]
    model = face_model_from_arrays(
        mean_shape=shape,
        mean_texture=rng.uniform(size=shape.shape),
        identity_basis=np.zeros((70, 3, 80)),
        expression_basis=np.zeros((70, 3, 64)),
        texture_basis=np.zeros((70, 3, 80)),
        triangles=np.asarray(triangles),
        landmarks=np.arange(68),
        eye_mask=np.arange(70) % 2 == 0,
    )
    vertices = shape + 0.1 * rng.normal(size=(2, 70, 3)).astype(np.float32)

    def pictures(rasterizer):
        draw = jax.jit(functools.partial(render_vertices, size=SIZE, rasterizer=rasterizer))
        light = jnp.zeros((3, 9))
        return draw(model, vertices, model.mean_texture, light, camera=pinhole_camera(SIZE))

    got, expected = pictures("nvdiffrast"), pictures("xla")
    assert 0.1 < expected.mask.mean() < 0.9
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_empty_meshes_draw_nothing():
    ops = backend("nvdiffrast")
    none = jnp.zeros((0, 3), jnp.int32)
    rast = ops.rasterize(jnp.ones((2, 5, 4)), none, SIZE)
    np.testing.assert_array_equal(rast, np.zeros((2, *SIZE, 4)))
    assert not ops.interpolate(jnp.ones((2, 5, 3)), rast, none).any()
    image = jnp.ones((2, *SIZE, 1))
    assert ops.antialias(image, rast, jnp.ones((2, 5, 4)), none, none) is image


@pytest.fixture
def nothing_installed(monkeypatch):
    """JAX on a CPU only, PyTorch and nvdiffrast not there."""

    def forget():
        nvdiffrast_backend._operations.cache_clear()
        nvdiffrast_backend._missing.cache_clear()

    forget()
    monkeypatch.setattr(jax, "devices", lambda: [SimpleNamespace(platform="cpu")])
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "_nvdiffrast_c", None)
    yield monkeypatch
    forget()


@pytest.fixture
def installed(nothing_installed):
    """A function that pretends that a version of nvdiffrast is there, and all that it needs."""
    module = SimpleNamespace(__spec__=SimpleNamespace())
    cuda = SimpleNamespace(is_available=lambda: True)
    torch = SimpleNamespace(__spec__=SimpleNamespace(), __version__="9.9", cuda=cuda)
    nothing_installed.setattr(jax, "devices", lambda: [SimpleNamespace(platform="gpu")])
    nothing_installed.setattr(jax, "default_backend", lambda: "gpu")
    nothing_installed.setitem(sys.modules, "torch", torch)
    nothing_installed.setitem(sys.modules, "_nvdiffrast_c", module)

    def install(version):
        nothing_installed.setattr(importlib.metadata, "version", lambda name: version)

    return install


def test_all_that_is_missing_is_named_with_the_way_to_install_it(nothing_installed):
    positions, attributes, triangles = scene()
    ops, rast = backend("nvdiffrast"), jnp.zeros((*SIZE, 4))
    calls = [
        lambda: ops.rasterize(positions, triangles, SIZE),
        lambda: ops.interpolate(attributes, rast, triangles),
        lambda: ops.antialias(rast, rast, positions, triangles, triangles),
    ]
    for call in calls:
        with pytest.raises(RuntimeError) as error:
            call()
        for words in (
            "JAX sees no CUDA device (pip install 'facial_jax[cuda13]', or cuda12)",
            "PyTorch is not installed (pip install 'facial_jax[nvdiffrast]')",
            "pip install git+https://github.com/NVlabs/nvdiffrast.git",
        ):
            assert words in str(error.value)


def test_a_pytorch_without_cuda_is_named(nothing_installed):
    class FakeTorch:
        __spec__ = SimpleNamespace()
        __version__ = "9.9+cpu"
        cuda = SimpleNamespace(is_available=lambda: False)

    nothing_installed.setitem(sys.modules, "torch", FakeTorch)
    with pytest.raises(RuntimeError, match=r"PyTorch 9\.9\+cpu sees no CUDA device"):
        nvdiffrast_backend._operations()


def test_auto_is_nvdiffrast_only_where_all_that_it_needs_is_there(installed):
    installed("0.4.0")
    assert backend("auto") is backend("nvdiffrast")


def test_auto_is_xla_on_a_cpu_and_without_nvdiffrast(nothing_installed):
    assert backend("auto") is backend("xla")
    nothing_installed.setattr(jax, "default_backend", lambda: "gpu")
    assert backend("auto") is backend("xla")


def test_another_version_of_nvdiffrast_is_refused_and_auto_warns(installed):
    installed("0.5.1")
    with pytest.warns(UserWarning, match=r"nvdiffrast 0\.5\.1 is installed, of which only"):
        assert backend("auto") is backend("xla")
    with pytest.raises(RuntimeError, match=r"nvdiffrast 0\.5\.1 is installed"):
        nvdiffrast_backend._operations()


def test_a_full_card_is_explained(stand_in, monkeypatch):
    operations = nvdiffrast_backend._operations()

    def full(*arguments, **options):
        raise operations._torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(operations, "rasterize", full)
    positions, _, triangles = scene()
    with pytest.raises(Exception, match="XLA_PYTHON_CLIENT_MEM_FRACTION"):
        jax.block_until_ready(stand_in.rasterize(positions, triangles, SIZE))


def test_arrays_on_a_cpu_are_refused_where_a_gpu_is_at_hand(monkeypatch, on_a_cpu):
    operations = nvdiffrast_backend.NvdiffrastOperations(
        SimpleNamespace(from_dlpack=lambda _: SimpleNamespace(is_cuda=False, device="cpu")), None
    )
    monkeypatch.setattr(nvdiffrast_backend, "_operations", lambda: operations)
    positions, _, triangles = scene()
    with pytest.raises(Exception, match="needs arrays on a CUDA device, got cpu"):
        jax.block_until_ready(backend("nvdiffrast").rasterize(positions, triangles, SIZE))


def test_pytorch_works_on_the_stream_and_device_that_xla_names():
    streams = []
    cuda = SimpleNamespace(ExternalStream=lambda *a, **k: (a, k), stream=streams.append)
    operations = nvdiffrast_backend.NvdiffrastOperations(SimpleNamespace(cuda=cuda), None)
    tensor = SimpleNamespace(is_cuda=True, device="cuda:1")
    operations.on_stream(SimpleNamespace(stream=1234), tensor)
    assert streams == [((1234,), {"device": "cuda:1"})]
    assert isinstance(ExecutionContext.stream, property)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="expected one of xla, nvdiffrast, auto, got 'opengl'"):
        backend("opengl")
    positions, _, triangles = scene()
    ops = backend("nvdiffrast")
    with pytest.raises(ValueError, match=r"size: .* got \(0, 4\)"):
        ops.rasterize(positions, triangles, (0, 4))
    with pytest.raises(ValueError, match="positions: nvdiffrast computes in float32, got float16"):
        ops.rasterize(positions.astype(jnp.float16), triangles, SIZE)
