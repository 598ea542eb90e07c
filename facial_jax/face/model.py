"""The 3D morphable face model: a pytree of its data, and pure functions of its coefficients."""

import flax.struct
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

# Squared lengths below this are degenerate triangles: their normal is zero, not NaN.
_MIN_SQUARED_LENGTH = 1e-30


@flax.struct.dataclass
class FaceModel:
    """A linear model of face shape and texture (FACIAL, Sec. 3.1; Eq. 12).

    Units are decimetres; x to the image's right, y up, z towards the viewer.
    """

    mean_shape: Float[Array, "n 3"]
    # the mean face in decimetres, centred on the head
    mean_texture: Float[Array, "n 3"]
    # albedo of the mean face, RGB in [0, 1]
    identity_basis: Float[Array, "n 3 80"]
    # decimetres per standard deviation
    expression_basis: Float[Array, "n 3 64"]
    # decimetres per unit of expression
    texture_basis: Float[Array, "n 3 80"]
    # albedo per standard deviation
    triangles: Int[Array, "f 3"]
    # vertex indices; the outward normal is (v1 − v2) × (v2 − v3)
    landmarks: Int[Array, "68"]
    # vertex indices of the 68 iBUG landmarks, in iBUG's order
    eye_mask: Bool[Array, "n"]
    # the eye region of Eq. 9
    vertex_triangles: Int[Array, "n k"]
    # the triangles at each vertex, padded with f (see `vertex_triangle_adjacency`)


def face_shape(
    model: FaceModel, identity: Float[Array, "80"], expression: Float[Array, "*t 64"]
) -> Float[Array, "*t n 3"]:
    """Vertices S̄ + B_id·identity + B_exp·expression of every frame, decimetres (FACIAL, Eq. 12)."""
    neutral = model.mean_shape + model.identity_basis @ identity
    # The basis first: contracted the other way round, XLA would transpose it at every call.
    offset = jnp.tensordot(model.expression_basis, expression, axes=(-1, -1))
    offset = jnp.moveaxis(offset, (0, 1), (-2, -1))
    return neutral.reshape((1,) * (expression.ndim - 1) + neutral.shape) + offset


def face_texture(model: FaceModel, texture: Float[Array, "80"]) -> Float[Array, "n 3"]:
    """Per-vertex albedo T̄ + B_t·texture (FACIAL, Eq. 12), RGB around [0, 1], not clipped."""
    return model.mean_texture + model.texture_basis @ texture


def face_landmarks(model: FaceModel, vertices: Float[Array, "*b n c"]) -> Float[Array, "*b 68 c"]:
    """The 68 landmarks of any per-vertex quantity: model space, camera space or pixels."""
    return vertices[..., model.landmarks, :]


def triangle_normals(
    vertices: Float[Array, "*b n 3"], triangles: Int[Array, "f 3"]
) -> Float[Array, "*b f 3"]:
    """Unit normals (v1 − v2) × (v2 − v3); zero for a degenerate triangle."""
    v1, v2, v3 = (_take_rows(vertices, triangles[:, k]) for k in range(3))
    (ax, ay, az), (bx, by, bz) = (jnp.moveaxis(edge, -1, 0) for edge in (v1 - v2, v2 - v3))
    return _unit_vectors(ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx)


def vertex_normals(
    vertices: Float[Array, "*b n 3"],
    triangles: Int[Array, "f 3"],
    vertex_triangles: Int[Array, "n k"],
) -> Float[Array, "*b n 3"]:
    """Normalised sum of the unit normals of each vertex's triangles.

    Gathers through the adjacency rather than scattering from triangles: faster on a CPU, and with
    no order of summation to depend on. A vertex without triangles gets zero.
    """
    # One more triangle, a degenerate one, so that row f is the zero that padding points at.
    triangles = jnp.concatenate([triangles, jnp.zeros((1, 3), triangles.dtype)])

    def sum_around(normals):
        return sum(_take_rows(normals, vertex_triangles[:, i]) for i in range(k))

    def normalize(vectors):
        return _unit_vectors(*jnp.moveaxis(vectors, -1, 0))

    k = vertex_triangles.shape[1]
    if vertices.ndim == 2:
        return normalize(sum_around(triangle_normals(vertices, triangles)))
    # One mesh at a time stays in a CPU's cache. The steps are loops of their own because within
    # one loop XLA merges them, and then computes a triangle's normal again for each of its uses.
    meshes = vertices.reshape(-1, *vertices.shape[-2:])
    normals = lax.map(lambda v: triangle_normals(v, triangles), meshes)
    normals = lax.map(normalize, lax.map(sum_around, normals))
    return normals.reshape(vertices.shape)


def vertex_triangle_adjacency(triangles: np.ndarray, vertex_count: int) -> np.ndarray:
    """The triangles at each vertex: (vertex_count, k) int32, padded with the triangle count.

    Args:
        triangles: (f, 3) integer vertex indices in [0, vertex_count).
        vertex_count: how many vertices the mesh has.

    Raises:
        ValueError: if an index is out of range.
    """
    triangles = np.asarray(triangles)
    if triangles.ndim != 2 or triangles.shape[1] != 3:
        raise ValueError(f"triangles: expected shape (f, 3), got {triangles.shape}")
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


def _take_rows(array: Float[Array, "*b n c"], rows: Int[Array, "*i"]) -> Float[Array, "..."]:
    """array[..., rows, :] for rows known to be in bounds, which spares their clamping."""
    return array.at[..., rows, :].get(mode="promise_in_bounds")


def _unit_vectors(
    x: Float[Array, "*b"], y: Float[Array, "*b"], z: Float[Array, "*b"]
) -> Float[Array, "*b 3"]:
    """Unit vectors; zero where the length is (almost) zero, with a zero gradient there."""
    squared = x * x + y * y + z * z
    # The inner where keeps the root's gradient finite at zero.
    tiny = squared < _MIN_SQUARED_LENGTH
    scale = jnp.where(tiny, 0.0, lax.rsqrt(jnp.where(tiny, 1.0, squared)))
    return jnp.stack([x * scale, y * scale, z * scale], axis=-1)
