"""A person's own texture: the colours that a video shows of each point of their face.

The coefficients of a statistical texture give a skin's tone. Lids, lashes, lips, teeth and moles
are the video's, and a rendering-to-video network that sees them in their places need not make
them up. (The paper renders the statistical texture.)
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from facial_jax.attributes import Attributes, Identity
from facial_jax.compilation import in_batches, jit
from facial_jax.face.color_mesh import ColorMesh, at_points, color_mesh, points_within
from facial_jax.face.eyes import close_lids, eyeball_centres, eyeball_vertices
from facial_jax.face.lips import INNER_LIPS
from facial_jax.face.model import FaceModel, face_shape, face_texture, vertex_normals
from facial_jax.face.procedural.lids import closed_lids
from facial_jax.face.topology import mesh_edges
from facial_jax.pictures import resize
from facial_jax.precision import full_precision
from facial_jax.rendering.camera import (
    Camera,
    camera_vertices,
    clip_positions,
    pinhole_camera,
    pose_vertices,
    project_to_pixels,
)
from facial_jax.rendering.color_changes import (
    TextureChanges,
    changed_albedo,
    closing,
    what_changes,
)
from facial_jax.rendering.irises import place_irises
from facial_jax.rendering.lighting import irradiance
from facial_jax.rendering.mapping import map_frames
from facial_jax.rendering.rasterizer import rasterize
from facial_jax.rendering.sampling import sample_bilinear
from facial_jax.tracking.color_changes import main_directions, regressors, spread, vertex_changes
from facial_jax.tracking.photometric import inside_polygon, seen_from_front

MAX_FRAMES = 128
OPEN_EYES = 1.0
"""AU45 intensity up to which eyes count as open; frames with closed ones show the lids."""
_CLOSED_EYES, _MAX_BLINKING = 2.5, 32
_CLOSED_RIDGE = 0.5
"""What so many closed eyes show of a point is believed by half, against the open eye's colour."""
_BATCH = 8
_FINEST_PX = 384
"""Of frames: finer ones show more than the points can have, which would come out as dots."""
_MIN_COSINE = 0.3
"""Of the angle under which a surface is seen; below it a pixel is a smear of many vertices."""
MIN_LIGHT = 0.1
_DEPTH_TOLERANCE = 0.04  # decimetres
_IRIS_MARGIN = 1.2
"""In radii of the iris: what is nearer to its middle is not the white of the eye."""
_TEETH_REACH = 1.4
"""In half widths of the lips."""
_MIN_SEEN = 3
_MIN_WHITE_SHARE = 0.1
"""Of the frames must show a point of the white of the eyes, next to irises that are not quite where
they are thought to be."""
_SEEN_WELL = 10
"""In so many frames: what is seen in fewer takes some of its colour from what is around it."""
_FAITH = 1e-3
"""In the statistical texture of what is never seen, against that in a neighbour's colour."""


def evenly_spread(count: int, at_most: int) -> Int[np.ndarray, "n"]:
    """Numbers of up to so many of `count` frames, evenly spread, the first and the last among them.

    All of them, if there are no more.
    """
    return np.unique(np.linspace(0, count - 1, min(count, at_most)).round().astype(int))


def open_eyes(blink: Float[np.ndarray, "t"]) -> Bool[np.ndarray, "t"]:
    """Which frames show the face with open eyes; all, if none does."""
    opened = np.asarray(blink) <= OPEN_EYES
    return opened if opened.any() else np.ones_like(opened)


def blinking_frames(blink: Float[np.ndarray, "t"]) -> Int[np.ndarray, "n"]:
    """Numbers of the frames that tell what closed eyes look like: up to 32, evenly spread."""
    usable = np.flatnonzero(blink >= _CLOSED_EYES)
    return usable[evenly_spread(len(usable), _MAX_BLINKING)]


def texture_frames(blink: Float[np.ndarray, "t"]) -> Int[np.ndarray, "n"]:
    """Numbers of the frames that tell the texture best: up to 128, evenly spread, eyes open.

    `blink`: AU45 of all frames. If no eyes are open, any frames are taken.
    """
    usable = np.flatnonzero(open_eyes(blink))
    return usable[evenly_spread(len(usable), MAX_FRAMES)]


def video_texture(
    model: FaceModel,
    identity: Identity,
    attributes: Attributes,
    frames: UInt8[np.ndarray, "t h w 3"],
    *,
    gaze: Float[np.ndarray, "t 2 2"] | None = None,
) -> Float[np.ndarray, "n 3"]:
    """The albedo of every vertex: the median of what the frames show where it is seen, unlit.

    What few frames show or none takes on the colours around it. So does what is behind the lips:
    `facial_jax.tracking.inner_mouth` has pictures of that.

    Args:
        model: the face model.
        identity: the person's, as tracked; gives the light, and the texture of what is never seen.
        attributes: of the frames.
        frames: the video's, cropped as it was tracked; see `texture_frames`.
        gaze: of either eye, if it is known (`gaze.measure_gaze`): then the eyes are white, for
            irises to be drawn on them, and the face model's lids move.

    Returns:
        RGB around [0, 1], see `person_face_model`.

    Raises:
        ValueError: the numbers of frames differ.
    """
    samples = _video_samples(model, identity, attributes, frames, gaze, None)
    texture, times, white = _median_texture(model, identity, samples, gaze, None)
    return _spread(texture, times, white, np.asarray(model.triangles)) if times.any() else texture


