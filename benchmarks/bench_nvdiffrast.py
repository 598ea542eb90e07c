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
SIZE, AGREEMENT_FRAMES = (512, 512), 4


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


def on_nvdiffrasts_grid(positions: np.ndarray | jax.Array, size: tuple[int, int]) -> jax.Array:
    """Clip-space positions (…, 4) whose pixel positions are moved to the nearest 1/16."""
    positions = np.array(positions, np.float64)
    for axis, pixels in enumerate(size[::-1]):
        grid = 8 * pixels  # steps of 1/16 of a pixel from the image's middle to its edge
        projected = positions[..., axis] / positions[..., 3]
        positions[..., axis] = np.round(projected * grid) / grid * positions[..., 3]
    return jnp.asarray(positions, jnp.float32)


def jax_functions(name: str, model: FaceModel, target: jax.Array, *, cull: bool):
    """A backend's picture and coverage, and with the gradients of the loss; both jitted."""
    ops, size = backend(name), target.shape[1:3]

    def picture(positions, colors):
        mesh = model.triangles, model.opposite_vertices
        return ops.draw_antialiased(positions, colors, *mesh, size, cull_backfaces=cull)

    def loss(positions, colors):
        image, covered = picture(positions, colors)
        return ((image - target) ** 2).sum(), (image, covered)

    return jax.jit(picture), jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))


def torch_functions(triangles: jax.Array, target: jax.Array):
    """The same by nvdiffrast's own interface, without culling, which it does not have."""
    import nvdiffrast.torch as dr
    import torch

    context = dr.RasterizeCudaContext()
    triangles, target = (torch.from_dlpack(array) for array in (triangles, target))
    size = target.shape[1:3]

    def picture(positions, colors):
        # What is drawn of ones is the coverage.
        attributes = torch.cat([colors, torch.ones_like(colors[..., :1])], dim=-1)
        rast, _ = dr.rasterize(context, positions, triangles, resolution=size, grad_db=False)
        plain, _ = dr.interpolate(attributes, rast, triangles)
        return dr.antialias(plain, rast, positions, triangles)

    def forward(positions, colors):
        with torch.no_grad():
            result = picture(positions, colors)
        torch.cuda.synchronize()
        return result

    def with_gradients(positions, colors):
        positions, colors = (a.detach().requires_grad_() for a in (positions, colors))
        image = picture(positions, colors)
        loss = ((image[..., :3] - target) ** 2).sum()
        by = torch.autograd.grad(loss, (positions, colors))
        torch.cuda.synchronize()
        return image, *by

    return forward, with_gradients


def print_agreement(title: str, model: FaceModel, positions: jax.Array, *, cull: bool) -> None:
    """How far nvdiffrast and XLA show the same triangles, and agree in their gradients there."""
    frames, size = len(positions), SIZE
    ways = backend("nvdiffrast"), backend("xla")
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(frames, *size, 4)).astype(np.float32)
    image = jnp.asarray(rng.uniform(size=(frames, *size, 3)), jnp.float32)

    def rasterize(ops, positions):
        return ops.rasterize(positions, model.triangles, size, cull_backfaces=cull)

    ids = [np.asarray(rasterize(ops, positions))[..., 3:] for ops in ways]
    same, covered = ids[0] == ids[1], ids[0] > 0
    weights = weights * [1, 1, 0, 0]  # nvdiffrast's z/w passes no gradient

    def by_barycentrics(ops, weights):
        return jax.vjp(lambda p: rasterize(ops, p), positions)[1](jnp.asarray(weights, jnp.float32))

    rast = rasterize(ways[0], positions)

    def by_silhouettes(ops):
        mesh = model.triangles, model.opposite_vertices
        return jax.vjp(lambda p: ops.antialias(image, rast, p, *mesh), positions)[1](image)

    print(
        f"{title}{', front faces only' * cull}: the same triangle at {same[covered].mean():.3%} of "
        "the covered pixels; cosine of the gradients by positions through the barycentrics "
        f"{_cosine(*(by_barycentrics(ops, weights) for ops in ways)):.4f}, of the same triangles "
        f"alone {_cosine(*(by_barycentrics(ops, weights * same) for ops in ways)):.6f}, through "
        f"antialiasing what nvdiffrast drew {_cosine(*(by_silhouettes(ops) for ops in ways)):.6f}"
    )


def _cosine(a: tuple, b: tuple) -> float:
    (a,), (b,) = (np.asarray(x, np.float64) for x in a), (np.asarray(x, np.float64) for x in b)
    return (a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b)


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
    """Forward and with gradients, by each way. Raises CannotRunError if nvdiffrast cannot."""
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
    """How near the ways' results are. Raises CannotRunError if nvdiffrast cannot run."""
    model, positions, colors, target = _scene(arguments)
    image, covered = jax_functions("nvdiffrast", model, target, cull=False)[0](positions, colors)
    by_torch = torch_functions(model.triangles, target)[0](*_tensors(positions, colors))
    difference = np.abs(np.concatenate([image, covered], axis=-1) - by_torch.cpu().numpy()).max()
    print(f"nvdiffrast in jit and from PyTorch: pictures differ by at most {difference:.1e}")
    some = positions[:: max(1, arguments.frames // AGREEMENT_FRAMES)]
    for cull in (False, True):
        print_agreement("nvdiffrast and xla", model, some, cull=cull)
        on_grid = on_nvdiffrasts_grid(some, SIZE)
        print_agreement("  vertices on a grid of 1/16 of a pixel", model, on_grid, cull=cull)


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
