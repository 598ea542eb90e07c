"""Poses and expressions aligned with the pictures themselves, by the colours of the face.

Landmarks are found frame by frame, some pixels beside their places, and they follow a quick head
late. A texture that is put together, and a network that is trained, with such poses is blurred. So
every frame is aligned with what the other frames show: a Gauss-Newton fit of the colours at the
skin's vertices (direct image alignment; Lucas and Kanade, 1981), with the landmarks' fit as prior:
of the pose a wide one, as all landmarks are late together; of the expression what the landmarks
know of it whatever the pose. The poses are then smoothed as far as the pictures allow: what they
show well (where the head is) stays, what they hardly show (its depth, the last degree of its pitch)
is made smooth.
"""

from collections.abc import Callable, Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from facial_jax.attributes import POSE_SIZE, Attributes, Identity
from facial_jax.compilation import jit
from facial_jax.face.model import FaceModel, face_shape, vertex_normals
from facial_jax.precision import full_precision
from facial_jax.rendering.camera import (
    camera_vertices,
    pinhole_camera,
    project_to_pixels,
    rotation_from_euler,
    transform_vertices,
)
from facial_jax.rendering.lighting import irradiance
from facial_jax.rendering.sampling import sample_bilinear
from facial_jax.tracking.fitting import (
    LandmarkModel,
    huber_weights,
    linearised_residuals,
    prior_precision,
)
from facial_jax.tracking.photometric import skin_vertices
from facial_jax.tracking.texture import MIN_LIGHT, texture_frames, video_texture

SIZE_PX = 256
"""Height and width of the pictures that are compared."""
_VERTICES = 900
_BATCH = 16
_TINY = 1e-12
_STEPS = 4
_TEXTURE_ROUNDS = 2
"""How often the frames that tell the texture are aligned before it is used for all."""
_BLUR_PX = 1.0
"""Standard deviation: a gradient then leads from two pixels away."""
_POSE_DEVIATION = np.array([0.03, 0.03, 0.02, 0.05, 0.05, 0.3], np.float32)
"""Of the landmarks' pose, radians and decimetres."""
_EXPRESSION_CHANGE = 0.3
"""Standard deviation of what the pictures add to an expression, of its own."""
_COLOR_DEVIATION, _OUTLIER = 0.03, 0.08
_INDEPENDENT = 300.0
"""As many colours are wrong independently: neighbours are wrong alike."""
_GAIN_FAITH = 0.01
"""That a frame is as bright as the others, in shares of the vertices."""
_FACING = 0.25, 0.5
"""Cosines of the angle under which a vertex is seen: not at all up to the first, fully from the
second."""
_ACCELERATION = np.array([6.0, 6.0, 6.0, 12.0, 12.0, 20.0])
"""Usual ones of a head: radians and decimetres in a square second."""


