"""From face parameters to pictures: geometry, light, camera and rasterizer in one function."""

import functools

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from facial_jax.attributes import MAX_BLINK, Attributes, Identity
from facial_jax.face.color_mesh import ColorMesh, at_points
from facial_jax.face.eyes import close_lids
from facial_jax.face.model import (
    FaceModel,
    face_landmarks,
    face_shape,
    face_texture,
    vertex_normals,
)
from facial_jax.rendering.backend import backend
from facial_jax.rendering.camera import (
    Camera,
    camera_vertices,
    clip_positions,
    pose_vertices,
    project_to_pixels,
)
from facial_jax.rendering.interpolate import quartered
from facial_jax.rendering.lighting import irradiance, lit
from facial_jax.rendering.mapping import map_frames

_FACING_COSINE = 0.3
"""Of the angle under which a surface is seen, from which on it counts as looking at the camera."""


@flax.struct.dataclass
class RenderedFace:
    """Pictures of a face."""

    image: Float[Array, "*t h w 3"]
    # lit face on black, linear RGB in [0, 1]
    attention: Float[Array, "*t h w 1"]
    # eye attention map: where the eye region (Eq. 9) is seen, in [0, 1], not scaled by the blink
    mask: Float[Array, "*t h w 1"]
    # 1 where the face is, else 0; in between on antialiased silhouettes, and as opaque as it is
    eyeballs: Float[Array, "*t h w 1"] | None = None
    # how much of a pixel is between the lids, if it was asked for


@functools.partial(jax.jit, static_argnames=("size", "cull_backfaces", "antialiased", "rasterizer"))
def render(
    model: FaceModel,
    identity: Identity,
    attributes: Attributes,
    camera: Camera,
    size: tuple[int, int],
    *,
    albedo: Float[Array, "*t m 3"] | None = None,
    color_mesh: ColorMesh | None = None,
    lids: Float[Array, "n 3"] | None = None,
    opacity: Float[Array, "n 2"] | None = None,
    eyeballs: Bool[Array, "n"] | None = None,
    cull_backfaces: bool = True,
    antialiased: bool = False,
    rasterizer: str = "xla",
) -> RenderedFace:
    """Renders the face in every frame (FACIAL, Sec. 3.3; Eq. 9 and 12).

    Frames are independent: a frame's pixels are the same whatever it is rendered together with.

    Differentiable, in reverse mode, in every parameter and the camera. Without antialiasing a pixel
    knows nothing of a silhouette that passes by, so that gradients lack what moves silhouettes:
    fit with `antialiased=True`.

    Args:
        model: the face model.
        identity: shape, texture and light of the person.
        attributes: expression and pose per frame, and its shape if they have an identity of
            their own; leading axes are those of the result.
        camera: a camera for images of this size.
        size: (height, width) of the images.
        albedo: of each vertex in each frame, in place of the identity's texture.
        color_mesh: the albedo is that of these points (`face.color_mesh`), not of vertices alone.
        lids: what closes the eyes, decimetres (`face.procedural.lids.closed_lids`), as far as the
            blink says. None: they stay open, and the blink is in the attention map alone.
        opacity: of each vertex, seen from before it and seen edge-on (`face.rim.rim_opacity`), for
            the mask alone: what is behind the face is not drawn here.
        eyeballs: the vertices between the lids (`face.eyes.eyeball_vertices`), to have their share
            of each pixel.
        cull_backfaces: leave out triangles seen from inside the head, which in a closed face are
            hidden anyway; half the work.
        antialiased: blend all three pictures across silhouettes (see `antialias`). Off by default:
            the bundled rendering-to-video networks know hard edges.
        rasterizer: the backend, "xla", "nvdiffrast" or "auto" (see `backend`).
    """
    own = identity.identity if attributes.identity is None else attributes.identity
    shape = face_shape(model, own, attributes.expression)
    if lids is not None:
        shape = close_lids(shape, lids, attributes.blink)
    vertices = pose_vertices(shape, attributes)
    return render_vertices(
        model,
        vertices,
        face_texture(model, identity.texture) if albedo is None else albedo,
        identity.illumination,
        camera,
        size,
        color_mesh=color_mesh,
        opacity=opacity,
        eyeballs=eyeballs,
        cull_backfaces=cull_backfaces,
        antialiased=antialiased,
        rasterizer=rasterizer,
    )


