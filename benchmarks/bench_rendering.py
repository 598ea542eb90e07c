"""Milliseconds per frame of rendering a face: geometry, light, rasterizer and the whole.

Prints the wall-clock time and, because other work on the machine disturbs it, the processor time of
all threads.

    python -m benchmarks.bench_rendering --size 256 --frames 16
"""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from facial_jax.attributes import Attributes, Identity
from facial_jax.face.model import FaceModel, face_shape, face_texture, vertex_normals
from facial_jax.face.procedural import procedural_face_model
from facial_jax.rendering.camera import (
    camera_vertices,
    clip_positions,
    pinhole_camera,
    pose_vertices,
)
from facial_jax.rendering.lighting import shade
from facial_jax.rendering.rasterizer import interpolate, rasterize
from facial_jax.rendering.render import render


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


def report(name: str, function: Callable, *arguments, frames: int, repeats: int):
    """Times a function of all frames, prints milliseconds per frame, returns its result."""
    start = time.perf_counter()
    compiled = jax.jit(function).lower(*arguments).compile()
    compile_s = time.perf_counter() - start
    result = jax.block_until_ready(compiled(*arguments))
    wall, processor = [], []
    for _ in range(repeats):
        start, start_processor = time.perf_counter(), time.process_time()
        result = jax.block_until_ready(compiled(*arguments))
        wall.append(time.perf_counter() - start)
        processor.append(time.process_time() - start_processor)
    ms, processor_ms = (1e3 * np.median(times) / frames for times in (wall, processor))
    print(f"{name:<34}{ms:8.2f} ms{processor_ms:12.2f} ms{compile_s:14.1f} s", flush=True)
    return result


def benchmark(model: FaceModel, size: tuple[int, int], frames: int, distance: float, repeats: int):
    """Times each step by itself, on all frames, and then the whole."""
    identity, attributes = random_clip(frames, distance=distance)
    camera = pinhole_camera(size)
    options = {"frames": frames, "repeats": repeats}

    def positions_of(vertices, attributes):
        world = pose_vertices(vertices, attributes)
        return clip_positions(camera, camera_vertices(camera, world), size)

    def each_frame(function):
        return lambda *arguments: jax.lax.map(lambda frame: function(*frame), arguments)

    albedo = face_texture(model, identity.texture)
    print(f"{'per frame':<34}{'wall':>11}{'processor':>15}{'compilation':>16}")
    vertices = report(
        "shape", lambda e: face_shape(model, identity.identity, e), attributes.expression, **options
    )
    normals = report(
        "normals",
        each_frame(lambda v: vertex_normals(v, model.triangles, model.vertex_triangles)),
        vertices,
        **options,
    )
    colors = report(
        "light", each_frame(lambda n: shade(albedo, n, identity.illumination)), normals, **options
    )
    positions = report("camera", each_frame(positions_of), vertices, attributes, **options)
    rast = report(
        "rasterize, front faces only",
        lambda p: rasterize(p, model.triangles, size, cull_backfaces=True),
        positions,
        **options,
    )
    report(
        "rasterize, all faces",
        lambda p: rasterize(p, model.triangles, size),
        positions,
        **options,
    )
    report("interpolate", lambda c, r: interpolate(c, r, model.triangles), colors, rast, **options)
    report(
        "whole: render()",
        lambda i, a: render(model, i, a, camera, size),
        identity,
        attributes,
        **options,
    )
    target = jnp.zeros((frames, *size, 3))

    def image_loss(identity, attributes):
        return jnp.abs(render(model, identity, attributes, camera, size).image - target).mean()

    report(
        "whole, with gradients",
        jax.value_and_grad(image_loss, argnums=(0, 1)),
        identity,
        attributes,
        **options,
    )
    covered = float((rast[..., 3] > 0).mean())
    print(f"the face covers {covered:.0%} of the pixels")


def main(size: int = 256, frames: int = 16, distance: float = 3.0, repeats: int = 10) -> None:
    """Benchmarks the built-in face model on square images.

    Args:
        size: width and height of the images.
        frames: frames rendered together.
        distance: how far the head is moved back, decimetres; 0 fills the image.
        repeats: calls timed; the median is printed.
    """
    model = procedural_face_model()
    device = jax.devices()[0]
    print(
        f"device {device.device_kind} ({device.platform}), jax {jax.__version__}, "
        f"{model.mean_shape.shape[0]} vertices, {model.triangles.shape[0]} triangles, "
        f"{frames} frames of {size} x {size}"
    )
    benchmark(model, (size, size), frames, distance, repeats)


if __name__ == "__main__":
    tyro.cli(main)