def changing_texture(
    model: FaceModel,
    identity: Identity,
    attributes: Attributes,
    frames: UInt8[np.ndarray, "t h w 3"],
    *,
    gaze: Float[np.ndarray, "t 2 2"] | None = None,
    own_mouth: bool = False,
) -> tuple[Float[np.ndarray, "m 3"], TextureChanges]:
    """The albedo of every vertex and of the points between (`face.color_mesh`), and how it changes
    with pose, expression and blinks.

    Arguments and errors are those of `video_texture`, but frames with closed eyes are welcome
    (`blinking_frames`): where a gaze is known, they tell what lids look like. With `own_mouth`, the
    face model's teeth and tongue are the person's, and their colours are found like those of the
    face.
    """
    mesh = color_mesh(model.triangles, len(model.mean_shape))
    all_samples = _video_samples(model, identity, attributes, frames, gaze, mesh)
    everything, opened = attributes, open_eyes(attributes.blink)
    samples, attributes = all_samples[opened], attributes[opened]
    texture, times, white = _median_texture(model, identity, samples, gaze, mesh, own_mouth)
    directions = main_directions(np.asarray(attributes.expression))
    values = np.asarray(what_changes(attributes, directions))
    mean, deviation = spread(values)
    seen = np.isfinite(samples[..., 0]) & (times > 0)
    found = vertex_changes(regressors(values, mean, deviation), samples - texture, seen)
    if times.any():
        together = np.concatenate([(texture + found[0])[None], found[1:]])
        columns = np.moveaxis(together, 0, 1).reshape(len(texture), -1)
        columns = _spread(columns, times, white, mesh.triangles)
        texture, *changes = np.moveaxis(columns.reshape(len(texture), -1, 3), 1, 0)
        found[1:] = changes
    changes = TextureChanges(
        directions=directions, mean=mean, deviation=deviation, changes=found[1:]
    )
    lids = closed_lids(model)
    if gaze is not None and lids is not None:
        moved = np.asarray(at_points(lids, mesh)).any(axis=1)
        changes = changes.replace(lids=moved.astype(np.float32))
        if not opened.all():
            shut, samples = everything[~opened], all_samples[~opened]
            off = samples - np.asarray(changed_albedo(jnp.asarray(texture), changes, shut))
            off[:, ~moved] = 0
            changes = changes.replace(closed=_closed(off, shut.blink))
    return texture, changes


def _closed(
    off: Float[np.ndarray, "t n 3"], blink: Float[np.ndarray, "t"]
) -> Float[np.ndarray, "n 3"]:
    """What is added to colours where eyes are closed: a ridge regression of how far these frames
    are off, NaN where they show nothing, on how far the eyes are closed.
    """
    shut = closing(blink)[:, None, None]
    seen = np.isfinite(off)
    sums = (shut * np.where(seen, off, 0)).sum(axis=0)
    return (sums / ((shut**2 * seen).sum(axis=0) + _CLOSED_RIDGE)).astype(np.float32)


def _video_samples(model, identity, attributes, frames, gaze, mesh) -> Float[np.ndarray, "t m 3"]:
    """The unlit colour of each point in each frame, NaN where it is not seen."""
    if len(frames) != len(attributes) or not len(frames):
        raise ValueError(
            f"frames: expected as many as there are attributes and at least one, got {len(frames)} "
            f"for {len(attributes)}"
        )
    if mesh is not None and frames.shape[1] > _FINEST_PX:
        frames = np.stack([resize(frame, _FINEST_PX) for frame in frames])
    camera = pinhole_camera(frames.shape[1:3])
    lids = None if gaze is None else closed_lids(model)

    def sample(rows):
        looks = None if gaze is None else gaze[rows]
        return _sample(model, mesh, lids, identity, attributes[rows], looks, frames[rows], camera)

    return in_batches(sample, len(frames), _BATCH)


def _median_texture(model, identity, samples, gaze, mesh, own_mouth=False):
    """The median of every point, how often it was seen, and whether it is the white of an eye."""
    times = np.isfinite(samples[..., 0]).sum(axis=0)
    mouth = np.asarray(points_within(inside_mouth(model), mesh)) & (not own_mouth)
    times[(times < _MIN_SEEN) | mouth] = 0
    texture = np.array(at_points(face_texture(model, identity.texture), mesh))
    texture[times > 0] = np.nanmedian(samples[:, times > 0], axis=0)
    white = np.zeros(len(texture), bool)
    if times.any():
        # What shows between the lips and the pictures of the inner mouth is to look like lips.
        lips = np.asarray(model.landmarks)[INNER_LIPS]
        texture[mouth] = np.average(texture[lips], axis=0, weights=times[lips] + _FAITH)
    if gaze is not None:
        eyeballs = eyeball_vertices(model.mean_shape, model.landmarks)
        white = np.asarray(points_within(eyeballs, mesh))
    times[white & (times < _MIN_WHITE_SHARE * len(samples))] = 0
    return texture, times, white