def render_vertices(
    model: FaceModel,
    vertices: Float[Array, "*t n 3"],
    albedo: Float[Array, "*#t m 3"],
    illumination: Float[Array, "3 9"],
    camera: Camera,
    size: tuple[int, int],
    *,
    color_mesh: ColorMesh | None = None,
    opacity: Float[Array, "n 2"] | None = None,
    eyeballs: Bool[Array, "n"] | None = None,
    cull_backfaces: bool = True,
    antialiased: bool = False,
    rasterizer: str = "xla",
) -> RenderedFace:
    """`render` of vertices in world space (decimetres) instead of coefficients.

    Args:
        model: gives the triangles, their tables and the eye region.
        vertices: as from `pose_vertices`; leading axes are those of the result.
        albedo: as from `face_texture`, or of each frame.
        illumination: spherical-harmonics coefficients per colour channel.
        camera: as in `render`, and so are the others.
        size: (height, width).
        color_mesh: see `render`.
        opacity: see `render`.
        eyeballs: see `render`.
        cull_backfaces: see `render`.
        antialiased: see `render`.
        rasterizer: see `render`.
    """
    if antialiased and color_mesh is not None:
        raise ValueError("color_mesh: antialiased pictures have colours of vertices alone")
    draw = backend(rasterizer)
    normals = vertex_normals(vertices, model.triangles, model.vertex_triangles)
    eyes = model.eye_mask.astype(albedo.dtype)[:, None]

    def pictures(vertices, normals, albedo=albedo):
        positions = clip_positions(camera, camera_vertices(camera, vertices), size)
        others = [eyes]
        if opacity is not None:
            facing = _facing_share(vertices, normals, camera)
            seen = opacity[:, 1] + (opacity[:, 0] - opacity[:, 1]) * facing
            others.append(seen[..., None])
        if eyeballs is not None:
            others.append(eyeballs.astype(eyes.dtype)[:, None])
        light = at_points(irradiance(normals, illumination), color_mesh)
        colors = jnp.clip(lit(albedo, light), 0.0, 1.0)
        channels = [jnp.broadcast_to(x, (*vertices.shape[:-1], x.shape[-1])) for x in others]
        if color_mesh is None:
            channels = [colors, *channels]
        channels, options = jnp.concatenate(channels, axis=-1), {"cull_backfaces": cull_backfaces}
        if antialiased:
            mesh = model.triangles, model.opposite_vertices
            pixels, covered = draw.draw_antialiased(positions, channels, *mesh, size, **options)
        else:
            rast = draw.rasterize(positions, model.triangles, size, **options)
            pixels = draw.interpolate(channels, rast, model.triangles)
            if color_mesh is not None:
                fine = draw.interpolate(colors, quartered(rast), color_mesh.triangles)
                pixels = jnp.concatenate([fine, pixels], axis=-1)
            covered = (rast[..., 3:] > 0).astype(pixels.dtype)
        return RenderedFace(
            image=pixels[..., :3],
            attention=pixels[..., 3:4],
            mask=covered if opacity is None else pixels[..., 4:5],
            eyeballs=None if eyeballs is None else pixels[..., -1:],
        )

    frames = vertices.shape[:-2]
    if not frames or draw is not backend("xla"):
        return pictures(vertices, normals)
    # One frame through all the steps at a time, if that is faster.
    of_frames = (vertices, normals) if albedo.ndim == 2 else (vertices, normals, albedo)
    flat = map_frames(pictures, *(x.reshape(-1, *x.shape[-2:]) for x in of_frames))
    return jax.tree.map(lambda x: x.reshape(*frames, *x.shape[1:]), flat)


def _facing_share(
    vertices: Float[Array, "*t n 3"], normals: Float[Array, "*t n 3"], camera: Camera
) -> Float[Array, "*t n"]:
    """1 where the face looks towards the camera, falling to 0 where it is seen edge-on."""
    place = jnp.stack([0 * camera.distance, 0 * camera.distance, camera.distance])
    view = place.reshape((1,) * (vertices.ndim - 1) + (3,)) - vertices
    cosine = (view * normals).sum(axis=-1) / jnp.linalg.norm(view, axis=-1)
    share = jnp.clip(cosine / _FACING_COSINE, 0.0, 1.0)
    return share**2 * (3 - 2 * share)


def scale_attention(
    attention: Float[Array, "*t h w 1"], blink: Float[Array, "*t"]
) -> Float[Array, "*t h w 1"]:
    """The eye attention map times blink / 5: black for open eyes, white for closed ones."""
    return attention * (blink / MAX_BLINK)[..., None, None, None]


def network_input(rendered: RenderedFace, blink: Float[Array, "*t"]) -> Float[Array, "*t h w 4"]:
    """What the rendering-to-video network sees of each frame: image and scaled attention map."""
    return jnp.concatenate([rendered.image, scale_attention(rendered.attention, blink)], axis=-1)


def landmark_pixels(
    model: FaceModel, identity: Float[Array, "80"], attributes: Attributes, camera: Camera
) -> Float[Array, "t 68 2"]:
    """Where the 68 iBUG landmarks are seen in every frame, in pixels."""
    shape = face_shape(model, identity, attributes.expression)
    landmarks = face_landmarks(model, pose_vertices(shape, attributes))
    return project_to_pixels(camera, camera_vertices(camera, landmarks))
