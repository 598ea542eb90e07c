"""The rim of a face model: where its mesh ends."""

import numpy as np
from jaxtyping import Float

from facial_jax.face.procedural.geometry import smoothstep
from facial_jax.face.topology import opposite_vertices

FADE_DM = 0.25
"""Width of the band at the rim in which the face becomes opaque, decimetres. Where a chin is not
quite where the model has it, a narrower one is a line."""
FADE_OF_VERTICES_DM = 0.12
"""That of people with colours of vertices alone, of before 0.8: their networks have seen no other.
"""
OUTLINE_DM = 0.3, 0.6
"""So far from the rim, a face seen edge-on begins to be opaque, and is."""


def rim_opacity(
    shape: Float[np.ndarray, "n 3"], triangles: np.ndarray, *, fade: float = FADE_DM
) -> Float[np.ndarray, "n 2"]:
    """0 at the outer rim of the mesh, rising smoothly to 1 at `fade` decimetres from it.

    That is a vertex' opacity where it looks towards the camera. The second one is for where it is
    seen edge-on: cheeks and temples, which are a face's outline then, fade out; nose, lips and eyes
    do not.

    The holes of the eyes and the mouth are no rim: of the loops of edges that have a triangle on
    one side only, the rim is the one that reaches farthest.

    Args:
        shape: the mean face, decimetres.
        triangles: (f, 3) vertex indices.
        fade: decimetres, in a straight line.
    """
    rim = _largest_loop(shape, triangles)
    if not len(rim):
        return np.ones((len(shape), 2), np.float32)
    away = np.empty(len(shape), np.float32)
    for start in range(0, len(shape), 1024):
        apart = shape[start : start + 1024, None] - shape[None, rim]
        away[start : start + 1024] = np.sqrt((apart**2).sum(-1)).min(axis=1)
    facing, middle = smoothstep(0.0, fade, away), smoothstep(*OUTLINE_DM, away)
    return np.stack([facing, facing * middle], axis=-1).astype(np.float32)


def _largest_loop(shape: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """The vertices of the chain of border edges that reaches farthest."""
    triangles = np.asarray(triangles)
    border = opposite_vertices(triangles) == triangles
    # Column k of the table belongs to the edge between the other two corners.
    edges = np.concatenate(
        [triangles[border[:, k]][:, [(k + 1) % 3, (k + 2) % 3]] for k in range(3)]
    )
    neighbours: dict[int, list[int]] = {}
    for a, b in edges.tolist():
        neighbours.setdefault(a, []).append(b)
        neighbours.setdefault(b, []).append(a)
    largest, size, unseen = np.zeros(0, np.int64), 0.0, set(neighbours)
    while unseen:
        chain, pending = [], [unseen.pop()]
        while pending:
            vertex = pending.pop()
            chain.append(vertex)
            for other in neighbours[vertex]:
                if other in unseen:
                    unseen.remove(other)
                    pending.append(other)
        points = shape[chain]
        extent = float(np.linalg.norm(points.max(axis=0) - points.min(axis=0)))
        if extent > size:
            largest, size = np.array(sorted(chain)), extent
    return largest