def align(
    model: FaceModel,
    landmarks: LandmarkModel,
    person: Identity,
    fitted: Float[np.ndarray, "t 70"],
    points: Float[np.ndarray, "t 68 2"],
    weights: Float[np.ndarray, "t 68"],
    blink: Float[np.ndarray, "t"],
    seen: Bool[np.ndarray, "t"],
    fps: float,
    read: Callable[[Int[np.ndarray, "n"] | None], Iterator[UInt8[np.ndarray, "h w 3"]]],
    *,
    identities: Float[np.ndarray, "t 80"] | None = None,
) -> Float[np.ndarray, "t 70"]:
    """Pose and expression of every frame, aligned with its picture.

    The frames are read twice: those that tell the texture, then all.

    Args:
        model: the face model.
        landmarks: from `fitting.landmark_model`.
        person: shape and light, and the texture of what is never seen.
        fitted: pose and expression from the landmarks, for every frame.
        points: detected landmarks in image widths; NaN where there is no face.
        weights: from `fitting.landmark_weights`.
        blink: AU45 of every frame.
        seen: where the face was seen; elsewhere the result is what was fitted, but for the
            smoothing.
        fps: frames per second.
        read: the crop's frames with the given rising numbers, or all, `SIZE_PX` wide and high.
        identities: a shape for every frame, in place of the person's.
    """
    if identities is None:
        identities = np.broadcast_to(np.asarray(person.identity), (len(fitted), 80))
    skin = np.flatnonzero(skin_vertices(model))
    skin = jnp.asarray(skin[:: max(1, len(skin) // _VERTICES)])
    rows = identities, fitted, np.nan_to_num(points).astype(np.float32), weights

    def aligned(texture, numbers, frames):
        return _align_batches(
            model, landmarks, person.illumination, skin, texture, rows, numbers, frames
        )

    usable = np.flatnonzero(seen)
    telling = usable[texture_frames(blink[usable])]
    shown = np.stack(list(read(telling)))
    at = fitted[telling]
    for _ in range(_TEXTURE_ROUNDS):
        at, _ = aligned(_texture(model, person, at, blink[telling], shown), telling, iter(shown))
    texture = _texture(model, person, at, blink[telling], shown)
    at, information = aligned(texture, np.arange(len(fitted)), read(None))
    at = np.where(seen[:, None], at, fitted)
    information = np.where(seen[:, None, None], information, np.diag(1 / _POSE_DEVIATION**2))
    at[:, :POSE_SIZE] = smooth_as_known(at[:, :POSE_SIZE], information, _ACCELERATION / fps**2)
    return at


def smooth_as_known(
    values: Float[np.ndarray, "t n"],
    information: Float[np.ndarray, "t n n"],
    deviation: Float[np.ndarray, "n"],
) -> Float[np.ndarray, "t n"]:
    """The smoothest sequence that the measurements allow.

    Minimises Σ (x_t − v_t)ᵀ I_t (x_t − v_t) + Σ |(x_{t−1} − 2 x_t + x_{t+1}) / deviation|².

    Args:
        values: measured.
        information: the measurements' inverse covariances.
        deviation: usual second differences.
    """
    from scipy.linalg import solveh_banded  # takes long to import

    count, n = values.shape
    if count < 3:
        return values
    information = information.astype(np.float64)
    # banded[d, k] is entry (k + d, k) of the system, k counting through frames and components.
    banded = np.zeros((2 * n + 1, count, n))
    for i in range(n):
        for j in range(i, n):
            banded[j - i, :, i] += information[:, j, i]
    second = (1.0, -2.0, 1.0)
    for i, of_i in enumerate(second):
        for j, of_j in enumerate(second[i:]):
            banded[j * n, i : i + count - 2] += of_i * of_j / np.square(deviation)
    banded[0] += 1e-9
    known = np.einsum("tij,tj->ti", information, values.astype(np.float64))
    smooth = solveh_banded(banded.reshape(2 * n + 1, -1), known.reshape(-1), lower=True)
    return smooth.reshape(count, n).astype(np.float32)


def _texture(model, person, parameters, blink, frames):
    pose, expression = parameters[:, :POSE_SIZE], parameters[:, POSE_SIZE:]
    return video_texture(
        model, person, Attributes(expression=expression, pose=pose, blink=blink), frames
    )


def _align_batches(model, landmarks, illumination, skin, texture, rows, numbers, frames):
    """Parameters (n, 70) and the information on the pose (n, 6, 6) of the frames with `numbers`."""
    results = []
    blur = jnp.asarray(_blur(SIZE_PX))
    albedo = jnp.asarray(texture)[skin]
    for first in range(0, len(numbers), _BATCH):
        part = numbers[first : first + _BATCH]
        pictures = [next(frames) for _ in part]
        index = np.resize(part, _BATCH)
        pictures = np.stack(pictures)[np.resize(np.arange(len(part)), _BATCH)]
        batch = [x[index] for x in rows]
        found = _align_batch(model, landmarks, illumination, skin, albedo, blur, pictures, *batch)
        results.append([np.asarray(x)[: len(part)] for x in found])
    return tuple(np.concatenate(x) for x in zip(*results, strict=True))


def _blur(size: int) -> np.ndarray:
    """A Gaussian filter as a matrix: blur @ column."""
    index = np.arange(size, dtype=np.float32)
    weight = np.exp(-0.5 * ((index[:, None] - index[None]) / _BLUR_PX) ** 2)
    return weight / weight.sum(axis=1, keepdims=True)


@jit
@full_precision
def _align_batch(
    model, landmarks, illumination, skin, albedo, blur, frames, identities, fitted, points, weights
):
    def one(row):
        frame, identity, fitted, points, weights = row
        grid = _picture_and_gradients(frame, blur)
        known = _known_expression(landmarks, identity, fitted, points, weights)
        wide = jnp.asarray(1 / _POSE_DEVIATION**2)
        prior = jax.scipy.linalg.block_diag(jnp.diag(wide), known)
        neutral = face_shape(model, identity, jnp.zeros_like(fitted[POSE_SIZE:]))[skin]
        normals = vertex_normals(
            face_shape(model, identity, fitted[POSE_SIZE:]),
            model.triangles,
            model.vertex_triangles,
        )[skin]
        system = partial(
            _system,
            grid,
            neutral,
            model.expression_basis[skin],
            normals,
            albedo,
            illumination,
        )

        def step(at, _):
            hessian, gradient = system(at)
            gradient = gradient + prior @ (at - fitted)
            return at - jnp.linalg.solve(hessian + prior, gradient), None

        at, _ = jax.lax.scan(step, fitted, None, length=_STEPS)
        return at, _without_expression(system(at)[0] + prior)

    return jax.lax.map(one, (frames, identities, fitted, points, weights))


def _picture_and_gradients(frame, blur):
    """The blurred picture and its derivatives to the right and downwards, (h, w, 9)."""
    image = jnp.einsum("ij,jkc->ikc", blur, frame.astype(jnp.float32) / 255)
    image = jnp.einsum("ij,kjc->kic", blur, image)
    padded = jnp.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
    right = (padded[1:-1, 2:] - padded[1:-1, :-2]) / 2
    down = (padded[2:, 1:-1] - padded[:-2, 1:-1]) / 2
    return jnp.concatenate([image, right, down], axis=-1)


def _known_expression(landmarks, identity, fitted, points, weights):
    """What landmarks and prior know of the expression whatever the pose, (64, 64)."""
    shape = landmarks.mean + landmarks.identity_basis @ identity
    r, jacobian, _ = linearised_residuals(landmarks, shape, fitted, points, weights)
    robust = huber_weights(r)[:, None] * jacobian
    hessian = robust.T @ jacobian + jnp.diag(prior_precision(landmarks))
    known = _without(hessian, slice(POSE_SIZE, None), slice(0, POSE_SIZE))
    return known + jnp.diag(1 / (_EXPRESSION_CHANGE * landmarks.expression_deviation) ** 2)


def _without_expression(hessian):
    return _without(hessian, slice(0, POSE_SIZE), slice(POSE_SIZE, None))


def _without(hessian, kept, left_out):
    """The information on some parameters if the others are unknown: a Schur complement."""
    across = hessian[left_out, kept]
    return hessian[kept, kept] - across.T @ jnp.linalg.solve(hessian[left_out, left_out], across)


def _system(grid, neutral, basis, normals, albedo, illumination, at):
    """Normal equations of the colours' differences: hessian (70, 70) and gradient (70,)."""
    camera = pinhole_camera((SIZE_PX, SIZE_PX))
    rotation = rotation_from_euler(at[:3])
    vertices = neutral + basis @ at[POSE_SIZE:]

    def place(pose):
        return transform_vertices(vertices, rotation_from_euler(pose[:3]), pose[3:])

    world, of_pose = place(at[:POSE_SIZE]), jax.jacfwd(place)(at[:POSE_SIZE])
    motion = jnp.concatenate([of_pose, jnp.einsum("ij,njk->nik", rotation, basis)], axis=-1)
    placed = camera_vertices(camera, world)
    x, y, depth = (placed[:, i, None] for i in range(3))
    scale = camera.focal_px / depth
    right = scale * (motion[:, 0] + x / depth * motion[:, 2])
    down = -scale * (motion[:, 1] + y / depth * motion[:, 2])
    sampled = sample_bilinear(grid, project_to_pixels(camera, placed) - 0.5)
    color, of_x, of_y = sampled[:, :3], sampled[:, 3:6], sampled[:, 6:]

    turned = normals @ rotation.T
    view = placed * jnp.array([[-1.0, -1.0, 1.0]])
    facing = (turned * view).sum(axis=-1) / jnp.linalg.norm(view, axis=-1)
    seen = jnp.clip((facing - _FACING[0]) / (_FACING[1] - _FACING[0]), 0.0, 1.0)
    expected = albedo * jnp.maximum(irradiance(turned, illumination), MIN_LIGHT)
    gain = jnp.ones((1, 3))
    for _ in range(3):
        residual = color - gain * expected
        robust = seen / (1 + (residual**2).sum(axis=-1) / _OUTLIER**2)
        faith = _GAIN_FAITH * len(albedo)
        both = (robust[:, None] * color * expected).sum(axis=0, keepdims=True) + faith
        gain = both / ((robust[:, None] * expected**2).sum(axis=0, keepdims=True) + faith)
    count = _INDEPENDENT / jnp.maximum(seen.sum(), 1.0) / _COLOR_DEVIATION**2
    weight = (count * robust)[:, None]
    # The three colours' differences depend on two coordinates: two rows of each vertex have the
    # same normal equations as three, by a Cholesky factor.
    across, both, along = (
        (weight * g * h).sum(axis=-1, keepdims=True)
        for g, h in ((of_x, of_x), (of_x, of_y), (of_y, of_y))
    )
    first = jnp.sqrt(across + _TINY)
    rest = jnp.sqrt(jnp.maximum(along - both**2 / (across + _TINY), 0.0))
    rows = jnp.concatenate([first * right + both / first * down, rest * down])
    gradient = (weight * of_x * residual).sum(axis=-1) @ right
    gradient = gradient + (weight * of_y * residual).sum(axis=-1) @ down
    return rows.T @ rows, gradient
