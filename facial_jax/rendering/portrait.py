"""A face from its coefficients: as a picture, and as a head for 3D programs.

A parameter file is .npz or .json with any of `identity` (80), `texture` (80), `expression` (64),
`pose` (6: pitch, yaw, roll in radians; x, y, z in decimetres) and `illumination` (3, 9); what it
lacks is zero. A subject's subject.json is such a file.
"""

from pathlib import Path

import jax.numpy as jnp
import numpy as np

from facial_jax.attributes import Attributes, Identity
from facial_jax.face.gltf import encode_glb
from facial_jax.face.model import FaceModel, face_shape, face_texture, vertex_normals
from facial_jax.readers.json_object import json_object
from facial_jax.readers.npz import read_npz
from facial_jax.rendering.camera import pinhole_camera
from facial_jax.rendering.gallery import GROUND, LIGHT
from facial_jax.rendering.render import render

MIN_SIZE, MAX_SIZE = 16, 4096
SHAPES = {
    "identity": (80,),
    "texture": (80,),
    "expression": (64,),
    "pose": (6,),
    "illumination": (3, 9),
}


def read_parameters(path: Path) -> dict[str, np.ndarray]:
    """The coefficients of a .npz or .json file, float32; zeros for what it lacks.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged or of another kind, or holds other shapes or no finite numbers.
    """
    if path.suffix not in (".json", ".npz"):
        raise ValueError(f"parameters: expected a .npz or .json file, got {path}")
    if not path.is_file():
        raise FileNotFoundError(f"parameters: there is no file {path}")
    try:
        if path.suffix == ".json":
            stored = json_object(path.read_text(encoding="utf-8"))
        else:
            stored = read_npz(path, SHAPES)
        given = {k: np.asarray(v, np.float32) for k, v in stored.items() if k in SHAPES}
    except (ValueError, TypeError, OSError, OverflowError) as error:
        raise ValueError(f"parameters: {path} cannot be read: {error}") from error
    if not given:
        raise ValueError(f"parameters: expected some of {', '.join(SHAPES)} in {path}")
    for name, array in given.items():
        if array.shape != SHAPES[name]:
            raise ValueError(
                f"parameters: {name}: expected shape {SHAPES[name]}, got {array.shape} in {path}"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"parameters: {name}: expected finite numbers in {path}")
    return {name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()} | given


def average_parameters() -> dict[str, np.ndarray]:
    """The average face at rest, in soft light from above and the left."""
    parameters = {name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()}
    parameters["illumination"] = LIGHT.copy()
    parameters["pose"][4:] = [-0.05, -0.9]  # so far away that long faces fit
    return parameters


def random_parameters(seed: int) -> dict[str, np.ndarray]:
    """A random person at rest, one standard deviation in every coefficient, in the same light."""
    rng = np.random.default_rng(seed)
    parameters = average_parameters()
    for name in ("identity", "texture"):
        parameters[name] = rng.standard_normal(SHAPES[name]).astype(np.float32)
    return parameters


def draw(model: FaceModel, parameters: dict[str, np.ndarray], size: int) -> np.ndarray:
    """(size, size, 3) picture on a light ground.

    Raises:
        ValueError: a size that is not from 16 to 4096.
    """
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(f"size: expected {MIN_SIZE} to {MAX_SIZE} pixels, got {size}")
    p = {name: jnp.asarray(array) for name, array in parameters.items()}
    person = Identity(p["identity"], p["texture"], p["illumination"])
    attributes = Attributes(expression=p["expression"], pose=p["pose"], blink=jnp.zeros(()))
    camera = pinhole_camera((size, size))
    face = render(model, person, attributes, camera, (size, size), antialiased=True)
    return np.asarray(face.image) + (1.0 - np.asarray(face.mask)) * GROUND


def make_glb(model: FaceModel, parameters: dict[str, np.ndarray], names: tuple[str, ...]) -> bytes:
    """The person at rest with all 64 expressions as morph targets, weighted as the picture is."""
    names = (*names, *(f"expression_{i:02d}" for i in range(len(names), 64)))
    vertices = face_shape(model, jnp.asarray(parameters["identity"]), jnp.zeros(64))
    return encode_glb(
        np.asarray(vertices),
        np.asarray(vertex_normals(vertices, model.triangles, model.vertex_triangles)),
        np.asarray(face_texture(model, jnp.asarray(parameters["texture"]))),
        np.asarray(model.triangles),
        targets=np.moveaxis(np.asarray(model.expression_basis), -1, 0),
        target_names=names,
        target_weights=parameters["expression"],
    )
