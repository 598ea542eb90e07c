"""A made-up face of the Basel Face Model's size, to measure speed on without its licensed data."""

from pathlib import Path

import numpy as np

from facial_jax.face.model import FaceModel, face_model_from_arrays

VERTICES, TRIANGLES = 35_709, 70_789
GRID_SIDE = 189  # 35,721 vertices and 70,688 triangles
HEIGHT_DM = 1.9  # from forehead to chin


def grid_triangles(side: int) -> tuple[np.ndarray, np.ndarray]:
    """A square grid with alternating diagonals: (side², 2) points in [−1, 1]², (f, 3) triangles."""
    column, row = np.meshgrid(np.linspace(-1, 1, side), np.linspace(1, -1, side))
    index = np.arange(side * side).reshape(side, side)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    falling = [np.stack([a, c, d], -1), np.stack([a, d, b], -1)]
    rising = [np.stack([a, c, b], -1), np.stack([b, c, d], -1)]
    odd = (np.indices(a.shape).sum(axis=0) % 2 == 1)[..., None]
    halves = [np.where(odd, r, f) for r, f in zip(rising, falling, strict=True)]
    return np.stack([column.ravel(), row.ravel()], -1), np.stack(halves, 2).reshape(-1, 3)


def conformal_embedding(triangles: np.ndarray) -> np.ndarray:
    """Places a mesh's vertices in the plane so that its triangles are nearly equilateral.

    Spectral conformal parameterization (Mullen et al. 2008) of the surface whose edges all have
    length 1: the smallest eigenvector that is not constant of Dirichlet energy minus area.

    Args:
        triangles: (f, 3) vertex indices of one connected piece with a boundary.

    Returns:
        (n, 2), centred, anticlockwise triangles anticlockwise, turned by an arbitrary angle.
    """
    import scipy.sparse as sparse
    from scipy.sparse.linalg import splu

    n = triangles.max() + 1
    i, j = triangles[:, [0, 1, 2]].ravel(), triangles[:, [1, 2, 0]].ravel()
    directed = sparse.coo_matrix((np.ones(len(i)), (i, j)), (n, n)).tocsr()
    weights = (directed + directed.T) / (2 * np.sqrt(3))  # cot 60° / 2 from each side
    dirichlet = sparse.diags(np.asarray(weights.sum(axis=1)).ravel()) - weights
    area = 0.5 * (directed - directed.T)  # only boundary edges have no opposite
    factors = splu((dirichlet + 1j * area + 1e-9 * sparse.eye(n)).tocsc())
    z = np.exp(1j * np.random.default_rng(0).uniform(0, 2 * np.pi, n))
    for _ in range(30):  # inverse iteration, without the constant
        z = factors.solve(z - z.mean())
        z /= np.linalg.norm(z)
    z -= z.mean()
    return np.stack([z.real, z.imag], axis=-1)


def published_mesh(topology: Path) -> tuple[np.ndarray, np.ndarray]:
    """Points in [−1, 1]² and triangles of the index file `facemodel_info.mat`, upright."""
    from scipy.io import loadmat

    info = loadmat(topology)
    triangles = info["tri"].astype(np.int64) - 1
    keypoints = info["keypoints"].ravel().astype(np.int64) - 1
    points = conformal_embedding(triangles)
    up = points[keypoints[27]] - points[keypoints[8]]  # from the chin to the nose's bridge
    up /= np.linalg.norm(up)
    points = np.stack([points @ [up[1], -up[0]], points @ up], axis=-1)
    low, high = points.min(axis=0), points.max(axis=0)
    return 2 * (points - low) / (high - low) - 1, triangles


def bfm_size_face_model(topology: Path | None = None, *, seed: int = 0) -> FaceModel:
    """A mask-like face of 35,709 vertices and 70,789 triangles, with smooth made-up bases.

    Args:
        topology: `facemodel_info.mat`, for the published triangles in their order (needs SciPy);
            else a grid of nearly as many.
        seed: of the bases.
    """
    points, triangles = published_mesh(topology) if topology else grid_triangles(GRID_SIDE)
    rng = np.random.default_rng(seed)
    x, y = points.T
    # Squares to discs, then onto half an ellipsoid with a nose.
    x, y = x * np.sqrt(1 - y**2 / 2), y * np.sqrt(1 - x**2 / 2)
    shape = np.stack([0.8 * x, y, 0.8 * np.sqrt(np.maximum(1.03 - x**2 - y**2, 0))], axis=-1)
    shape[:, 2] += 0.25 * np.exp(-(x**2) / 0.01 - (y + 0.05) ** 2 / 0.04)
    shape *= HEIGHT_DM / 2
    first, second, third = (shape[triangles[:, k]] for k in range(3))
    if np.cross(first - second, second - third)[:, 2].mean() < 0:
        triangles = triangles[:, [0, 2, 1]]

    def smooth_basis(count: int, size: float) -> np.ndarray:
        frequency = rng.normal(size=(2, 3, count)) * 3
        phase = rng.uniform(0, 2 * np.pi, (3, count))
        return size * np.cos(np.tensordot(np.stack([x, y], -1), frequency, 1) + phase)

    landmarks = np.linspace(0, len(shape) - 1, 68).astype(np.int64)
    return face_model_from_arrays(
        mean_shape=shape,
        mean_texture=0.5 + smooth_basis(1, 0.2)[..., 0],
        identity_basis=smooth_basis(80, 0.005),
        expression_basis=smooth_basis(64, 0.01),
        texture_basis=smooth_basis(80, 0.01),
        triangles=triangles,
        landmarks=landmarks,
        eye_mask=np.hypot(np.abs(x) - 0.35, y - 0.3) < 0.15,
    )
