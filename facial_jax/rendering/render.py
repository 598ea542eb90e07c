"""From face parameters to pictures: geometry, light, camera and rasterizer in one function."""

import functools

import flax.struct
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from facial_jax.attributes import MAX_BLINK, Attributes, Identity
from facial_jax.face.model import FaceModel, face_shape, face_texture, vertex_normals
from facial_jax.rendering.camera import (
    Camera,
    camera_vertices,
    clip_positions,
    pose_vertices,
)
from facial_jax.rendering.lighting import shade
from facial_jax.rendering.rasterizer import interpolate, rasterize


@flax.struct.dataclass
class RenderedFace:
    """Pictures of a face."""

    image: Float[Array, "*t h w 3"]
    # lit face on black, linear RGB in [0, 1]
    attention: Float[Array, "*t h w 1"]
    # eye attention map: where the eye region (Eq. 9) is seen, in [0, 1], not scaled by the blink
    mask: Float[Array, "*t h w 1"]
    # 1 where the face is, else 0


@functools.partial(jax.jit, static_argnames=("size", "cull_backfaces", "block"))
def render(
    model: FaceModel,
    identity: Identity,
    attributes: Attributes,
    camera: Camera,
    size: tuple[int, int],
    *,
    cull_backfaces: bool = True,
    block: int | None = None,
) -> RenderedFace:
    """Renders the face in every frame (FACIAL, Sec. 3.3; Eq. 9 and 12).

    Frames are independent: a frame's pixels are the same whatever it is rendered together with.

    Args:
        model: the face model.
        identity: shape, texture and light of the person.
        attributes: expression and pose per frame; leading axes are those of the result.
        camera: a camera for images of this size.
        size: (height, width) of the images.
        cull_backfaces: leave out triangles seen from inside the head, which in a closed face are
            hidden anyway; half the work.
        block: see `rasterize`.
    """
    frames = attributes.blink.shape
    shape = face_shape(model, identity.identity, attributes.expression)
    vertices = pose_vertices(shape, attributes)
    normals = vertex_normals(vertices, model.triangles, model.vertex_triangles)
    albedo = face_texture(model, identity.texture)
    eyes = model.eye_mask.astype(albedo.dtype)[:, None]

    def one(vertices, normals):
        colors = jnp.clip(shade(albedo, normals, identity.illumination), 0.0, 1.0)
        positions = clip_positions(camera, camera_vertices(camera, vertices), size)
        rast = rasterize(
            positions, model.triangles, size, cull_backfaces=cull_backfaces, block=block
        )
        pixels = interpolate(jnp.concatenate([colors, eyes], axis=-1), rast, model.triangles)
        covered = (rast[..., 3:] > 0).astype(pixels.dtype)
        return RenderedFace(image=pixels[..., :3], attention=pixels[..., 3:], mask=covered)

    if not frames:
        return one(vertices, normals)
    flat = lax.map(
        lambda frame: one(*frame),
        tuple(x.reshape(-1, *x.shape[-2:]) for x in (vertices, normals)),
    )
    return jax.tree.map(lambda x: x.reshape(*frames, *x.shape[1:]), flat)


def scale_attention(
    attention: Float[Array, "*t h w 1"], blink: Float[Array, "*t"]
) -> Float[Array, "*t h w 1"]:
    """The eye attention map times blink / 5: black for open eyes, white for closed ones."""
    return attention * (blink / MAX_BLINK)[..., None, None, None]


def network_input(rendered: RenderedFace, blink: Float[Array, "*t"]) -> Float[Array, "*t h w 4"]:
    """What the rendering-to-video network sees of each frame: image and scaled attention map."""
    return jnp.concatenate([rendered.image, scale_attention(rendered.attention, blink)], axis=-1)
