"""The nvdiffrast backend beside the XLA one and beside nvdiffrast called from PyTorch (CUDA only).

Draws an antialiased picture of the built-in face in several poses, forward and with the gradients
of an image loss by vertices and colours. Prints how far the results agree, and what a frame takes.

    python -m benchmarks.bench_nvdiffrast | tee benchmarks/results/nvdiffrast_<device>.txt
"""

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from benchmarks.measure import CannotRunError, Row, measure, print_table
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

WAYS = tuple((name, cull) for name in ("nvdiffrast", "xla") for cull in (False, True))
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


@dataclass(frozen=True)
class Arguments:
    """Compares the backends on square images."""

    size: int = 512
    """Width and height of the images."""
    frames: int = 16
    """Images drawn together."""
    repeats: int = 20
    """Calls timed; the median is printed."""
    culled: bool = True
    """Front faces only, too."""


def rows(arguments: Arguments) -> Iterator[Row]:
    """Forward and with gradients, by each way. Raises CannotRunError where nvdiffrast cannot."""
    model, positions, colors, target = _scene(arguments)
    ways = {
        f"{name}{', front faces only' * cull}": (
            jax_functions(name, model, target, cull=cull),
            (positions, colors),
        )
        for name, cull in WAYS
        if arguments.culled or not cull
    }
    ways["nvdiffrast from PyTorch"] = (
        torch_functions(model.triangles, target),
        _tensors(positions, colors),
    )
    for way, (functions, inputs) in ways.items():
        for kind, function in zip(("forward", "with gradients"), functions, strict=True):
            yield measure(
                f"{positions.shape[1]:,} vertices, {arguments.size}²: {way}, {kind}",
                function,
                *inputs,
                items=arguments.frames,
                repeats=arguments.repeats,
            )


def print_agreements(arguments: Arguments) -> None:
    """How near the ways' results are. Raises CannotRunError where nvdiffrast cannot run."""
    model, positions, colors, target = _scene(arguments)
    results = {
        (name, cull): jax_functions(name, model, target, cull=cull)[1](positions, colors)
        for name, cull in WAYS
    }
    by_torch = torch_functions(model.triangles, target)[1](*_tensors(positions, colors))
    by_torch = [a.detach().cpu().numpy() for a in by_torch]
    print_agreement("nvdiffrast in jit, from PyTorch", results["nvdiffrast", False], by_torch)
    for cull in (False, True):
        title = f"nvdiffrast, xla{', front faces only' * cull}"
        print_agreement(title, results["nvdiffrast", cull], results["xla", cull])


def _scene(arguments: Arguments) -> tuple[FaceModel, jax.Array, jax.Array, jax.Array]:
    """The face, its positions and colours in each frame, and other pictures of that size."""
    size, frames = (arguments.size, arguments.size), arguments.frames
    model = procedural_face_model()
    positions, colors = turning_face(model, frames, size)
    try:
        backend("nvdiffrast").rasterize(positions[:1], model.triangles, size)
    except RuntimeError as error:
        raise CannotRunError(str(error)) from error
    target = jax.random.uniform(jax.random.key(1), (frames, *size, 3))
    return model, positions, colors, target


def _tensors(*arrays: jax.Array) -> list:
    import torch

    return [torch.from_dlpack(array).clone() for array in arrays]


def main(arguments: Arguments) -> None:
    """Prints the table, and then the agreement."""
    print_table(rows(arguments))
    print_agreements(arguments)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
