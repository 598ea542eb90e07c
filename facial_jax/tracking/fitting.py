"""Fitting the face model to landmarks: identity shared by the clip, pose and expression per frame.

Damped Gauss-Newton steps on the projected landmarks under Gaussian priors. Few vertices take part,
so that hundreds of frames a second are fitted, in batches of one fixed shape.

MediaPipe's points say too little of how the head turns: they follow its nods with 0.4 to 0.6 of
their size, because the bridge of the nose and the outline stay behind. All its 468 points in space
together follow with 0.7 to 0.9. So the fit takes pitch and yaw from these rotations, as measured
with a deviation of half a degree, and only the head's rest, one rotation for the whole clip, from
the 68 points (see `head_angles`).

Points are in image widths, as if the crop were 1 pixel wide: positions in [0, 1], focal length
1015/224 (Deep3DFaceRecon's, see `rendering.camera`).
"""

from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from facial_jax.attributes import EXPRESSION_SIZE, POSE_SIZE
from facial_jax.compilation import jit
from facial_jax.face.model import FaceModel, vertex_normals
from facial_jax.precision import full_precision
from facial_jax.rendering.camera import (
    camera_vertices,
    euler_from_rotation,
    pinhole_camera,
    project_to_pixels,
    rotation_from_euler,
    transform_vertices,
)

CONTOUR = slice(0, 17)  # iBUG's landmarks of the jaw
CONTOUR_CANDIDATES = 12  # vertices between which a contour landmark may move
LANDMARK_DEVIATION = 0.005  # of the crop's width: how far a landmark is from where it should be
OPENING_DEVIATION = 0.0015  # the same for the distance between the lips
UPPER_LIP, LOWER_LIP = (61, 62, 63), (67, 66, 65)  # points of the inner edges, face to face
RESIDUALS = 2 * (68 + len(UPPER_LIP))
EXPRESSION_DEVIATION_DM = 0.06  # how far a component usually moves the landmarks that it moves most
MAX_EXPRESSION_DEVIATION = 0.3
ANGLE_DEVIATION_RAD = np.float32(np.radians(0.5))  # of pitch and yaw as `head_angles` gives them
IDENTITY_PRECISION = 1.0  # in standard deviations, for each frame
BATCH = 64
KEYFRAMES = 24
_PARAMETERS = POSE_SIZE + EXPRESSION_SIZE
_POSE_DEVIATION = np.array([1.0, 1.0, 1.0, 5.0, 5.0, 5.0], np.float32)  # as good as free
_FRAME_STEPS, _JOINT_STEPS = 6, 10
_ROWS_COMPARED = 2000


@flax.struct.dataclass
class LandmarkModel:
    """The part of a face model that its landmarks need."""

    mean: Float[Array, "m 3"]
    # mean positions, decimetres: 51 fixed landmarks, then 17 × k contour candidates
    identity_basis: Float[Array, "m 3 80"]
    # decimetres per standard deviation
    expression_basis: Float[Array, "m 3 64"]
    # decimetres per unit
    contour_normals: Float[Array, "17 k 3"]
    # unit normals of the mean face at the contour candidates
    expression_deviation: Float[Array, "64"]
    # the prior's standard deviation of each expression coefficient


@flax.struct.dataclass
class FrameParameters:
    """Pose and expression of frames."""

    pose: Float[Array, "*t 6"]
    # pitch, yaw, roll in radians; x, y, z in decimetres
    expression: Float[Array, "*t 64"]
    # coefficients of the expression basis


