"""What the networks see of each frame: the rendered face, what is around it, the attention map."""

import functools

import flax.struct
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from facial_jax.attributes import Attributes, Identity
from facial_jax.face.model import FaceModel, person_face_model
from facial_jax.face.rim import rim_opacity
from facial_jax.rendering.camera import Camera, pinhole_camera
from facial_jax.rendering.render import network_input, render
from facial_jax.rendering.surroundings import (
    Surroundings,
    check_surroundings,
    draw_surroundings,
    shown_before,
)


@flax.struct.dataclass
class Scene:
    """Who is rendered, and where."""

    face_model: FaceModel
    # with the person's own texture
    identity: Identity
    # the person's
    camera: Camera
    # for frames of `size`
    surroundings: Surroundings | None
    # behind the face; None: black
    opacity: Float[Array | np.ndarray, "n"] | None
    # of the face's vertices, before surroundings
    size: tuple[int, int] = flax.struct.field(pytree_node=False)
    # (height, width) of the frames


def make_scene(
    face_model: FaceModel,
    identity: Identity,
    size: tuple[int, int],
    *,
    vertex_texture: Float[Array | np.ndarray, "n 3"] | None,
    surroundings: Surroundings | None,
) -> Scene:
    """The person of these coefficients, textures and surroundings in frames of this size.

    Raises:
        ValueError: the texture is another face model's, the background of another size.
    """
    face_model, identity = person_face_model(face_model, identity, vertex_texture)
    opacity = None
    if surroundings is not None:
        check_surroundings(surroundings, size)
        shape = np.asarray(face_model.mean_shape, np.float32)
        triangles = np.asarray(face_model.triangles, np.int32)
        opacity = jnp.asarray(_rim_opacity(shape.tobytes(), triangles.tobytes()))
    return Scene(face_model, identity, pinhole_camera(size), surroundings, opacity, size)


@functools.lru_cache(maxsize=4)
def _rim_opacity(shape: bytes, triangles: bytes) -> Float[np.ndarray, "n"]:
    """`rim_opacity` of the bytes of float32 and int32 arrays, computed once for a face model."""
    vertices = np.frombuffer(shape, np.float32).reshape(-1, 3)
    return rim_opacity(vertices, np.frombuffer(triangles, np.int32).reshape(-1, 3))


def conditioning_pictures(scene: Scene, attributes: Attributes) -> Float[Array, "t h w 4"]:
    """Picture and scaled eye attention map of every frame, in [0, 1]."""
    rendered = render(
        scene.face_model,
        scene.identity,
        attributes,
        scene.camera,
        scene.size,
        opacity=scene.opacity,
    )
    if scene.surroundings is not None:
        around = draw_surroundings(scene.surroundings, attributes.pose, scene.camera)
        rendered = rendered.replace(image=shown_before(rendered.image, rendered.mask, around))
    return network_input(rendered, attributes.blink)
