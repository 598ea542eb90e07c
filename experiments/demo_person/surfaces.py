"""What the face model lacks: hair, neck and shoulders, as meshes around the face, in dm."""

from dataclasses import dataclass

import numpy as np

from facial_jax.face.procedural import geometry
from facial_jax.face.procedural.geometry import smoothstep
from facial_jax.face.procedural.mesh import grid_triangles

CENTRE = np.array([0.0, geometry.FACE_CENTRE_Y, 0.0])


@dataclass(frozen=True)
class Surface:
    """A mesh with surface coordinates."""

    vertices: np.ndarray
    # (n, 3) dm, in the face model's frame
    coordinates: np.ndarray
    # (n, 2): for hair (side·(strand + 1), along), for the body (x, y)
    tangents: np.ndarray
    # (n, 3): along the strands; zeros for the body
    follow: np.ndarray
    # (n,): 1 moves with the head, 0 stays
    triangles: np.ndarray
    # (f, 3)


# The strand that frames the face on the right of the picture, from the parting to its tip, and the
# one at the back of the head; y from the eye line.
_FRONT = np.array(
    [
        [0.0, 0.76, 0.09], [0.17, 0.755, 0.07], [0.38, 0.66, 0.0], [0.57, 0.46, -0.12],
        [0.7, 0.16, -0.26], [0.745, -0.2, -0.33], [0.74, -0.55, -0.31], [0.69, -0.88, -0.25],
        [0.6, -1.16, -0.22], [0.5, -1.36, -0.24],
    ]
)  # fmt: skip
_BACK = np.array(
    [
        [0.0, 1.02, -1.3], [0.0, 0.9, -1.5], [0.0, 0.7, -1.66], [0.0, 0.42, -1.77],
        [0.0, 0.12, -1.8], [0.0, -0.22, -1.78], [0.0, -0.58, -1.7], [0.0, -0.92, -1.6],
        [0.0, -1.2, -1.5], [0.0, -1.36, -1.45],
    ]
)  # fmt: skip
_AXIS_Z = -0.72


def hair_surface(strands: int = 48, steps: int = 48) -> Surface:
    """Hair to the shoulders with a parting, both sides of the head."""
    rng = np.random.default_rng(5)
    p = np.linspace(0.0, 1.0, strands) ** 1.3
    # parting: over the head from the forehead to the crown
    turn = np.radians(31.0 + 100.0 * p)
    root = np.stack([0 * p, 0.2 + 1.0 * np.sin(turn), -0.75 + 1.03 * np.cos(turn)], axis=1)
    front_angle = np.arctan2(_FRONT[:, 0], _FRONT[:, 2] - _AXIS_Z)
    front_radius = np.hypot(_FRONT[:, 0], _FRONT[:, 2] - _AXIS_Z)
    back_radius = -(_BACK[:, 2] - _AXIS_Z)
    side = np.sin(np.pi * p)
    rows = [root]
    lift = [0.0, 0.25, 0.19, 0.07, 0.02, 0, 0, 0, 0, 0]
    squeeze = [0.0, 0.27, 0.15, 0.1, 0.07, 0.05, 0.04, 0.05, 0.09, 0.14]
    for k in range(1, len(_FRONT)):
        angle = front_angle[k] + (np.pi - front_angle[k]) * p
        radius = front_radius[k] + (back_radius[k] - front_radius[k]) * p - squeeze[k] * side
        y = _FRONT[k, 1] + (_BACK[k, 1] - _FRONT[k, 1]) * p + lift[k] * side
        rows.append(np.stack([radius * np.sin(angle), y, _AXIS_Z + radius * np.cos(angle)], axis=1))
    rows.insert(1, 0.5 * (rows[0] + rows[1]) + np.outer(0.01 + 0.035 * side, [0.0, 1.0, 0.0]))
    control = np.stack(rows)  # (k, strands, 3)
    paths = np.stack(
        [geometry.resample_chain(control[:, i], steps) for i in range(strands)], axis=1
    )
    t = np.linspace(0.0, 1.0, steps)[:, None]
    # locks: neighbouring strands fall together, more so towards the tips
    phase = np.cumsum(rng.uniform(0.6, 1.4, strands)) / strands * 44
    lock = 0.5 * np.sin(phase) + 0.5 * np.sin(2.3 * phase + 1.0)
    out = paths - np.array([0.0, 0.0, _AXIS_Z])
    out[..., 1] = 0.0
    out /= np.linalg.norm(out, axis=-1, keepdims=True) + 1e-9
    depth = (0.012 + 0.022 * smoothstep(0.3, 1.0, t)) * lock + 0.015 * np.sin(7 * t + phase / 4)
    paths = paths + (depth * smoothstep(0.05, 0.25, t))[..., None] * out
    paths[..., 1] += smoothstep(0.6, 1.0, t) * 0.045 * np.sin(phase * 1.7 + 2.0)
    vertices, coordinates, tangents, triangles = [], [], [], []
    tangent = np.gradient(paths, axis=0)
    tangent /= np.linalg.norm(tangent, axis=-1, keepdims=True)
    count = steps * strands
    for sign in (1.0, -1.0):
        mirror = np.array([sign, 1.0, 1.0])
        vertices.append((paths * mirror).reshape(-1, 3))
        tangents.append((tangent * mirror).reshape(-1, 3))
        grid = np.broadcast_to(sign * (p[None, :] + 1.0), t.shape[:1] + p.shape)
        coordinates.append(np.stack([grid, np.broadcast_to(t, grid.shape)], -1).reshape(-1, 2))
        triangles.append(grid_triangles(steps, strands, flip=sign < 0) + len(triangles) * count)
    vertices = np.concatenate(vertices)
    return Surface(
        vertices=vertices - CENTRE,
        coordinates=np.concatenate(coordinates),
        tangents=np.concatenate(tangents),
        follow=smoothstep(-2.0, -0.9, vertices[:, 1]),
        triangles=np.concatenate(triangles),
    )


