"""Tables of a mesh's connectivity, made once per mesh: who is whose neighbour."""

import numpy as np


def vertex_triangle_adjacency(triangles: np.ndarray, vertex_count: int) -> np.ndarray:
    """The triangles at each vertex: (vertex_count, k) int32, padded with the triangle count.

    Args:
        triangles: (f, 3) integer vertex indices in [0, vertex_count).
        vertex_count: how many vertices the mesh has.

    Raises:
        ValueError: if `triangles` are not (f, 3) integers, or an index is out of range.
    """
    triangles = _triangle_indices(triangles)
    if triangles.size and not (triangles.min() >= 0 and triangles.max() < vertex_count):
        raise ValueError(
            f"triangles: expected vertex indices in [0, {vertex_count}), got "
            f"[{triangles.min()}, {triangles.max()}]; indices start at 0 here, at 1 in MATLAB files"
        )
    corners = triangles.reshape(-1)
    order = np.argsort(corners, kind="stable")
    counts = np.bincount(corners, minlength=vertex_count)
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    rank = np.arange(corners.size) - np.repeat(first, counts)
    adjacency = np.full(
        (vertex_count, max(int(counts.max(initial=0)), 1)), len(triangles), np.int32
    )
    adjacency[corners[order], rank] = order // 3
    return adjacency


def mesh_edges(triangles: np.ndarray) -> np.ndarray:
    """The edges of (f, 3) triangles, each once: (e, 2) vertex indices, the smaller one first."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    return np.unique(np.sort(edges, axis=1), axis=0)


def opposite_vertices(triangles: np.ndarray) -> np.ndarray:
    """For each triangle's edges, the third vertex of the triangle on the edge's other side.

    Args:
        triangles: (f, 3) integer vertex indices.

    Returns:
        (f, 3) int32. Column k belongs to the edge that corner k is not on; if that edge has no
        other triangle, or more than one, it holds corner k itself, which makes it a silhouette.

    Raises:
        ValueError: if `triangles` are not (f, 3) integers.
    """
    triangles = _triangle_indices(triangles)
    opposite = triangles.astype(np.int32)
    if not triangles.size:
        return opposite
    edges = np.stack([triangles[:, [1, 2]], triangles[:, [2, 0]], triangles[:, [0, 1]]], axis=1)
    edges = np.sort(edges.reshape(-1, 2), axis=1)
    _, edge_of, count = np.unique(edges, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(edge_of.reshape(-1), kind="stable")
    first = (np.cumsum(count) - count)[count == 2]
    a, b = order[first], order[first + 1]
    flat = opposite.reshape(-1)
    corners = triangles.reshape(-1)
    flat[a], flat[b] = corners[b], corners[a]
    return opposite


def _triangle_indices(triangles: np.ndarray) -> np.ndarray:
    triangles = np.asarray(triangles)
    if triangles.ndim != 2 or triangles.shape[1] != 3:
        raise ValueError(f"triangles: expected shape (f, 3), got {triangles.shape}")
    if not np.issubdtype(triangles.dtype, np.integer):
        raise ValueError(f"triangles: expected integer vertex indices, got {triangles.dtype}")
    return triangles
