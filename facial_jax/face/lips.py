"""Lips: where their inner edges are, and that they meet and do not pass through one another."""

import functools

import numpy as np
from jaxtyping import Array, Float, Int

from facial_jax.face.model import FaceModel
from facial_jax.face.topology import mesh_edges

INNER_LIPS = slice(60, 68)
UPPER_INNER, LOWER_INNER = 62, 66
"""The lips' inner edges among the landmarks, in iBUG's order, and the middles of both."""
_AROUND = (61, 62, 63, 65, 66, 67)
"""Landmarks on these edges, but for the corners, which stand at one side of the mouth's."""
EDGE_POINTS = 17
_REACH_DM = 1.0
"""No two landmarks that follow one another on a mouth are farther apart."""
PRESSED_DM = 0.02
"""Pressed lips give way by so much, in decimetres: less is not seen."""


def gap_of_expression(model: FaceModel) -> Float[np.ndarray, "64"]:
    """How much each coefficient parts the lips' inner edges, in decimetres."""
    landmarks = np.asarray(model.landmarks)[[UPPER_INNER, LOWER_INNER]]
    upper, lower = np.asarray(model.expression_basis)[landmarks, 1]
    return upper - lower


def keep_lips_apart(
    model: FaceModel,
    expression: Float[Array | np.ndarray, "t 64"],
    std: Float[Array | np.ndarray, "64"],
) -> Float[np.ndarray, "t 64"]:
    """The expressions, those opened in which the lips overlap by more than `PRESSED_DM`.

    A sound that closes the lips in one face closes them too far in another, whose mouth moves more
    widely. How far the lips' inner edges are from each other, less than at rest, is linear in the
    coefficients: of all changes that open them as far as needed, this is the least one, measured in
    standard deviations.

    Args:
        model: of the coefficients.
        expression: a row for each frame.
        std: the person's standard deviation of each coefficient.
    """
    expression = np.asarray(expression)
    of_gap, variance = gap_of_expression(model), np.square(np.asarray(std))
    opening = variance * of_gap / max(float(of_gap @ (variance * of_gap)), 1e-12)
    missing = np.maximum(-PRESSED_DM - expression @ of_gap, 0)
    return expression + missing[:, None] * opening


def inner_lip_edges(model: FaceModel) -> Int[np.ndarray, "2 17"]:
    """Vertices along the inner edge of the upper lip and of the lower one.

    Both go from the mouth's left corner in the picture to the right one, which they share. The
    edges are the shortest ways along the mesh from landmark to landmark; a corner is where the way
    from lip to lip turns.

    Raises:
        ValueError: the landmarks of one lip are not connected with the other's.
    """
    arrays = (np.asarray(model.mean_shape, np.float32), np.asarray(model.triangles, np.int32))
    landmarks = np.asarray(model.landmarks, np.int32)
    return _inner_lip_edges(*(array.tobytes() for array in (*arrays, landmarks)))


@functools.lru_cache(maxsize=4)
def _inner_lip_edges(shape: bytes, triangles: bytes, landmarks: bytes) -> Int[np.ndarray, "2 17"]:
    """`inner_lip_edges` of the bytes of float32 and int32 arrays, found once for a face model."""
    from scipy.sparse import coo_matrix  # takes long to import
    from scipy.sparse.csgraph import dijkstra

    points = np.frombuffer(shape, np.float32).reshape(-1, 3)
    around = np.frombuffer(landmarks, np.int32)[list(_AROUND)]
    a, b = mesh_edges(np.frombuffer(triangles, np.int32).reshape(-1, 3)).T
    length = np.linalg.norm(points[a] - points[b], axis=1)
    graph = coo_matrix((length, (a, b)), shape=(len(points), len(points))).tocsr()
    _, before = dijkstra(
        graph, directed=False, indices=around, return_predecessors=True, limit=_REACH_DM
    )
    loop = []
    for start, end in zip(range(len(around)), np.roll(around, -1), strict=True):
        way = [end]
        while way[-1] != around[start]:
            way.append(before[start, way[-1]])
            if way[-1] < 0:
                raise ValueError("face model: no way along the mesh leads around the inner lips")
        loop += way[:0:-1]
    loop = np.array(loop)
    loop = np.roll(loop, -points[loop, 0].argmin())
    right = int(points[loop, 0].argmax())
    upper, lower = loop[: right + 1], np.append(loop[0], loop[: right - 1 : -1])
    return np.stack(
        [e[np.linspace(0, len(e) - 1, EDGE_POINTS).round().astype(int)] for e in (upper, lower)]
    )