# Heights of rings around neck and shoulders: y, half width, half depth, z of the middle, roundness.
_RINGS = np.array(
    [
        [-0.7, 0.5, 0.44, -0.72, 2.0], [-0.95, 0.475, 0.43, -0.7, 2.0],
        [-1.2, 0.46, 0.43, -0.69, 2.0],
        [-1.42, 0.475, 0.44, -0.7, 2.0], [-1.56, 0.56, 0.46, -0.71, 2.0],
        [-1.66, 0.75, 0.47, -0.72, 2.1],
        [-1.74, 1.05, 0.49, -0.73, 2.2], [-1.83, 1.4, 0.52, -0.73, 2.3],
        [-1.95, 1.68, 0.56, -0.72, 2.4],
        [-2.12, 1.84, 0.62, -0.7, 2.5], [-2.5, 1.95, 0.72, -0.68, 2.6],
        [-3.2, 1.9, 0.78, -0.66, 2.6],
    ]
)  # fmt: skip


def body_surface(rows: int = 40, columns: int = 65) -> Surface:
    """Neck, shoulders and chest."""
    ring = geometry.resample_chain(_RINGS, rows)
    angle = np.linspace(-np.pi, np.pi, columns)
    y, wide, deep, middle, power = (ring[:, i : i + 1] for i in range(5))
    c, s = np.cos(angle)[None], np.sin(angle)[None]
    x = wide * np.sign(s) * np.abs(s) ** (2 / power)
    z = middle + deep * np.sign(c) * np.abs(c) ** (2 / power)
    # the chest lies lower in front than the shoulders' line; collarbones, windpipe and neck muscles
    front = smoothstep(0.0, 0.8, c)
    y = y - 0.22 * front * smoothstep(-1.5, -1.8, y) * np.exp(-((x / 0.9) ** 2))
    z = z + 0.02 * front * np.exp(-((x / 0.09) ** 2)) * smoothstep(-1.62, -1.45, y)
    strand = np.abs(x) - (0.42 + (y + 1.75) * 0.62)
    z = z + 0.03 * front * np.exp(-((strand / 0.09) ** 2)) * (1 - smoothstep(-1.35, -1.1, y))
    bone = y + 1.8 + 0.13 * np.exp(-((x / 0.25) ** 2)) - 0.06 * np.abs(x)
    z = z + 0.035 * front * np.exp(-((bone / 0.05) ** 2)) * smoothstep(0.08, 0.25, np.abs(x))
    y, z = np.broadcast_to(y, x.shape), np.broadcast_to(z, x.shape)
    vertices = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    return Surface(
        vertices=vertices - CENTRE,
        coordinates=vertices[:, :2].copy(),
        tangents=np.zeros_like(vertices),
        follow=smoothstep(-1.7, -0.95, vertices[:, 1]),
        triangles=grid_triangles(rows, columns),
    )
