"""Fitting by rendering: gradient descent finds a person in pictures, from the mean face.

    python -m benchmarks.bench_fitting --picture-path fit.png

A random person is rendered in a few frames with random expressions, poses and light. From these
pictures alone, and nothing else, all parameters are sought again. Printed: how far the start and
the fit are from the truth, and the time.
"""

import functools
import time
from pathlib import Path
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from facial_jax.attributes import Attributes, Identity
from facial_jax.face.model import FaceModel, face_shape
from facial_jax.face.procedural import EXPRESSION_NAMES, procedural_face_model
from facial_jax.rendering.camera import Camera, pinhole_camera, rotation_from_euler
from facial_jax.rendering.lighting import irradiance
from facial_jax.rendering.render import RenderedFace, render

LEVELS = 4  # of the pyramid on which pictures are compared
BACK_DM = 1.5  # the head is moved back so that it is wholly seen


@flax.struct.dataclass
class Scene:
    """What a fit looks for."""

    identity: Identity
    # shape, texture and light, shared by the frames
    attributes: Attributes
    # expression and pose of every frame


class Errors(NamedTuple):
    """How far a scene is from the truth."""

    image: float  # mean absolute difference of the pictures
    rotation_deg: float  # the largest of the frames
    translation_mm: float  # the largest of the frames
    neutral_mm: float  # mean distance of the vertices of the face without expression
    expression_mm: float  # mean distance of what the expressions add, over the vertices that move
    light: float  # root mean square difference of the light, relative to its variation


def mean_scene(frames: int) -> Scene:
    """The mean face in plain light, looking straight ahead."""
    pose = jnp.zeros((frames, 6)).at[:, 5].set(-BACK_DM)
    return Scene(
        identity=Identity(
            identity=jnp.zeros(80), texture=jnp.zeros(80), illumination=jnp.zeros((3, 9))
        ),
        attributes=Attributes(
            expression=jnp.zeros((frames, 64)), pose=pose, blink=jnp.zeros(frames)
        ),
    )


def random_scene(frames: int, seed: int) -> Scene:
    """A person in coloured light, with some of the named expressions, turned up to 15°."""
    rng = np.random.default_rng(seed)
    named = len(EXPRESSION_NAMES)
    expression = np.zeros((frames, 64))
    expression[:, :named] = rng.uniform(0, 0.8, (frames, named)) * (
        rng.uniform(size=(frames, named)) < 0.25
    )
    pose = np.zeros((frames, 6))
    pose[:, :3] = np.radians(rng.uniform(-15, 15, (frames, 3)))
    pose[:, 3:] = rng.uniform(-0.15, 0.15, (frames, 3)) - [0, 0, BACK_DM]
    light = rng.normal(size=(1, 9)) * 0.1 + rng.normal(size=(3, 9)) * 0.03
    light[:, 0] -= 0.1
    arrays = [rng.normal(size=80), rng.normal(size=80), light, expression, pose, np.zeros(frames)]
    identity, texture, light, expression, pose, blink = (
        jnp.asarray(array, jnp.float32) for array in arrays
    )
    return Scene(
        identity=Identity(identity=identity, texture=texture, illumination=light),
        attributes=Attributes(expression=expression, pose=pose, blink=blink),
    )


def draw(model: FaceModel, scene: Scene, camera: Camera, size: tuple[int, int]) -> RenderedFace:
    """Antialiased, so that silhouettes have gradients."""
    return render(model, scene.identity, scene.attributes, camera, size, antialiased=True)