def landmark_model(model: FaceModel) -> LandmarkModel:
    """Takes from a face model the vertices that landmarks can be at, and their bases."""
    normals = np.asarray(_mean_normals(model))
    candidates = contour_candidates(model, normals)
    vertices = np.concatenate([np.asarray(model.landmarks)[17:], candidates.reshape(-1)])
    expression = np.asarray(model.expression_basis)[vertices]
    # A component's prior follows from what it does: one that moves a landmark by a centimetre at
    # coefficient 1 has a deviation of 0.06, and none has more than 0.3.
    reach = np.sqrt((expression[:51] ** 2).sum(axis=1)).max(axis=0)
    deviation = EXPRESSION_DEVIATION_DM / np.maximum(reach, 1e-6)
    return LandmarkModel(
        mean=jnp.asarray(np.asarray(model.mean_shape)[vertices]),
        identity_basis=jnp.asarray(np.asarray(model.identity_basis)[vertices]),
        expression_basis=jnp.asarray(expression),
        contour_normals=jnp.asarray(normals[candidates]),
        expression_deviation=jnp.asarray(
            np.minimum(deviation, MAX_EXPRESSION_DEVIATION).astype(np.float32)
        ),
    )


def contour_candidates(
    model: FaceModel, normals: Float[np.ndarray, "n 3"]
) -> Int[np.ndarray, "17 k"]:
    """For each jaw landmark the vertices on a line across the jaw through it.

    When the head turns, the silhouette moves along these lines, from the cheek to the ear (the
    "parallel lines" of 3D-assisted face alignment). `normals` are the mean face's.
    """
    shape, jaw = np.asarray(model.mean_shape), np.asarray(model.landmarks)[:17]
    points = shape[jaw]
    tangents = np.gradient(points, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    lines = []
    for index, (point, tangent) in enumerate(zip(points, tangents, strict=True)):
        reach = 0.2 + 0.3 * abs(index - 8) / 8  # the chin's line is short, below it is the neck
        offset = shape - point
        along = np.abs(offset @ tangent)
        distance = np.linalg.norm(offset, axis=1)
        same_side = normals @ normals[jaw[index]] > 0
        near = np.flatnonzero((along < 0.06) & (distance < reach) & same_side)
        across = np.cross(tangent, normals[jaw[index]])
        place = offset[near] @ across
        # Evenly spaced along the line; the landmark itself is always one of them.
        wanted = np.linspace(-reach, reach, CONTOUR_CANDIDATES - 1)
        nearest = [
            near[np.argmin((place - w) ** 2 + along[near] ** 2)] if len(near) else jaw[index]
            for w in wanted
        ]
        lines.append([*nearest, jaw[index]])
    return np.array(lines, np.int32)


@jit
def _mean_normals(model):
    return vertex_normals(model.mean_shape, model.triangles, model.vertex_triangles)


def landmark_weights(
    points: Float[np.ndarray, "t 68 2"], eye_opening: Float[np.ndarray, "t"]
) -> Float[np.ndarray, "t 68"]:
    """How much each landmark counts: the contour little, eyelids only as far as they are open.

    Args:
        points: landmarks; NaN, where there is no face, makes all weights zero.
        eye_opening: 1 = open, 0 = closed; the model's eyelids do not close.
    """
    weights = np.ones(68, np.float32)
    weights[CONTOUR] = 0.15
    weights[17:27] = 0.5
    weights[[36, 39, 42, 45]] = 1.2
    weights[60:68] = 1.3
    weights = np.tile(weights, (len(points), 1))
    lids = [37, 38, 40, 41, 43, 44, 46, 47]
    weights[:, lids] = 0.6 * np.clip(np.nan_to_num(eye_opening), 0, 1)[:, None] ** 2 + 0.02
    weights[~np.isfinite(points).all(axis=(1, 2))] = 0.0
    return weights


@full_precision
def project_landmarks(
    landmarks: LandmarkModel, identity: Float[Array, "80"], frame: FrameParameters
) -> Float[Array, "68 2"]:
    """Where one frame's landmarks are seen, in image widths; those of the jaw on the silhouette."""
    shape = landmarks.mean + landmarks.identity_basis @ identity
    return _project(landmarks, shape, frame)


def _project(landmarks, shape, frame):
    seen, _ = _visible(landmarks, shape, frame)
    return project_to_pixels(pinhole_camera((1, 1)), seen)


def _visible(landmarks, shape, frame):
    """The 68 landmarks' vertices in camera space, and their rows in `landmarks`."""
    rotation = rotation_from_euler(frame.pose[:3])
    vertices = shape + landmarks.expression_basis @ frame.expression
    seen = camera_vertices(
        pinhole_camera((1, 1)), transform_vertices(vertices, rotation, frame.pose[3:])
    )
    # On the silhouette the surface is seen edge-on: its normal is at right angles to the view.
    view = seen[51:].reshape(17, -1, 3) * jnp.array([[[1.0, 1.0, -1.0]]])
    view = view / jnp.linalg.norm(view, axis=-1, keepdims=True)
    normals = jnp.einsum("ij,lkj->lki", rotation, landmarks.contour_normals)
    chosen = jnp.argmin(jnp.abs((normals * view).sum(axis=-1)), axis=-1)
    count = landmarks.contour_normals.shape[1]
    rows = jnp.concatenate([51 + jnp.arange(17) * count + chosen, jnp.arange(51)])
    return seen[rows], rows


def _frame(parameters):
    return FrameParameters(pose=parameters[:POSE_SIZE], expression=parameters[POSE_SIZE:])


@full_precision
def linearised_residuals(
    landmarks: LandmarkModel,
    shape: Float[Array, "m 3"],
    parameters: Float[Array, "70"],
    points: Float[Array, "68 2"],
    weights: Float[Array, "68"],
) -> tuple[Float[Array, "142"], Float[Array, "142 70"], Float[Array, "142 80"]]:
    """`landmark_residuals` (142,) and their derivatives by the frame's parameters (142, 70) and by
    the identity (142, 80)."""
    frame = _frame(parameters)
    _, rows = _visible(landmarks, shape, frame)  # which vertices is decided, not differentiated
    basis = landmarks.expression_basis[rows]
    head = shape[rows] + basis @ frame.expression

    def errors(pose, motion):
        rotation = rotation_from_euler(pose[:3])
        world = transform_vertices(head + motion[None], rotation, pose[3:])
        camera = pinhole_camera((1, 1))
        return project_to_pixels(camera, camera_vertices(camera, world)) - points

    still = jnp.zeros(3, head.dtype)
    error = errors(frame.pose, still)
    of_pose, of_motion = jax.jacfwd(errors, argnums=(0, 1))(frame.pose, still)
    of_expression = jnp.einsum("lij,ljk->lik", of_motion, basis)
    of_frame = jnp.concatenate([of_pose, of_expression], axis=-1)
    of_identity = jnp.einsum("lij,ljk->lik", of_motion, landmarks.identity_basis[rows])
    return tuple(_standardised(x, weights) for x in (error, of_frame, of_identity))


def _standardised(errors, weights):
    """Errors of the landmarks (68, 2, …), and of the lips' opening, in deviations, (142, …)."""
    extra = (1,) * (errors.ndim - 1)
    single = errors * (weights / LANDMARK_DEVIATION).reshape(-1, *extra)
    opening = errors[jnp.array(UPPER_LIP)] - errors[jnp.array(LOWER_LIP)]
    opening = opening * (weights[jnp.array(UPPER_LIP)] / OPENING_DEVIATION).reshape(-1, *extra)
    return jnp.concatenate([single, opening]).reshape(RESIDUALS, *errors.shape[2:])


@full_precision
def landmark_residuals(
    landmarks: LandmarkModel,
    shape: Float[Array, "m 3"],
    parameters: Float[Array, "70"],
    points: Float[Array, "68 2"],
    weights: Float[Array, "68"],
) -> Float[Array, "142"]:
    """One frame's errors in standard deviations; `shape` has the identity in it.

    The landmarks' (136), and those of the distances between three pairs of points on the lips'
    inner edges (6), which are known better than where the lips are: a shut mouth is to be shut.
    """
    return _standardised(_project(landmarks, shape, _frame(parameters)) - points, weights)


def prior_precision(landmarks: LandmarkModel) -> Float[Array, "70"]:
    """One over the variance of each parameter of a frame, pose and expression."""
    return jnp.concatenate(
        [jnp.asarray(1 / _POSE_DEVIATION**2), 1 / landmarks.expression_deviation**2]
    )


def huber_weights(residual: Float[Array, "r"]) -> Float[Array, "r"]:
    """Weights that let single landmarks be wrong by more than 4 deviations."""
    return jnp.minimum(1.0, 4.0 / jnp.maximum(jnp.abs(residual), 1e-6))


def frame_prior(
    landmarks: LandmarkModel, angles: Float[Array, "2"]
) -> tuple[Float[Array, "70"], Float[Array, "70"]]:
    """Where a frame's parameters are expected, and their precision.

    `angles`: pitch and yaw as measured, NaN where they were not.
    """
    known = jnp.isfinite(angles)
    usual = prior_precision(landmarks)
    expected = jnp.zeros_like(usual).at[:2].set(jnp.where(known, angles, 0.0))
    return expected, usual.at[:2].add(jnp.where(known, 1 / ANGLE_DEVIATION_RAD**2, 0.0))


@jit
@full_precision
def _fit_batch(landmarks, identity, parameters, points, weights, angles):
    """Gauss-Newton for each frame of a batch, (b, 70); identity is given."""
    shape = landmarks.mean + landmarks.identity_basis @ identity

    def fit(start, points, weights, angles):
        expected, precision = frame_prior(landmarks, angles)

        def step(parameters, _):
            r, jacobian, _ = linearised_residuals(landmarks, shape, parameters, points, weights)
            robust = huber_weights(r)[:, None] * jacobian
            hessian = robust.T @ jacobian + jnp.diag(precision * 1.001 + 1e-3)
            gradient = robust.T @ r + precision * (parameters - expected)
            return parameters - limited_step(jnp.linalg.solve(hessian, gradient)), None

        return jax.lax.scan(step, start, None, length=_FRAME_STEPS)[0]

    return jax.vmap(fit)(parameters, points, weights, angles)


def limited_step(step: Float[Array, "*b p"]) -> Float[Array, "*b p"]:
    """A step whose turn is at most 0.4 rad, all of it scaled alike."""
    largest = jnp.maximum(jnp.abs(step[..., :3]).max(axis=-1, keepdims=True), 1e-9)
    return step * jnp.minimum(1.0, 0.4 / largest)


@jit
@full_precision
def _fit_jointly(landmarks, identity, parameters, points, weights):
    """Gauss-Newton for the identity and all frames at once; the frames are eliminated first."""
    precision = prior_precision(landmarks)
    count = weights.any(axis=1).sum().astype(identity.dtype)

    def system(identity, parameters, points, weights):
        shape = landmarks.mean + landmarks.identity_basis @ identity
        r, of_frame, of_identity = linearised_residuals(
            landmarks, shape, parameters, points, weights
        )
        robust = huber_weights(r)[:, None]
        frame_frame = (robust * of_frame).T @ of_frame + jnp.diag(precision * 1.001 + 1e-3)
        frame_identity = (robust * of_frame).T @ of_identity
        identity_identity = (robust * of_identity).T @ of_identity
        frame_gradient = (robust * of_frame).T @ r + precision * parameters
        identity_gradient = (robust * of_identity).T @ r
        solved = jnp.linalg.solve(
            frame_frame, jnp.concatenate([frame_identity, frame_gradient[:, None]], axis=1)
        )
        reduced = identity_identity - frame_identity.T @ solved[:, :-1]
        reduced_gradient = identity_gradient - frame_identity.T @ solved[:, -1]
        return reduced, reduced_gradient, solved

    def step(state, _):
        identity, parameters = state
        reduced, gradient, solved = jax.vmap(system, in_axes=(None, 0, 0, 0))(
            identity, parameters, points, weights
        )
        # The frames' landmarks are wrong alike, not independently: they count as one frame's.
        prior = IDENTITY_PRECISION * count
        hessian = reduced.sum(axis=0) + prior * jnp.eye(identity.shape[0], dtype=identity.dtype)
        of_identity = jnp.linalg.solve(hessian, gradient.sum(axis=0) + prior * identity)
        of_frames = solved[:, :, -1] - solved[:, :, :-1] @ of_identity
        return (identity - of_identity, parameters - limited_step(of_frames)), None

    return jax.lax.scan(step, (identity, parameters), None, length=_JOINT_STEPS)[0]


def initial_parameters(
    model: FaceModel, points: Float[np.ndarray, "t 68 2"]
) -> Float[np.ndarray, "t 70"]:
    """A start for the fit from the places of the eyes and the chin; no turn, no expression."""
    mean = np.asarray(model.mean_shape)[np.asarray(model.landmarks)]
    inner = [36, 39, 42, 45, 33, 48, 54]
    focal = float(pinhole_camera((1, 1)).focal_px)
    own, seen = mean[inner], np.nan_to_num(points[:, inner], nan=0.5)
    seen = np.where(np.isfinite(points[:, inner]), seen, own[None, :, :2] * [0.4, -0.4] + 0.5)
    spread = np.sqrt(((own[:, :2] - own[:, :2].mean(0)) ** 2).sum())
    seen_spread = np.sqrt(((seen - seen.mean(1, keepdims=True)) ** 2).sum(axis=(1, 2)))
    depth = focal * spread / np.maximum(seen_spread, 1e-3)
    middle = (seen.mean(1) - 0.5) * (depth / focal)[:, None]
    roll_vector = seen[:, 3] - seen[:, 0]
    roll = -np.arctan2(roll_vector[:, 1], roll_vector[:, 0])
    start = np.zeros((len(points), _PARAMETERS), np.float32)
    start[:, 2] = roll
    start[:, 3] = middle[:, 0] - own[:, 0].mean()
    start[:, 4] = -middle[:, 1] - own[:, 1].mean()
    start[:, 5] = 10.0 - depth - own[:, 2].mean()
    return start


def fit_frames(
    landmarks: LandmarkModel,
    identity: Float[np.ndarray, "80"],
    start: Float[np.ndarray, "t 70"],
    points: Float[np.ndarray, "t 68 2"],
    weights: Float[np.ndarray, "t 68"],
    angles: Float[np.ndarray, "t 2"] | None = None,
) -> Float[np.ndarray, "t 70"]:
    """Pose and expression (6 + 64) of every frame, the identity given.

    Args:
        landmarks: from `landmark_model`.
        identity: standard deviations.
        start: pose and expression to start from.
        points: detected landmarks in image widths.
        weights: from `landmark_weights`; frames of zeros keep to their priors.
        angles: pitch and yaw from `head_angles`; NaN, or no array, where they are not known.
    """
    if angles is None:
        angles = np.full((len(start), 2), np.nan, np.float32)
    rows = (start, np.nan_to_num(points).astype(np.float32), weights, angles)
    return in_batches(lambda *batch: _fit_batch(landmarks, identity, *batch), *rows)


def in_batches(
    function: Callable[..., Array], *rows: Float[np.ndarray, "t ..."]
) -> Float[np.ndarray, "t ..."]:
    """What a function of `BATCH` frames gives for each of t frames; one shape is compiled."""
    results = []
    for first in range(0, len(rows[0]), BATCH):
        part = [x[first : first + BATCH] for x in rows]
        count = len(part[0])
        padded = [np.concatenate([x, np.repeat(x[-1:], BATCH - count, axis=0)]) for x in part]
        results.append(np.asarray(function(*padded))[:count])
    return np.concatenate(results)


def head_angles(
    turns: Float[np.ndarray, "t 3 3"],
    frames: Int[np.ndarray, "k"],
    pose: Float[np.ndarray, "k 6"],
) -> Float[np.ndarray, "t 2"]:
    """Pitch and yaw of the head, in radians, from how it turned: R_t = turn_t · R_0.

    R_0 is the rotation for which the R_t are nearest to those of frames whose pose was fitted:
    their chordal mean.

    Args:
        turns: rotations from one unknown turn, see `landmarker.Landmarks`; NaN where unknown, and
            so is the result.
        frames: numbers of the fitted frames, whose turns are known.
        pose: their poses.
    """
    fitted = np.asarray(rotation_from_euler(jnp.asarray(pose[:, :3])))
    left, _, right = np.linalg.svd(np.einsum("tji,tjk->ik", turns[frames], fitted))
    left[:, 2] *= np.sign(np.linalg.det(left @ right))
    rotation = jnp.asarray(turns @ (left @ right), jnp.float32)
    return np.asarray(euler_from_rotation(rotation))[:, :2]


def fit_identity(
    landmarks: LandmarkModel,
    start: Float[np.ndarray, "t 70"],
    points: Float[np.ndarray, "t 68 2"],
    weights: Float[np.ndarray, "t 68"],
) -> tuple[Float[np.ndarray, "80"], Int[np.ndarray, "k"], Float[np.ndarray, "k 70"]]:
    """The identity that the clip's frames share, from at most 24 of them that differ most.

    Returns:
        The identity; the numbers of the frames it was taken from; their poses and expressions.
    """
    usable = np.flatnonzero(weights.any(axis=1))
    chosen = usable[farthest_points(start[usable] * _pose_scale(landmarks), KEYFRAMES)]
    index = np.resize(chosen, KEYFRAMES)
    share = np.where(np.arange(KEYFRAMES) < len(chosen), 1.0, 0.0).astype(np.float32)
    identity, parameters = _fit_jointly(
        landmarks,
        jnp.zeros(landmarks.identity_basis.shape[-1], jnp.float32),
        jnp.asarray(start[index]),
        jnp.asarray(np.nan_to_num(points[index]).astype(np.float32)),
        jnp.asarray(weights[index] * share[:, None]),
    )
    count = len(chosen)
    return np.asarray(identity), chosen, np.asarray(parameters)[:count]


def _pose_scale(landmarks: LandmarkModel) -> np.ndarray:
    pose = np.array([5.0, 5.0, 2.0, 0.5, 0.5, 0.5], np.float32)
    return np.concatenate([pose, 0.3 / np.asarray(landmarks.expression_deviation)])


def farthest_points(rows: Float[np.ndarray, "t n"], count: int) -> Int[np.ndarray, "k"]:
    """Numbers of up to `count` rows that differ most from each other, from the median one on.

    Rows that are the same, as those of a still picture, are taken once.
    """
    step = -(-len(rows) // _ROWS_COMPARED)
    rows = rows[::step]
    chosen = [int(((rows - np.median(rows, axis=0)) ** 2).sum(axis=1).argmin())]
    distance = ((rows - rows[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < count and distance.max() > 0:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, ((rows - rows[chosen[-1]]) ** 2).sum(axis=1))
    return np.array(chosen, np.int32) * step


def landmark_error(
    fitted: Float[np.ndarray, "t 68 2"], points: Float[np.ndarray, "t 68 2"]
) -> Float[np.ndarray, "t"]:
    """Mean distance of the landmarks, the jaw's apart, over that of the outer corners of the eyes.

    NaN in frames without landmarks.
    """
    eyes = np.linalg.norm(points[:, 45] - points[:, 36], axis=-1)
    return np.linalg.norm(fitted - points, axis=-1)[:, 17:].mean(axis=1) / eyes


@jit
def project_frames(
    landmarks: LandmarkModel, identity: Float[Array, "*b 80"], parameters: Float[Array, "t 70"]
) -> Float[Array, "t 68 2"]:
    """`project_landmarks` for many frames; `identity` is one, or one for each frame."""
    identities = jnp.broadcast_to(identity, (parameters.shape[0], identity.shape[-1]))
    return jax.vmap(lambda i, p: project_landmarks(landmarks, i, _frame(p)))(identities, parameters)
