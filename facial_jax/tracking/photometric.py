"""Fitting texture, light and shape to the pictures, by differentiable rendering.

First texture and light by least squares with the landmarks' geometry, then all together, the poses
and expressions of a few keyframes included, by gradients through the rasterizer.
"""

from functools import partial

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float

from facial_jax.attributes import Attributes, Identity
from facial_jax.compilation import jit
from facial_jax.face.lips import INNER_LIPS
from facial_jax.face.model import FaceModel, face_shape, face_texture, vertex_normals
from facial_jax.precision import full_precision
from facial_jax.rendering.backend import backend
from facial_jax.rendering.camera import (
    camera_vertices,
    clip_positions,
    pinhole_camera,
    pose_vertices,
    project_to_pixels,
)
from facial_jax.rendering.lighting import AMBIENT, sh_basis, shade
from facial_jax.rendering.mapping import map_frames
from facial_jax.rendering.rasterizer import rasterize
from facial_jax.tracking.fitting import (
    FrameParameters,
    LandmarkModel,
    landmark_residuals,
    prior_precision,
)

SIZE_PX = 96  # the pictures' height and width while fitting
COLOR_DEVIATION = 0.06  # how far a colour is from the model's
PICTURE_WEIGHT = 300.0  # as many pixels as a picture counts for: neighbours are wrong alike
TEXTURE_PRECISION = 0.2  # in standard deviations, for each picture
STEPS = 30
_ALTERNATIONS = 5
_LIGHT_DEVIATION = 0.5
_FRONT = 0.3  # least cosine between the normal and the view of a vertex that is used
# Largest change in an optimizer's step, by parameter.
_STEP_SIZES = {
    "identity": 0.05,
    "texture": 0.05,
    "illumination": 0.01,
    "pose": np.array([0.006, 0.006, 0.004, 0.004, 0.004, 0.02], np.float32),
    "expression": 0.01,
}


@flax.struct.dataclass
class PhotometricParameters:
    """Everything that the pictures of some keyframes are rendered from."""

    identity: Float[Array, "80"]
    # standard deviations
    texture: Float[Array, "80"]
    # standard deviations
    illumination: Float[Array, "3 9"]
    # spherical harmonics, see `rendering.lighting`
    pose: Float[Array, "k 6"]
    # radians and decimetres
    expression: Float[Array, "k 64"]
    # coefficients


def skin_vertices(model: FaceModel) -> Bool[np.ndarray, "n"]:
    """The vertices whose colours are compared: the face's front without eyes, mouth and hairline.

    They are seen from the front when the mouth is shut, so that what is inside it is not among
    them, lie within the jaw's and brows' landmarks (and as far above the brows as these are above
    the eyes), and outside the lips' inner edge and the eye region.
    """
    shape = np.asarray(model.mean_shape)
    points = shape[np.asarray(model.landmarks)]
    brow = points[17:27, 1].mean()
    top = brow + 0.8 * (brow - points[36:48, 1].mean())
    jaw = 0.93 * (points[:17, :2] - points[30, :2]) + points[30, :2]
    above = np.array([[jaw[16, 0], top], [jaw[0, 0], top]])
    inside = inside_polygon(shape[:, :2], np.concatenate([jaw, above]))
    mouth = inside_polygon(shape[:, :2], points[INNER_LIPS, :2])
    return seen_from_front(model) & inside & ~mouth & ~np.asarray(model.eye_mask)


def seen_from_front(model: FaceModel) -> Bool[np.ndarray, "n"]:
    """The vertices of the triangles that are seen of the mean face from the front."""
    drawn = np.unique(np.asarray(_triangles_in_front(model)))
    seen = np.zeros(len(model.mean_shape), bool)
    seen[np.asarray(model.triangles)[drawn[drawn > 0].astype(int) - 1].reshape(-1)] = True
    return seen


@jit
@full_precision
def _triangles_in_front(model):
    """Which triangle, + 1, is seen at each pixel of the mean face from the front."""
    size = (192, 192)
    camera = pinhole_camera(size)
    positions = clip_positions(camera, camera_vertices(camera, model.mean_shape), size)
    return rasterize(positions, model.triangles, size)[..., 3]


def inside_polygon(
    points: Float[np.ndarray, "n 2"], polygon: Float[np.ndarray, "m 2"]
) -> Bool[np.ndarray, "n"]:
    """Whether points (n, 2) are within a polygon (m, 2): an odd number of edges to their right."""
    a, b = polygon, np.roll(polygon, -1, axis=0)
    y, x = points[:, 1:2], points[:, :1]
    crosses = (a[:, 1] > y) != (b[:, 1] > y)
    rise = np.where(b[:, 1] == a[:, 1], 1.0, b[:, 1] - a[:, 1])
    at = a[:, 0] + (y - a[:, 1]) * (b[:, 0] - a[:, 0]) / rise
    return (crosses & (at > x)).sum(axis=1) % 2 == 1


