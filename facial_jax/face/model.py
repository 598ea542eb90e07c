"""The 3D morphable face model: a pytree of its data, and pure functions of its coefficients."""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from facial_jax.attributes import Identity
from facial_jax.face.color_mesh import color_mesh
from facial_jax.face.eye_region import eye_region
from facial_jax.face.topology import opposite_vertices, vertex_triangle_adjacency
from facial_jax.precision import full_precision
from facial_jax.rendering.mapping import map_frames, take_rows

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
    opposite_vertices: Int[Array, "f 3"]
    # across each triangle's edges, the neighbour's third vertex (see `topology.opposite_vertices`)


def face_model_from_arrays(
    *,
    mean_shape: np.ndarray,
    mean_texture: np.ndarray,
    identity_basis: np.ndarray,
    expression_basis: np.ndarray,
    texture_basis: np.ndarray,
    triangles: np.ndarray,
    landmarks: np.ndarray,
    eye_mask: np.ndarray | None = None,
) -> FaceModel:
    """A face model from its arrays, of any float or integer type, with the mesh's tables added.

    Args:
        mean_shape: (n, 3), decimetres; x to the image's right, y up, z towards the viewer.
        mean_texture: (n, 3), RGB in [0, 1].
        identity_basis: (n, 3, 80), decimetres per standard deviation.
        expression_basis: (n, 3, 64), decimetres per unit.
        texture_basis: (n, 3, 80), RGB per standard deviation.
        triangles: (f, 3) vertex indices, starting at 0; outward normals (v1 − v2) × (v2 − v3).
        landmarks: (68,) vertex indices, iBUG's order.
        eye_mask: (n,) bool; by default the eye region of Eq. 9 (`eye_region`) on the mean face.

    Raises:
        ValueError: if a shape is another, an index is out of range or a number is not finite.
    """
    n = np.shape(mean_shape)[0] if np.ndim(mean_shape) else 0
    floats = {
        name: _checked(name, array, (n, *shape), np.float32)
        for name, array, shape in (
            ("mean_shape", mean_shape, (3,)),
            ("mean_texture", mean_texture, (3,)),
            ("identity_basis", identity_basis, (3, 80)),
            ("expression_basis", expression_basis, (3, 64)),
            ("texture_basis", texture_basis, (3, 80)),
        )
    }
    for name, array in floats.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: expected finite numbers, got NaN or infinity among them")
    adjacency = vertex_triangle_adjacency(triangles, n)
    landmarks = _checked("landmarks", landmarks, (68,), np.int32)
    if landmarks.min() < 0 or landmarks.max() >= n:
        raise ValueError(
            f"landmarks: expected vertex indices in [0, {n}), got "
            f"[{landmarks.min()}, {landmarks.max()}]; indices start at 0 here, at 1 in MATLAB files"
        )
    arrays = {name: jnp.asarray(array) for name, array in floats.items()}
    landmarks = jnp.asarray(landmarks)
    if eye_mask is None:
        mask = jax.jit(eye_region)(arrays["mean_shape"], landmarks)
    else:
        mask = jnp.asarray(_checked("eye_mask", eye_mask, (n,), np.bool_))
    return FaceModel(
        **arrays,
        triangles=jnp.asarray(np.asarray(triangles, np.int32)),
        landmarks=landmarks,
        eye_mask=mask,
        vertex_triangles=jnp.asarray(adjacency),
        opposite_vertices=jnp.asarray(opposite_vertices(triangles)),
    )


