"""What the networks see of each frame: the rendered face, what is around it, the attention map."""

import functools

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from facial_jax.appearance import Appearance
from facial_jax.attributes import EXPRESSION_SIZE, MAX_BLINK, Attributes, Identity
from facial_jax.face.color_mesh import ColorMesh, color_mesh
from facial_jax.face.eyes import eyeball_centres, eyeball_vertices
from facial_jax.face.lips import inner_lip_edges
from facial_jax.face.model import FaceModel, face_shape, person_face_model
from facial_jax.face.procedural.lids import closed_lids
from facial_jax.face.rim import FADE_DM, FADE_OF_VERTICES_DM, rim_opacity
from facial_jax.rendering.camera import Camera, pinhole_camera
from facial_jax.rendering.color_changes import TextureChanges, changed_albedo
from facial_jax.rendering.inner_mouth import (
    InnerMouth,
    draw_inner_mouth,
    inner_lips,
    lip_edge_pixels,
)
from facial_jax.rendering.irises import Irises, draw_irises
from facial_jax.rendering.mapping import map_frames
from facial_jax.rendering.render import RenderedFace, landmark_pixels, network_input, render
from facial_jax.rendering.surroundings import (
    Surroundings,
    SurroundingsMotion,
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
    albedo: Float[Array | np.ndarray, "m 3"] | None
    # the person's own; None: the identity's
    color_mesh: ColorMesh | None
    # the points whose albedo it is; None: vertices
    camera: Camera
    # for frames of `size`
    surroundings: Surroundings | None
    # behind the face; None: black
    opacity: Float[Array | np.ndarray, "n 2"] | None
    # of the face's vertices, before surroundings
    irises: Irises | None
    # the person's; None: those of the texture, which do not move
    eyeballs: Float[Array, "2 3"] | None
    # where their eyes are, for irises
    lids: Float[Array | np.ndarray, "n 3"] | None
    # what closes the eyes over these; None: the network closes them
    inner_mouth: InnerMouth | None
    # what is between the person's lips; None: the face model's teeth and tongue
    texture_changes: TextureChanges | None
    # of the person's texture with pose and expression; None: it stays as it is
    lip_edges: Int[Array | np.ndarray, "2 k"] | None
    # vertices of the lips' inner edges, for inner_mouth
    size: tuple[int, int] = flax.struct.field(pytree_node=False)
    # (height, width) of the frames


def make_scene(
    face_model: FaceModel, identity: Identity, size: tuple[int, int], appearance: Appearance
) -> Scene:
    """The person of these coefficients, textures and surroundings in frames of this size.

    Raises:
        ValueError: the texture or its changes are another face model's, the background of another
            size.
    """
    texture_changes, inner_mouth = appearance.texture_changes, appearance.inner_mouth
    surroundings = appearance.surroundings
    irises = None if appearance.eyes is None else appearance.eyes.irises
    texture, vertices = appearance.vertex_texture, len(face_model.mean_shape)
    points = vertices if texture is None else len(texture)
    if texture_changes is not None and texture_changes.changes.shape[1] != points:
        raise ValueError(
            f"texture changes: expected those of the texture's {points} points, got "
            f"{texture_changes.changes.shape[1]}; they belong to another face model"
        )
    face_model, identity = person_face_model(face_model, identity, texture)
    opacity = eyeballs = lids = lip_edges = mesh = None
    if points > vertices:
        mesh = jax.tree.map(jnp.asarray, color_mesh(face_model.triangles, vertices))
    if irises is not None:
        still = jnp.zeros(EXPRESSION_SIZE, jnp.float32)
        neutral = face_shape(face_model, jnp.asarray(identity.identity), still)
        eyeballs = eyeball_centres(neutral, face_model.landmarks)
        lids = closed_lids(face_model)
    if surroundings is not None:
        check_surroundings(surroundings, size)
        shape = np.asarray(face_model.mean_shape, np.float32)
        triangles = np.asarray(face_model.triangles, np.int32)
        fade = FADE_OF_VERTICES_DM if mesh is None else FADE_DM
        opacity = jnp.asarray(_rim_opacity(shape.tobytes(), triangles.tobytes(), fade))
    if inner_mouth is not None:
        lip_edges = inner_lip_edges(face_model)
    return Scene(
        face_model=face_model,
        identity=identity,
        albedo=None if texture is None else jnp.asarray(texture, jnp.float32),
        color_mesh=mesh,
        camera=pinhole_camera(size),
        surroundings=surroundings,
        opacity=opacity,
        irises=irises,
        eyeballs=eyeballs,
        lids=lids,
        inner_mouth=inner_mouth,
        texture_changes=texture_changes,
        lip_edges=lip_edges,
        size=size,
    )


@functools.lru_cache(maxsize=4)
def _rim_opacity(shape: bytes, triangles: bytes, fade: float) -> Float[np.ndarray, "n 2"]:
    """`rim_opacity` of the bytes of float32 and int32 arrays, computed once for a face model."""
    vertices = np.frombuffer(shape, np.float32).reshape(-1, 3)
    return rim_opacity(vertices, np.frombuffer(triangles, np.int32).reshape(-1, 3), fade=fade)


def conditioning_pictures(
    scene: Scene,
    attributes: Attributes,
    motion: SurroundingsMotion | None = None,
) -> Float[Array, "t h w 4"]:
    """Picture and scaled eye attention map of every frame, in [0, 1].

    Args:
        scene: who is rendered.
        attributes: of the frames.
        motion: of what is around the face in these very frames; see `draw_surroundings`.
    """
    model, between_lids, albedo = scene.face_model, None, scene.albedo
    if scene.texture_changes is not None:
        mean = model.mean_texture if albedo is None else albedo
        albedo = changed_albedo(mean, scene.texture_changes, attributes)
    if scene.irises is not None:
        between_lids = eyeball_vertices(model.mean_shape, model.landmarks)
    rendered = render(
        model,
        scene.identity,
        attributes,
        scene.camera,
        scene.size,
        albedo=albedo,
        color_mesh=scene.color_mesh,
        lids=scene.lids,
        opacity=scene.opacity,
        eyeballs=between_lids,
    )
    if scene.irises is not None:
        rendered = rendered.replace(image=_with_irises(scene, attributes, rendered))
    if scene.inner_mouth is not None:
        rendered = _with_inner_mouth(scene, attributes, rendered)
    if scene.surroundings is not None:
        pose, camera = attributes.pose, scene.camera
        around = draw_surroundings(scene.surroundings, pose, camera, motion)
        rendered = rendered.replace(image=shown_before(rendered.image, rendered.mask, around))
    # Lids that move show the blink. The map beside them taught the network of a short clip nothing
    # but a pattern on closed eyes, which was gone with the map.
    blink = attributes.blink if scene.lids is None else jnp.zeros_like(attributes.blink)
    return network_input(rendered, blink)


def _with_irises(
    scene: Scene, attributes: Attributes, rendered: RenderedFace
) -> Float[Array, "t h w 3"]:
    """The pictures with the irises where they look, or usually look."""
    gaze = attributes.gaze
    if gaze is None:
        usual = jnp.asarray(scene.irises.usual_gaze)[None]
        gaze = jnp.broadcast_to(usual, (attributes.pose.shape[0], 2))

    def draw(image, eyeballs, pose, gaze):
        return draw_irises(image, eyeballs, scene.irises, scene.eyeballs, gaze, pose, scene.camera)

    eyeballs = rendered.eyeballs
    if scene.lids is not None:  # lids that meet leave nothing between them but the mesh's rounding
        eyeballs = eyeballs * jnp.clip(MAX_BLINK - attributes.blink, 0, 1)[:, None, None, None]
    return map_frames(draw, rendered.image, eyeballs, attributes.pose, gaze)


def _with_inner_mouth(scene: Scene, attributes: Attributes, rendered: RenderedFace) -> RenderedFace:
    """The pictures with what is between the person's lips, as opaque as the face."""
    identity, expression = jnp.asarray(scene.identity.identity), jnp.asarray(attributes.expression)
    lips = inner_lips(scene.face_model, identity, expression)
    model, camera = scene.face_model, scene.camera
    edges = lip_edge_pixels(model, scene.lip_edges, identity, attributes, camera)

    def draw(image, edges, lips):
        return draw_inner_mouth(image, scene.inner_mouth, edges, lips)

    images = jnp.concatenate([rendered.image, rendered.mask], axis=-1)
    images = map_frames(draw, images, edges, lips)
    return rendered.replace(image=images[..., :3], mask=images[..., 3:])


def face_regions(scene: Scene, attributes: Attributes) -> Float[Array, "t h w 2"]:
    """How much each pixel of every frame belongs to the mouth, and to the eyes, in [0, 1]."""
    identity = scene.identity.identity
    pixels = landmark_pixels(scene.face_model, identity, attributes, scene.camera)
    mouth = blob(pixels[:, 48:68], scene.size)
    eyes = blob(pixels[:, 36:42], scene.size) + blob(pixels[:, 42:48], scene.size)
    return jnp.stack([mouth, jnp.minimum(eyes, 1.0)], axis=-1)


def blob(points, size):
    """A soft ellipse over 2-D landmarks (t, n, 2): 1 inside, fading out around them."""
    middle = (points.max(axis=1) + points.min(axis=1)) / 2
    extent = jnp.maximum((points.max(axis=1) - points.min(axis=1)) / 2, size[1] / 30)
    x = (jnp.arange(0.5, size[1])[None] - middle[:, :1]) / (1.2 * extent[:, :1])
    y = (jnp.arange(0.5, size[0])[None] - middle[:, 1:]) / (1.2 * extent[:, 1:])
    return jnp.exp(-2 * (jnp.square(x)[:, None, :] + jnp.square(y)[:, :, None]) ** 2)