@jit
@full_precision
def _vertices(model, identity, attributes, size):
    vertices = pose_vertices(face_shape(model, identity, attributes.expression), attributes)
    normals = vertex_normals(vertices, model.triangles, model.vertex_triangles)
    camera = pinhole_camera((1, 1))
    seen = camera_vertices(camera, vertices)
    view = seen * jnp.array([-1.0, -1.0, 1.0])[None, None]
    facing = (normals * view).sum(axis=-1) / jnp.linalg.norm(view, axis=-1)
    return project_to_pixels(camera, seen) * size, sh_basis(normals), facing


def fit_texture_and_light(
    model: FaceModel,
    skin: Bool[np.ndarray, "n"],
    identity: Float[np.ndarray, "80"],
    frames: FrameParameters,
    images: Float[np.ndarray, "k h w 3"],
) -> tuple[Float[np.ndarray, "80"], Float[np.ndarray, "3 9"]]:
    """Texture and light from the colours at the vertices, by alternating least squares.

    The colours are the model's albedo times light (FACIAL, Eq. 12): linear in either. Outliers such
    as hair before the face lose their weight from one alternation to the next.

    Args:
        model: the face model.
        skin: from `skin_vertices`.
        identity: standard deviations.
        frames: pose and expression of k frames.
        images: square pictures of the crop, RGB in [0, 1].
    """
    chosen = np.flatnonzero(skin)
    chosen = chosen[:: max(1, len(chosen) // 2500)]
    attributes = Attributes(
        expression=frames.expression, pose=frames.pose, blink=jnp.zeros(len(images), jnp.float32)
    )
    size = np.float32(images.shape[1])
    pixels, basis, facing = (
        np.asarray(x)[:, chosen] for x in _vertices(model, jnp.asarray(identity), attributes, size)
    )
    colors = np.stack([_sample(i, p) for i, p in zip(images, pixels, strict=True)])
    use = facing > _FRONT
    colors, basis = colors[use], basis[use]
    which = np.broadcast_to(np.arange(len(chosen)), use.shape)[use]
    mean = np.asarray(model.mean_texture)[chosen][which]
    texture_basis = np.asarray(model.texture_basis)[chosen][which]
    texture = np.zeros(texture_basis.shape[-1], np.float32)
    light = np.zeros((3, 9), np.float32)
    ambient = np.zeros((3, 9), np.float32)
    ambient[:, 0] = AMBIENT
    weight = np.full(len(colors), PICTURE_WEIGHT * len(images) / max(len(colors), 1), np.float32)
    robust = np.ones(len(colors), np.float32)
    for _ in range(_ALTERNATIONS):
        w = weight * robust / COLOR_DEVIATION**2
        albedo = mean + texture_basis @ texture
        for c in range(3):
            design = albedo[:, c : c + 1] * basis
            target = colors[:, c] - design @ ambient[c]
            hessian = (design * w[:, None]).T @ design + np.eye(9) / _LIGHT_DEVIATION**2
            light[c] = np.linalg.solve(hessian, design.T @ (w * target))
        lit = basis @ (light + ambient).T
        design = (texture_basis * lit[..., None]).reshape(-1, len(texture))
        target = (colors - mean * lit).reshape(-1)
        w = np.repeat(w, 3)
        prior = TEXTURE_PRECISION * len(images)
        hessian = (design * w[:, None]).T @ design + prior * np.eye(len(texture))
        texture = np.linalg.solve(hessian, design.T @ (w * target)).astype(np.float32)
        error = colors - (mean + texture_basis @ texture) * lit
        robust = 1 / (1 + (error**2).sum(axis=1) / (2 * COLOR_DEVIATION) ** 2)
    return texture, light


def _sample(image: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Colours of an image (h, w, 3) at positions (n, 2) in pixels, bilinear."""
    height, width = image.shape[:2]
    x = np.clip(pixels[:, 0] - 0.5, 0, width - 1.001)
    y = np.clip(pixels[:, 1] - 0.5, 0, height - 1.001)
    i, j = y.astype(int), x.astype(int)
    v, u = (y - i)[:, None], (x - j)[:, None]
    above = image[i, j] * (1 - u) + image[i, j + 1] * u
    below = image[i + 1, j] * (1 - u) + image[i + 1, j + 1] * u
    return above * (1 - v) + below * v


def _render_skin(model, skin, appearance, size):
    """Pictures (k, h, w, 3) and how much of each pixel is skin (k, h, w)."""
    blink = jnp.zeros(appearance.pose.shape[0], jnp.float32)
    attributes = Attributes(expression=appearance.expression, pose=appearance.pose, blink=blink)
    vertices = pose_vertices(
        face_shape(model, appearance.identity, attributes.expression), attributes
    )
    normals = vertex_normals(vertices, model.triangles, model.vertex_triangles)
    albedo = face_texture(model, appearance.texture)
    camera, draw = pinhole_camera(size), backend("auto")

    def one(vertices, normals):
        colors = shade(albedo, normals, appearance.illumination)
        positions = clip_positions(camera, camera_vertices(camera, vertices), size)
        rast = draw.rasterize(positions, model.triangles, size, cull_backfaces=True)
        values = jnp.concatenate([colors, skin[:, None]], axis=-1)
        pixels = draw.interpolate(values, rast, model.triangles)
        return pixels[..., :3], jax.lax.stop_gradient(pixels[..., 3])

    return map_frames(one, vertices, normals)


@partial(jit, static_argnames=("size",))
@full_precision
def _errors(model, skin, appearance, images, size):
    rendered, weight = _render_skin(model, skin, appearance, size)
    error = jnp.abs(jnp.clip(rendered, 0.0, 1.0) - images).mean(axis=-1)
    return (error * weight).sum(axis=(1, 2)) / jnp.maximum(weight.sum(axis=(1, 2)), 1.0)


def photometric_error(
    model: FaceModel,
    skin: Bool[np.ndarray, "n"],
    appearance: PhotometricParameters,
    images: Float[np.ndarray, "k h w 3"],
) -> Float[np.ndarray, "k"]:
    """Mean absolute difference of colours over the skin of each keyframe, in [0, 1]."""
    size = images.shape[1:3]
    return np.asarray(
        _errors(model, jnp.asarray(skin, jnp.float32), appearance, jnp.asarray(images), size)
    )


@partial(jit, static_argnames=("steps",))
@full_precision
def refine_appearance(
    model: FaceModel,
    landmarks: LandmarkModel,
    skin: Float[Array, "n"],
    start: PhotometricParameters,
    images: Float[Array, "k h w 3"],
    points: Float[Array, "k 68 2"],
    weights: Float[Array, "k 68"],
    *,
    steps: int = STEPS,
) -> PhotometricParameters:
    """Identity, texture, light, poses and expressions of keyframes, by gradients of rendering.

    Minimises the pictures' differences on the skin (Charbonnier's, which forgives outliers), the
    landmarks' errors and the priors, as negative logarithms of one posterior.

    Args:
        model: the face model.
        landmarks: from `fitting.landmark_model`.
        skin: 1 at the vertices of `skin_vertices`, else 0.
        start: where to start, from the landmarks and `fit_texture_and_light`.
        images: the crop at the keyframes, RGB in [0, 1].
        points: detected landmarks in image widths.
        weights: from `fitting.landmark_weights`.
        steps: of Adam.
    """
    count = images.shape[0]
    precision = prior_precision(landmarks)
    scale = PhotometricParameters(
        **{
            name: jnp.broadcast_to(jnp.float32(_STEP_SIZES[name]), value.shape)
            for name, value in vars(start).items()
        }
    )

    def cost(scaled):
        a = jax.tree.map(lambda x, s: x * s, scaled, scale)
        rendered, weight = _render_skin(model, skin, a, images.shape[1:3])
        squared = ((rendered - images) ** 2).sum(axis=-1) / COLOR_DEVIATION**2
        robust = 4 * (jnp.sqrt(1 + squared / 2) - 1)
        of_picture = (robust * weight).sum(axis=(1, 2)) / jnp.maximum(weight.sum(axis=(1, 2)), 1.0)
        shape = landmarks.mean + landmarks.identity_basis @ a.identity
        frames = jnp.concatenate([a.pose, a.expression], axis=-1)
        errors = jax.vmap(landmark_residuals, in_axes=(None, None, 0, 0, 0))(
            landmarks, shape, frames, points, weights
        )
        frame_prior = (frames**2 * precision[None]).sum()
        shared = (a.identity**2).sum() + TEXTURE_PRECISION * (a.texture**2).sum()
        shared = count * shared + ((a.illumination / _LIGHT_DEVIATION) ** 2).sum()
        return 0.5 * (PICTURE_WEIGHT * of_picture.sum() + (errors**2).sum() + frame_prior + shared)

    def falling(step):
        return 0.5 * (1 + jnp.cos(jnp.pi * step.astype(jnp.float32) / steps))

    optimizer = optax.adam(falling)
    first = jax.tree.map(lambda x, s: jnp.asarray(x, jnp.float32) / s, start, scale)

    def step(state, _):
        scaled, moments = state
        gradient = jax.grad(cost)(scaled)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes dtypes inside
            updates, moments = optimizer.update(gradient, moments)
        return (optax.apply_updates(scaled, updates), moments), None

    (last, _), _ = jax.lax.scan(step, (first, optimizer.init(first)), None, length=steps)
    return jax.tree.map(lambda x, s: x * s, last, scale)


def appearance_identity(appearance: PhotometricParameters) -> Identity:
    """The part of it that belongs to the person and the light."""
    return Identity(
        identity=np.asarray(appearance.identity),
        texture=np.asarray(appearance.texture),
        illumination=np.asarray(appearance.illumination),
    )
