"""Times rendering a face, a frame: geometry, light, rasterizer, the whole, and its gradients.

python -m benchmarks.bench_rendering --size 256 --frames 16
taskset -c 0 python -m benchmarks.bench_rendering --face bfm-size --topology facemodel_info.mat
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from benchmarks.bfm_size_face import bfm_size_face_model
from benchmarks.measure import Row, measure, print_table
from facial_jax.attributes import Attributes, Identity
from facial_jax.face.model import FaceModel, face_shape, face_texture, vertex_normals
from facial_jax.face.procedural import procedural_face_model
from facial_jax.rendering.antialias import antialias
from facial_jax.rendering.camera import (
    Camera,
    camera_vertices,
    clip_positions,
    pinhole_camera,
    pose_vertices,
)
from facial_jax.rendering.interpolate import interpolate
from facial_jax.rendering.lighting import shade
from facial_jax.rendering.mapping import map_frames
from facial_jax.rendering.rasterizer import rasterize
from facial_jax.rendering.render import render, render_vertices


@dataclass(frozen=True)
class Arguments:
    """Times rendering a face on square images."""

    face: Literal["built-in", "bfm-size"] = "built-in"
    """The built-in face model, or a made-up one of the Basel Face Model's size."""
    topology: Path | None = None
    """facemodel_info.mat, for the published triangles of the latter."""
    size: int | None = None
    """Width and height of the images; 256 for the built-in face, 512 for the other."""
    frames: int = 16
    """Frames rendered together."""
    repeats: int = 10
    """Calls timed; the median is printed."""
    steps: bool = True
    """Each step, and the gradients by vertices, by themselves, too."""


@dataclass(frozen=True)
class _Scene:
    model: FaceModel
    identity: Identity
    attributes: Attributes
    camera: Camera
    size: tuple[int, int]
    measure: Callable[..., Row]


def random_clip(frames: int, *, distance: float, seed: int = 0) -> tuple[Identity, Attributes]:
    """A random person who talks and nods, `distance` decimetres behind the model's origin."""
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return rng.normal(size=shape)

    pose = np.concatenate([0.1 * normal(frames, 3), 0.05 * normal(frames, 3)], axis=-1)
    pose[:, 5] -= distance
    expression = 0.2 * np.abs(normal(frames, 64))
    expression[:, 32:] = 0
    arrays = [normal(80), normal(80), 0.1 * normal(3, 9), expression, pose, np.zeros(frames)]
    identity, texture, light, expression, pose, blink = (jnp.asarray(a, "float32") for a in arrays)
    return (
        Identity(identity=identity, texture=texture, illumination=light),
        Attributes(expression=expression, pose=pose, blink=blink),
    )


def rows(arguments: Arguments) -> Iterator[Row]:
    """The whole and its gradients, after each step by itself if asked for."""
    built_in = arguments.face == "built-in"
    model = procedural_face_model() if built_in else bfm_size_face_model(arguments.topology)
    side = arguments.size or (256 if built_in else 512)
    # Moved back so far that the face is a little over half as tall as the image.
    identity, attributes = random_clip(arguments.frames, distance=3.0 if built_in else 5.7)
    what = f"{len(model.mean_shape):,} vertices, {side}²"

    def measure_frames(name: str, function: Callable, *inputs: Any) -> Row:
        leaves, structure = jax.tree.flatten(inputs)
        compiled = jax.jit(lambda *leaves: function(*jax.tree.unflatten(structure, leaves)))
        options = {"items": arguments.frames, "repeats": arguments.repeats}
        row = measure(f"{what}: {name}", compiled, *leaves, **options)
        memory = compiled.lower(*leaves).compile().memory_analysis()
        mib = (memory.temp_size_in_bytes + memory.output_size_in_bytes) / 2**20
        return replace(row, memory_mib=mib)

    camera = pinhole_camera((side, side))
    scene = _Scene(model, identity, attributes, camera, (side, side), measure_frames)
    if arguments.steps:
        yield from _step_rows(scene)
    yield from _whole_rows(scene, by_vertices=arguments.steps)