def halved(pictures: Float[Array, "t h w c"]) -> Float[Array, "t h/2 w/2 c"]:
    """Means of 2 × 2 pixels."""
    t, h, w, c = pictures.shape
    return pictures.reshape(t, h // 2, 2, w // 2, 2, c).mean(axis=(2, 4))


def pyramid_difference(
    first: Float[Array, "t h w c"], second: Float[Array, "t h w c"]
) -> Float[Array, ""]:
    """Mean squared differences of the pictures at every scale: the coarse ones see far."""
    total = jnp.zeros(())
    for _ in range(LEVELS):
        total = total + jnp.mean((first - second) ** 2)
        first, second = halved(first), halved(second)
    return total


def unlikeliness(scene: Scene) -> Float[Array, ""]:
    """Mean squares of the coefficients, as far as they are not expected."""
    identity, attributes = scene.identity, scene.attributes
    return (
        jnp.mean(identity.identity**2)
        + jnp.mean(identity.texture**2)
        + 30 * jnp.mean(attributes.expression**2)
        + jnp.mean(identity.illumination**2)
    )


def learning_rates(frames: int) -> Scene:
    """Adam's first step for every parameter, in its own units."""
    return Scene(
        identity=Identity(
            identity=jnp.full(80, 0.1),
            texture=jnp.full(80, 0.1),
            illumination=jnp.full((3, 9), 0.02),
        ),
        attributes=Attributes(
            expression=jnp.full((frames, 64), 0.03),
            pose=jnp.full((frames, 6), 0.01),
            blink=jnp.zeros(frames),
        ),
    )


@functools.partial(jax.jit, static_argnames=("size", "steps"))
def fit(
    model: FaceModel,
    target: RenderedFace,
    camera: Camera,
    size: tuple[int, int],
    steps: int,
    prior: float = 2e-5,
) -> tuple[Scene, Float[Array, "steps"]]:
    """The scene whose pictures are the target's, by Adam from the mean face; and every loss.

    Pictures are compared with the mask as a fourth channel, as given by a background known.
    """
    frames = target.image.shape[0]
    wanted = jnp.concatenate([target.image, target.mask], axis=-1)

    def loss(scene):
        rendered = draw(model, scene, camera, size)
        pictures = jnp.concatenate([rendered.image, rendered.mask], axis=-1)
        return pyramid_difference(pictures, wanted) + prior * unlikeliness(scene)

    adam = optax.scale_by_adam(b2=0.99)
    rates = learning_rates(frames)

    def step(carry, progress):
        scene, state = carry
        value, gradient = jax.value_and_grad(loss)(scene)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes dtypes inside
            updates, state = adam.update(gradient, state)
        decay = 0.51 + 0.49 * jnp.cos(jnp.pi * progress)
        scene = jax.tree.map(lambda x, rate, u: x - decay * rate * u, scene, rates, updates)
        return (scene, state), value

    start = mean_scene(frames)
    (scene, _), losses = jax.lax.scan(
        step, (start, adam.init(start)), jnp.linspace(0.0, 1.0, steps)
    )
    return scene, losses


def errors(
    model: FaceModel, scene: Scene, truth: Scene, camera: Camera, size: tuple[int, int]
) -> Errors:
    """Compares a scene with the true one."""
    fitted, target = (draw(model, s, camera, size).image for s in (scene, truth))
    turned = [np.asarray(rotation_from_euler(s.attributes.pose[:, :3])) for s in (scene, truth)]
    cosine = (np.einsum("tij,tij->t", *turned) - 1) / 2
    shift = np.linalg.norm((scene.attributes.pose - truth.attributes.pose)[:, 3:], axis=-1)
    none = jnp.zeros((1, 64))
    neutral = [np.asarray(face_shape(model, s.identity.identity, none)) for s in (scene, truth)]
    moved = [
        np.asarray(face_shape(model, s.identity.identity, s.attributes.expression)) - n
        for s, n in zip((scene, truth), neutral, strict=True)
    ]
    size_of_move = np.linalg.norm(moved[1], axis=-1)
    moving = size_of_move > 0.005
    normals = np.random.default_rng(0).normal(size=(1000, 3)).astype(np.float32)
    normals[:, 2] = np.abs(normals[:, 2])
    normals = jnp.asarray(normals / np.linalg.norm(normals, axis=-1, keepdims=True))
    light = [np.asarray(irradiance(normals, s.identity.illumination)) for s in (scene, truth)]
    return Errors(
        image=float(np.abs(np.asarray(fitted - target)).mean()),
        rotation_deg=float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).max()),
        translation_mm=float(100 * shift.max()),
        neutral_mm=float(100 * np.linalg.norm(neutral[0] - neutral[1], axis=-1).mean()),
        expression_mm=float(100 * np.linalg.norm(moved[0] - moved[1], axis=-1)[moving].mean()),
        light=float(np.sqrt(np.mean((light[0] - light[1]) ** 2)) / light[1].std()),
    )


def picture(
    model: FaceModel, scenes: tuple[Scene, ...], camera: Camera, size: tuple[int, int]
) -> np.ndarray:
    """One row per frame, one column per scene; (h, w, 3) uint8."""
    columns = [np.asarray(draw(model, s, camera, size).image) for s in scenes]
    rows = [np.concatenate(row, axis=1) for row in zip(*columns, strict=True)]
    return (np.concatenate(rows) * 255).round().astype(np.uint8)


def main(
    size: int = 96,
    frames: int = 3,
    steps: int = 400,
    seed: int = 0,
    picture_path: Path | None = None,
) -> None:
    """Fits a random person and prints the errors before and after.

    Args:
        size: width and height of the pictures; a multiple of 8.
        frames: how many pictures of the person.
        steps: of gradient descent.
        seed: of the person.
        picture_path: where to save target, start and fit side by side, if given.
    """
    model = procedural_face_model()
    extent = (size, size)
    camera = pinhole_camera(extent)
    truth = random_scene(frames, seed)
    target = draw(model, truth, camera, extent)
    began, began_processor = time.perf_counter(), time.process_time()
    scene, losses = jax.block_until_ready(fit(model, target, camera, extent, steps))
    wall, processor = time.perf_counter() - began, time.process_time() - began_processor
    device = jax.devices()[0]
    print(
        f"device {device.device_kind} ({device.platform}), {frames} frames of {size} x {size}, "
        f"{steps} steps, compilation included: {wall:.1f} s, processor {processor:.1f} s"
    )
    start = mean_scene(frames)
    before, after = (errors(model, s, truth, camera, extent) for s in (start, scene))
    print(f"{'':<20}{'start':>10}{'fit':>10}{'left':>10}")
    for name, a, b in zip(Errors._fields, before, after, strict=True):
        print(f"{name:<20}{a:10.4f}{b:10.4f}{b / a:10.1%}")
    print(f"loss {losses[0]:.3g} to {losses[-1]:.3g}")
    if picture_path is not None:
        from PIL import Image

        Image.fromarray(picture(model, (truth, start, scene), camera, extent)).save(picture_path)


if __name__ == "__main__":
    import tyro

    tyro.cli(main)
