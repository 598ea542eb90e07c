"""The nvdiffrast backend beside the XLA one and beside nvdiffrast called from PyTorch (CUDA only).

Draws an antialiased picture of the built-in face in several poses, forward and with the gradients
of an image loss by vertices and colours. Prints how far the results agree, and milliseconds per
frame.

    python -m benchmarks.bench_nvdiffrast | tee benchmarks/results/nvdiffrast_<device>.txt
"""

import time
from collections.abc import Callable
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from facial_jax.attributes import Attributes
from facial_jax.face.model import FaceModel
from facial_jax.face.procedural import procedural_face_model
from facial_jax.rendering.backend import backend
from facial_jax.rendering.camera import (
    camera_vertices,
    clip_positions,
    pinhole_camera,
    pose_vertices,
)

RESULTS = ("triangle ids", "image before antialiasing", "image", "by positions", "by colours")


def turning_face(
    model: FaceModel, frames: int, size: tuple[int, int]
) -> tuple[jax.Array, jax.Array]:
    """Clip-space positions (t, n, 4) and random colours (t, n, 3)."""
    pose = np.zeros((frames, 6), np.float32)
    pose[:, 1] = np.linspace(-0.7, 0.7, frames)
    attributes = Attributes(
        expression=jnp.zeros((frames, 64)), pose=jnp.asarray(pose), blink=jnp.zeros(frames)
    )
    shape = jnp.broadcast_to(model.mean_shape, (frames, *model.mean_shape.shape))
    camera = pinhole_camera(size)
    world = pose_vertices(shape, attributes)
    positions = clip_positions(camera, camera_vertices(camera, world), size)
    colors = jax.random.uniform(jax.random.key(0), shape.shape)
    return positions, colors


def jax_functions(name: str, model: FaceModel, target: jax.Array, *, cull: bool):
    """A backend's picture, and its picture with the gradients of the loss; both jitted."""
    ops = backend(name)
    triangles, opposite = model.triangles, model.opposite_vertices
    size = target.shape[1:3]

    def picture(positions, colors):
        rast = ops.rasterize(positions, triangles, size, cull_backfaces=cull)
        plain = ops.interpolate(colors, rast, triangles)
        return ops.antialias(plain, rast, positions, triangles, opposite), (rast[..., 3], plain)

    def loss(positions, colors):
        image, (ids, plain) = picture(positions, colors)
        return ((image - target) ** 2).sum(), (ids, plain, image)

    gradients = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)

    def with_gradients(positions, colors):
        (_, results), by = gradients(positions, colors)
        return *results, *by

    return jax.jit(picture), jax.jit(with_gradients)


def torch_functions(triangles: jax.Array, target: jax.Array):
    """The same by nvdiffrast's own interface, without culling, which it does not have."""
    import nvdiffrast.torch as dr
    import torch

    context = dr.RasterizeCudaContext()
    triangles, target = (torch.from_dlpack(array) for array in (triangles, target))
    size = target.shape[1:3]

    def picture(positions, colors):
        rast, _ = dr.rasterize(context, positions, triangles, resolution=size, grad_db=False)
        plain, _ = dr.interpolate(colors, rast, triangles)
        return dr.antialias(plain, rast, positions, triangles), (rast[..., 3], plain)

    def forward(positions, colors):
        with torch.no_grad():
            result = picture(positions, colors)
        torch.cuda.synchronize()
        return result

    def with_gradients(positions, colors):
        positions, colors = (a.detach().requires_grad_() for a in (positions, colors))
        image, (ids, plain) = picture(positions, colors)
        by = torch.autograd.grad(((image - target) ** 2).sum(), (positions, colors))
        torch.cuda.synchronize()
        return ids, plain, image, *by

    return forward, with_gradients


def milliseconds(function: Callable, *arguments, repeats: int) -> float:
    """Median wall-clock time of a call, after one to warm up."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times[1:]))


def print_agreement(title: str, got: tuple, expected: tuple) -> None:
    """How near two results are; arrays of JAX or NumPy."""
    got, expected = ([np.asarray(a) for a in results] for results in (got, expected))
    same = got[0] == expected[0]
    print(f"\n{title}\n  {RESULTS[0]}: equal on {same.mean():.4%} of the pixels")
    for name, a, b in zip(RESULTS[1:3], got[1:3], expected[1:3], strict=True):
        difference = np.abs(a - b)
        print(f"  {name}: differs by {difference.mean():.2e} on average", end="")
        print(f", where ids are equal by at most {difference[same].max():.2e}")
    for name, a, b in zip(RESULTS[3:], got[3:], expected[3:], strict=True):
        cosine = (a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b)
        ratio = np.linalg.norm(a) / np.linalg.norm(b)
        print(f"  gradient {name}: cosine {cosine:.6f}, ratio of lengths {ratio:.4f}")


def main(size: int = 512, frames: int = 16, repeats: int = 20) -> None:
    """Compares the backends on square images.

    Args:
        size: width and height of the images.
        frames: images drawn together.
        repeats: calls timed; the median is printed.
    """
    model = procedural_face_model()
    positions, colors = turning_face(model, frames, (size, size))
    target = jax.random.uniform(jax.random.key(1), (frames, size, size, 3))
    jax_ways = {
        (name, cull): jax_functions(name, model, target, cull=cull)
        for name in ("nvdiffrast", "xla")
        for cull in (False, True)
    }
    results = {way: run(positions, colors) for way, (_, run) in jax_ways.items()}

    import torch  # after the backends, which say so where it is missing

    device = jax.devices()[0]
    print(
        f"{device.device_kind}, jax {jax.__version__}, torch {torch.__version__}, "
        f"nvdiffrast {version('nvdiffrast')}\n"
        f"{positions.shape[1]} vertices, {len(model.triangles)} triangles, "
        f"{frames} frames of {size} x {size}"
    )
    torch_way = torch_functions(model.triangles, target)
    tensors = [torch.from_dlpack(a).clone() for a in (positions, colors)]
    by_torch = [a.detach().cpu().numpy() for a in torch_way[1](*tensors)]
    print_agreement("nvdiffrast in jit, from PyTorch", results["nvdiffrast", False], by_torch)
    for cull in (False, True):
        title = f"nvdiffrast, xla{', front faces only' * cull}"
        print_agreement(title, results["nvdiffrast", cull], results["xla", cull])

    print(f"\n{'per frame':<38}{'forward':>11}{'with gradients':>17}")
    rows = {
        f"{name}{', front faces only' * cull}": (ways, (positions, colors))
        for (name, cull), ways in jax_ways.items()
    }
    rows["nvdiffrast from PyTorch"] = torch_way, tensors
    for name, (ways, arguments) in rows.items():
        times = [milliseconds(run, *arguments, repeats=repeats) / frames for run in ways]
        print(f"{name:<38}{times[0]:8.3f} ms{times[1]:14.3f} ms", flush=True)


if __name__ == "__main__":
    tyro.cli(main)