def _step_rows(scene: _Scene) -> Iterator[Row]:
    model, identity, attributes = scene.model, scene.identity, scene.attributes

    def positions_of(vertices, attributes):
        world = pose_vertices(vertices, attributes)
        return clip_positions(scene.camera, camera_vertices(scene.camera, world), scene.size)

    def shape(identity, expression):
        return face_shape(model, identity, expression)

    def normals_of(vertices):
        return vertex_normals(vertices, model.triangles, model.vertex_triangles)

    def camera(vertices, attributes):
        return map_frames(positions_of, vertices, attributes)

    def light(normals):
        return map_frames(lambda n: shade(albedo, n, identity.illumination), normals)

    def front(positions):
        return rasterize(positions, model.triangles, scene.size, cull_backfaces=True)

    def both_sides(positions):
        return rasterize(positions, model.triangles, scene.size)

    def pixels(colors, rast):
        return interpolate(colors, rast, model.triangles)

    def smooth(image, rast, positions):
        return antialias(image, rast, positions, model.triangles, model.opposite_vertices)

    numbers = np.random.default_rng(0).normal(size=1 << 20).astype(np.float32)
    yield measure("a yardstick: NumPy sorts 2^20 numbers", np.sort, numbers, repeats=5)
    texture = partial(face_texture, model)
    yield scene.measure("texture, once a call", texture, identity.texture)
    albedo = jax.jit(texture)(identity.texture)
    yield scene.measure("shape", shape, identity.identity, attributes.expression)
    vertices = jax.jit(shape)(identity.identity, attributes.expression)
    yield scene.measure("normals", normals_of, vertices)
    normals = jax.jit(normals_of)(vertices)
    yield scene.measure("camera", camera, vertices, attributes)
    positions = jax.jit(camera)(vertices, attributes)
    yield scene.measure("light", light, normals)
    colors = jax.jit(light)(normals)
    yield scene.measure("rasterize, front faces only", front, positions)
    rast = jax.jit(front)(positions)
    yield scene.measure("rasterize", both_sides, positions)
    yield scene.measure("interpolate", pixels, colors, rast)
    image = jax.jit(pixels)(colors, rast)
    yield scene.measure("antialias", smooth, image, rast, positions)


def _whole_rows(scene: _Scene, *, by_vertices: bool) -> Iterator[Row]:
    model, identity, attributes = scene.model, scene.identity, scene.attributes
    target = jnp.zeros((*attributes.blink.shape, *scene.size, 3))
    shape = face_shape(model, identity.identity, attributes.expression)
    albedo, world = face_texture(model, identity.texture), pose_vertices(shape, attributes)

    def whole(identity, attributes):
        return render(model, identity, attributes, scene.camera, scene.size)

    def of_vertices(antialiased):
        def loss(vertices):
            light, camera = identity.illumination, scene.camera
            rendered = render_vertices(
                model, vertices, albedo, light, camera, scene.size, antialiased=antialiased
            )
            return jnp.abs(rendered.image - target).mean()

        return jax.value_and_grad(loss)

    def by_all(identity, attributes):
        rendered = render(model, identity, attributes, scene.camera, scene.size, antialiased=True)
        return jnp.abs(rendered.image - target).mean()

    yield scene.measure("render()", whole, identity, attributes)
    if by_vertices:
        yield scene.measure("L1, gradient by vertices", of_vertices(False), world)
        yield scene.measure("L1, gradient by vertices, antialiased", of_vertices(True), world)
    gradient = jax.value_and_grad(by_all, argnums=(0, 1))
    yield scene.measure("L1, gradient by all, antialiased", gradient, identity, attributes)


if __name__ == "__main__":
    print_table(rows(tyro.cli(Arguments)))