def inside_mouth(model: FaceModel) -> Bool[np.ndarray, "n"]:
    """Teeth, tongue and what else lies behind the lips of the mean face, whose mouth is shut."""
    shape = np.asarray(model.mean_shape)
    lips = shape[np.asarray(model.landmarks)[48:60], :2]
    # Back teeth lie behind the cheeks.
    around = lips.mean(axis=0) + _TEETH_REACH * (lips - lips.mean(axis=0))
    return inside_polygon(shape[:, :2], around) & ~seen_from_front(model)


def _spread(
    texture: Float[np.ndarray, "n c"],
    times: Int[np.ndarray, "n"],
    white: Bool[np.ndarray, "n"],
    triangles: Int[np.ndarray, "f 3"],
) -> Float[np.ndarray, "n c"]:
    """Colours flow along the mesh from vertices that were seen often to those that were not.

    Minimizes Σ wᵢ |cᵢ − textureᵢ|² + Σ |cᵢ − cⱼ|² over the edges. The white of the eyes is smooth.
    """
    from scipy.sparse import coo_matrix, diags  # takes long to import
    from scipy.sparse.linalg import splu

    edges = mesh_edges(triangles)
    n, (a, b) = len(texture), edges.T
    neighbours = coo_matrix((np.ones(len(edges)), (a, b)), shape=(n, n))
    neighbours = neighbours + neighbours.T
    share = np.minimum(times / _SEEN_WELL, 1.0)
    weight = np.where(white, share, 10 * share / (1.001 - share))
    weight += _FAITH
    laplacian = diags(np.asarray(neighbours.sum(axis=1)).ravel()) - neighbours
    solved = splu((laplacian + diags(weight)).tocsc()).solve(weight[:, None] * texture)
    return solved.astype(np.float32)


@jit
@full_precision
def _sample(
    model: FaceModel,
    mesh: ColorMesh | None,
    lids: Float[Array | np.ndarray, "n 3"] | None,
    identity: Identity,
    attributes: Attributes,
    gaze: Float[Array | np.ndarray, "b 2 2"] | None,
    frames: UInt8[Array | np.ndarray, "b h w 3"],
    camera: Camera,
) -> Float[Array, "b m 3"]:
    """The unlit colour of each point in each frame, NaN where it is not seen."""
    size = frames.shape[1:3]
    eyeballs = points_within(eyeball_vertices(model.mean_shape, model.landmarks), mesh)
    neutral = face_shape(model, identity.identity, jnp.zeros_like(attributes.expression[0]))
    centres = eyeball_centres(neutral, model.landmarks)
    shape = face_shape(model, identity.identity, attributes.expression)
    if lids is not None:
        shape = close_lids(shape, lids, attributes.blink)
    vertices = pose_vertices(shape, attributes)
    normals = vertex_normals(vertices, model.triangles, model.vertex_triangles)

    def one(vertices, normals, frame, pose, gaze=None):
        placed = camera_vertices(camera, vertices)
        rast = rasterize(clip_positions(camera, placed, size), model.triangles, size)
        light = at_points(irradiance(normals, identity.illumination), mesh)
        light = jnp.maximum(light, MIN_LIGHT)
        placed, normals = at_points(placed, mesh), at_points(normals, mesh)
        pixels = project_to_pixels(camera, placed)
        column, row = (jnp.floor(pixels[:, i]).astype(jnp.int32) for i in range(2))
        inside = (column >= 0) & (column < size[1]) & (row >= 0) & (row < size[0])
        nearest = rast[row.clip(0, size[0] - 1), column.clip(0, size[1] - 1)]
        near, far = camera.near, camera.far
        depth = 2 * far * near / ((far + near) - (far - near) * nearest[:, 2])
        in_front = (nearest[:, 3] > 0) & (placed[:, 2] < depth + _DEPTH_TOLERANCE)
        x, y, z = placed[:, 0], placed[:, 1], -placed[:, 2]
        cosine = -(normals * jnp.stack([x, y, z], axis=-1)).sum(-1) / jnp.sqrt(x**2 + y**2 + z**2)
        # Pixels' centres lie at +0.5.
        color = sample_bilinear(frame, pixels - 0.5) / 255.0 / light
        seen = inside & in_front & (cosine > _MIN_COSINE)
        if gaze is not None:
            irises = place_irises(centres, gaze, pose, camera)
            away = jnp.linalg.norm(pixels[:, None] - irises.middle[None], axis=-1)
            seen = seen & ~(eyeballs & (away < _IRIS_MARGIN * irises.radius[None]).any(axis=-1))
        return jnp.where(seen[:, None], color, jnp.nan)

    looks = () if gaze is None else (gaze,)
    return map_frames(one, vertices, normals, frames, attributes.pose, *looks)
