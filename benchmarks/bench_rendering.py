"""Milliseconds per frame of rendering a face: geometry, light, rasterizer and the whole.

Prints the wall-clock time and, because other work on the machine disturbs it, the processor time of
all threads, beside that of a yardstick that has nothing to do with this project.

    python -m benchmarks.bench_rendering --size 256 --frames 16
    taskset -c 0 python -m benchmarks.bench_rendering --face bfm-size --topology facemodel_info.mat
"""

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from benchmarks.bfm_size_face import bfm_size_face_model
from facial_jax.attributes import Attributes, Identity
from facial_jax.face.model import FaceModel, face_shape, face_texture, vertex_normals
from facial_jax.face.procedural import procedural_face_model
from facial_jax.rendering.antialias import antialias
from facial_jax.rendering.camera import (
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


def median_ms(function: Callable, repeats: int) -> tuple[float, float]:
    """Milliseconds of wall-clock and processor time that a call takes."""
    wall, processor = [], []
    for _ in range(repeats):
        start, start_processor = time.perf_counter(), time.process_time()
        jax.block_until_ready(function())
        wall.append(time.perf_counter() - start)
        processor.append(time.process_time() - start_processor)
    return 1e3 * float(np.median(wall)), 1e3 * float(np.median(processor))


def report(name: str, function: Callable, *arguments, frames: int, repeats: int):
    """Times a function of all frames, prints it per frame, and returns its result."""
    start = time.perf_counter()
    compiled = jax.jit(function).lower(*arguments).compile()
    compile_s = time.perf_counter() - start
    result = jax.block_until_ready(compiled(*arguments))
    wall, processor = median_ms(lambda: compiled(*arguments), repeats)
    memory = compiled.memory_analysis()
    mib = (memory.temp_size_in_bytes + memory.output_size_in_bytes) / 2**20
    print(
        f"{name:<42}{wall / frames:8.2f} ms{processor / frames:9.2f} ms{compile_s:8.1f} s"
        f"{mib:8.1f} MiB",
        flush=True,
    )
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
        return lambda *arguments: map_frames(function, *arguments)

    numbers = np.random.default_rng(0).normal(size=1 << 20).astype(np.float32)
    yardstick = median_ms(lambda: np.sort(numbers), 5)
    print(f"yardstick: NumPy sorts 2^20 numbers in {yardstick[0]:.1f} ms, {yardstick[1]:.1f} ms")
    print(f"{'per frame':<42}{'wall':>11}{'processor':>12}{'compile':>10}{'whole batch':>12}")
    albedo = report(
        "once a call: texture", partial(face_texture, model), identity.texture, **options
    )
    vertices = report(
        "geometry: shape, the person's once a call",
        partial(face_shape, model),
        identity.identity,
        attributes.expression,
        **options,
    )
    normals = report(
        "geometry: normals",
        lambda v: vertex_normals(v, model.triangles, model.vertex_triangles),
        vertices,
        **options,
    )
    positions = report(
        "geometry: camera", each_frame(positions_of), vertices, attributes, **options
    )
    colors = report(
        "light", each_frame(lambda n: shade(albedo, n, identity.illumination)), normals, **options
    )
    rast = report(
        "rasterize, front faces only",
        lambda p: rasterize(p, model.triangles, size, cull_backfaces=True),
        positions,
        **options,
    )
    report(
        "rasterize, all faces", lambda p: rasterize(p, model.triangles, size), positions, **options
    )
    image = report(
        "interpolate", lambda c, r: interpolate(c, r, model.triangles), colors, rast, **options
    )
    report(
        "antialias",
        lambda i, r, p: antialias(i, r, p, model.triangles, model.opposite_vertices),
        image,
        rast,
        positions,
        **options,
    )
    report(
        "whole: render()",
        lambda i, a: render(model, i, a, camera, size),
        identity,
        attributes,
        **options,
    )
    target = jnp.zeros((frames, *size, 3))
    world = pose_vertices(vertices, attributes)

    def by_vertices(vertices, antialiased):
        seen = render_vertices(
            model, vertices, albedo, identity.illumination, camera, size, antialiased=antialiased
        )
        return jnp.abs(seen.image - target).mean()

    def from_coefficients(identity, attributes):
        seen = render(model, identity, attributes, camera, size, antialiased=True)
        return jnp.abs(seen.image - target).mean()

    for antialiased in (False, True):
        report(
            "L1 and gradient by vertices" + (", antialiased" if antialiased else ""),
            jax.value_and_grad(lambda v, antialiased=antialiased: by_vertices(v, antialiased)),
            world,
            **options,
        )
    report(
        "L1 and gradient by all, antialiased",
        jax.value_and_grad(from_coefficients, argnums=(0, 1)),
        identity,
        attributes,
        **options,
    )
    covered = np.asarray(rast[..., 3] > 0)
    height = np.mean([np.ptp(np.flatnonzero(frame.any(axis=1))) + 1 for frame in covered])
    print(f"the face is {height:.0f} pixels tall and covers {covered.mean():.0%} of the pixels")


def main(
    face: Literal["built-in", "bfm-size"] = "built-in",
    topology: Path | None = None,
    size: int | None = None,
    frames: int = 16,
    repeats: int = 10,
) -> None:
    """Benchmarks a face on square images.

    Args:
        face: the built-in face model, or a made-up one of the Basel Face Model's size.
        topology: facemodel_info.mat, for the published triangles.
        size: width and height of the images; 256 for the built-in face, 512 for the other.
        frames: frames rendered together.
        repeats: calls timed; the median is printed.
    """
    built_in = face == "built-in"
    model = procedural_face_model() if built_in else bfm_size_face_model(topology)
    size = size or (256 if built_in else 512)
    device = jax.devices()[0]
    print(
        f"device {device.device_kind} ({device.platform}), "
        f"{len(os.sched_getaffinity(0))} processor cores, jax {jax.__version__}, "
        f"{model.mean_shape.shape[0]} vertices, {model.triangles.shape[0]} triangles, "
        f"{frames} frames of {size} x {size}"
    )
    # Moved back so far that the face is a little over half as tall as the image.
    benchmark(model, (size, size), frames, 3.0 if built_in else 5.7, repeats)


if __name__ == "__main__":
    tyro.cli(main)
