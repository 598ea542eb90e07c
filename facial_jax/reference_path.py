"""Which frame of a reference video is behind a generated head: one with the real head near it.

The reference is played at its own speed, forwards and backwards, so that body and background never
jump and never stand still. Where it turns is chosen so that its head is, over the whole video,
where the generated one is: then neck, shoulders and hair meet at the seam.
"""

from fractions import Fraction

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from facial_jax.compilation import jit
from facial_jax.frame_rate import resample_frames
from facial_jax.rendering.camera import (
    camera_vertices,
    pinhole_camera,
    project_to_pixels,
    rotation_from_euler,
    transform_vertices,
)

TURN_COST = 1e-3  # of playing the other way, in squared widths of the head's picture
_DECIDED, _LOOKED_AHEAD = 512, 128  # frames of the path decided at a time, and those seen after
# Crown, chin and temples of any head, decimetres: where they are seen, the head is.
_HEAD_POINTS = np.float32([[0, 1.3, 0], [0, -1, 0.5], [-0.8, 0, 0], [0.8, 0, 0]])


def reference_path(
    reference_pose: Float[np.ndarray, "n 6"],
    reference_fps: Fraction,
    pose: Float[np.ndarray, "t 6"],
    fps: Fraction,
) -> Int[np.ndarray, "t"]:
    """The number of the reference's frame for each frame of a video.

    Args:
        reference_pose: of the reference's frames, rad and dm, seen by `pinhole_camera`.
        reference_fps: the reference's frames per second.
        pose: of the video's frames.
        fps: the video's frames per second; each takes the reference's frame nearest in time.
    """
    nearest = [int(i * reference_fps / fps + Fraction(1, 2)) for i in range(len(pose))]
    wanted = resample_frames(pose, fps, reference_fps, nearest[-1] + 1)
    return follow_heads(head_points(reference_pose), head_points(wanted))[np.array(nearest)]


def follow_heads(
    seen: Float[np.ndarray, "n 4 2"], wanted: Float[np.ndarray, "t 4 2"]
) -> Int[np.ndarray, "t"]:
    """Steps of +1 or -1 through n pictures of a head that keep it near where it is wanted.

    The path minimizes the mean squared distance of the head's points, summed over the frames, plus
    `TURN_COST` for every turn (Viterbi's algorithm). It is decided 512 frames at a time with 128
    more in view, so that memory does not grow.
    """
    if len(seen) == 1:
        return np.zeros(len(wanted), np.int64)
    cost = np.zeros((2, len(seen)), np.float32)
    path: list[tuple[int, int]] = []
    while len(path) < len(wanted):
        part = wanted[len(path) : len(path) + _DECIDED + _LOOKED_AHEAD]
        best = _cheapest_path(seen, part, cost, step_first=bool(path))
        path += best[:_DECIDED]
        cost = np.full_like(cost, np.inf)
        cost[path[-1]] = 0
    return np.array([frame for _, frame in path])


def _cheapest_path(seen, wanted, cost, *, step_first) -> list[tuple[int, int]]:
    """States (direction, frame) from a cost (2, n) of the state before, or of the first state.

    Direction 0 is forwards, 1 backwards.
    """
    turns = []
    for i, points in enumerate(wanted):
        if i or step_first:
            turned = cost[::-1] + np.float32(TURN_COST) < cost
            after = np.where(turned, cost[::-1] + np.float32(TURN_COST), cost)
            cost = np.full_like(cost, np.inf)
            cost[0, 1:], cost[1, :-1] = after[0, :-1], after[1, 1:]
            turns.append(turned)
        cost = cost + np.square(seen - points).sum(axis=(1, 2)) / len(points)
        cost = cost - cost.min()  # only differences matter, and float32 keeps them
    direction, frame = divmod(int(cost.argmin()), len(seen))
    path = [(direction, frame)]
    for turned in reversed(turns[len(turns) - len(wanted) + 1 :]):
        frame -= 1 - 2 * direction
        direction = 1 - direction if turned[direction, frame] else direction
        path.append((direction, frame))
    return path[::-1]


def head_points(pose: Float[np.ndarray, "t 6"]) -> Float[np.ndarray, "t 4 2"]:
    """Where four points of the head are seen, in widths of the head's picture (x right, y down)."""
    padded = np.pad(pose, ((0, -len(pose) % _DECIDED), (0, 0))).astype(np.float32)
    blocks = padded.reshape(-1, _DECIDED, 6)
    return np.concatenate([np.asarray(_project(block)) for block in blocks])[: len(pose)]


@jit
def _project(pose: Float[Array, "t 6"]) -> Float[Array, "t 4 2"]:
    points = jnp.broadcast_to(jnp.asarray(_HEAD_POINTS), (len(pose), *_HEAD_POINTS.shape))
    world = transform_vertices(points, rotation_from_euler(pose[:, :3]), pose[:, 3:])
    camera = pinhole_camera((1, 1))
    return project_to_pixels(camera, camera_vertices(camera, world))