def _checked(name: str, array: np.ndarray, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """The array in the given type if it has the given shape and the same kind of numbers."""
    array = np.asarray(array)
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")
    if not np.can_cast(array.dtype, dtype, casting="same_kind"):
        raise ValueError(f"{name}: expected {np.dtype(dtype)} or the like, got {array.dtype}")
    return array.astype(dtype)


@full_precision
def face_shape(
    model: FaceModel,
    identity: Float[Array, "*none_or_t 80"],
    expression: Float[Array, "*t 64"],
) -> Float[Array, "*t n 3"]:
    """Vertices S̄ + B_id·identity + B_exp·expression of every frame, decimetres (FACIAL, Eq. 12).

    The identity is one for all frames, or one for each.
    """
    offset = _displacement(model.expression_basis, expression)

    def over_frames(vertices: Array) -> Array:
        return vertices.reshape((1,) * (offset.ndim - vertices.ndim) + vertices.shape)

    own = _displacement(model.identity_basis, identity)
    return over_frames(model.mean_shape) + over_frames(own) + offset


def _displacement(
    basis: Float[Array, "n 3 k"], coefficients: Float[Array, "*t k"]
) -> Float[Array, "*t n 3"]:
    """basis · coefficients of every frame."""
    # The basis first: contracted the other way round, XLA would transpose it at every call.
    offset = jnp.tensordot(basis, coefficients, axes=(-1, -1))
    return jnp.moveaxis(offset, (0, 1), (-2, -1))


@full_precision
def face_texture(model: FaceModel, texture: Float[Array, "80"]) -> Float[Array, "n 3"]:
    """Per-vertex albedo T̄ + B_t·texture (FACIAL, Eq. 12), RGB around [0, 1], not clipped."""
    return model.mean_texture + model.texture_basis @ texture


def person_face_model(
    model: FaceModel, identity: Identity, texture: Float[Array | np.ndarray, "m 3"] | None
) -> tuple[FaceModel, Identity]:
    """The model with a person's own albedo in place of the statistical texture, if there is one.

    Args:
        model: the face model.
        identity: the person's.
        texture: albedo per vertex, RGB around [0, 1], such as from `tracking.texture`, which may
            go on with that of the points between (`face.color_mesh`); None leaves both as they are.

    Returns:
        A model whose mean texture is that of the vertices, and the identity without coefficients
        of texture.

    Raises:
        ValueError: the texture is another face model's.
    """
    if texture is None:
        return model, identity
    count = len(model.mean_texture)
    if texture.shape != model.mean_texture.shape:
        points = count + len(color_mesh(model.triangles, count).edges)
        if texture.shape != (points, 3):
            raise ValueError(
                f"texture: expected one colour for each of {count} vertices or {points} points, "
                f"got shape {texture.shape}; it belongs to another face model"
            )
    return (
        model.replace(mean_texture=jnp.asarray(texture[:count], jnp.float32)),
        identity.replace(texture=jnp.zeros_like(jnp.asarray(identity.texture))),
    )


def face_landmarks(model: FaceModel, vertices: Float[Array, "*b n c"]) -> Float[Array, "*b 68 c"]:
    """The 68 landmarks of any per-vertex quantity: model space, camera space or pixels."""
    return vertices[..., model.landmarks, :]


def triangle_normals(
    vertices: Float[Array, "*b n 3"], triangles: Int[Array, "f 3"]
) -> Float[Array, "*b f 3"]:
    """Unit normals (v1 − v2) × (v2 − v3); zero for a degenerate triangle."""
    v1, v2, v3 = (take_rows(vertices, triangles[:, k]) for k in range(3))
    (ax, ay, az), (bx, by, bz) = (jnp.moveaxis(edge, -1, 0) for edge in (v1 - v2, v2 - v3))
    return _unit_vectors(ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx)


def vertex_normals(
    vertices: Float[Array, "*b n 3"],
    triangles: Int[Array, "f 3"],
    vertex_triangles: Int[Array, "n k"],
) -> Float[Array, "*b n 3"]:
    """Normalised sum of the unit normals of each vertex's triangles.

    Gathers through the adjacency rather than scattering from triangles: faster on a CPU, and with
    no order of summation to depend on. A vertex without triangles gets zero. Differentiable in
    reverse mode.
    """
    # One more triangle, a degenerate one, so that row f is the zero that padding points at.
    triangles = jnp.concatenate([triangles, jnp.zeros((1, 3), triangles.dtype)])

    def sum_around(normals):
        return _sum_around(normals, triangles, vertex_triangles)

    def normalize(vectors):
        return _unit_vectors(*jnp.moveaxis(vectors, -1, 0))

    if vertices.ndim == 2:
        return normalize(sum_around(triangle_normals(vertices, triangles)))
    # One mesh at a time stays in a CPU's cache. The steps are loops of their own because within
    # one loop XLA merges them, and then computes a triangle's normal again for each of its uses.
    meshes = vertices.reshape(-1, *vertices.shape[-2:])
    normals = map_frames(lambda v: triangle_normals(v, triangles), meshes)
    normals = map_frames(normalize, map_frames(sum_around, normals))
    return normals.reshape(vertices.shape)


@jax.custom_vjp
def _sum_around(normals: Array, triangles: Array, vertex_triangles: Array) -> Array:
    """The sum over each vertex's triangles (n, 3) of a quantity of triangles (f + 1, 3)."""
    columns = range(vertex_triangles.shape[1])
    return sum(take_rows(normals, vertex_triangles[:, i]) for i in columns)


def _sum_around_forward(normals, triangles, vertex_triangles):
    return _sum_around(normals, triangles, vertex_triangles), triangles


def _sum_around_backward(triangles, cotangent):
    # A triangle is in the sums of its three corners: again a gather, where JAX would scatter.
    return sum(take_rows(cotangent, triangles[:, k]) for k in range(3)), None, None


_sum_around.defvjp(_sum_around_forward, _sum_around_backward)


def _unit_vectors(
    x: Float[Array, "*b"], y: Float[Array, "*b"], z: Float[Array, "*b"]
) -> Float[Array, "*b 3"]:
    """Unit vectors; zero where the length is (almost) zero, with a zero gradient there."""
    squared = x * x + y * y + z * z
    # The inner where keeps the root's gradient finite at zero.
    tiny = squared < _MIN_SQUARED_LENGTH
    scale = jnp.where(tiny, 0.0, lax.rsqrt(jnp.where(tiny, 1.0, squared)))
    return jnp.stack([x * scale, y * scale, z * scale], axis=-1)
