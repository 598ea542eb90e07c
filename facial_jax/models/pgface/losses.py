"""PGFace's objective: vertex losses, computed without a vertex (personalized pose dynamics, Eq. 7).

The vertices are linear in the coefficients: v = v̄ + B·c, with B of shape (3n, 144). A weighed sum
of squared distances of vertices is then a quadratic form of the coefficients' differences d,

    Σᵢ wᵢ‖vᵢ − v̂ᵢ‖² = dᵀ(BᵀWB)d = ‖R·d‖²,    RᵀR = BᵀWB,

exact, and 144 × 144 instead of tens of thousands of vertices. Losses are in mm²: the sums are
divided by the weights' sum, so that a face moved by 1 mm has a loss of 1.
"""

from dataclasses import dataclass

import flax.struct
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from facial_jax.face.lower_face import lower_face
from facial_jax.face.model import FaceModel
from facial_jax.models.pgface.network import FACE_SIZE
from facial_jax.precision import full_precision

MM_PER_DM = 100.0


@dataclass(frozen=True)
class PgFaceWeights:
    """The weights of Eqs. 7 and 8."""

    lower_face: float = 10.0
    """Weight of a vertex of the lower face; the others have 1 (Eq. 7)."""
    position: float = 1.0
    """μ₁, weight of the vertices' positions (Eq. 8)."""
    motion: float = 10.0
    """μ₂, weight of their motion from one frame to the next (Eq. 8)."""


@flax.struct.dataclass
class PgFaceLosses:
    """The terms of Eq. 8 before their weights, and their weighted sum."""

    position: Float[Array | np.ndarray, ""]
    motion: Float[Array | np.ndarray, ""]
    total: Float[Array | np.ndarray, ""]


def vertex_weights(model: FaceModel, lower_face_weight: float) -> Float[np.ndarray, "n"]:
    """1 for every vertex, and this weight for those of the lower face."""
    mask = np.asarray(lower_face(model.mean_shape, model.landmarks))
    return np.where(mask, lower_face_weight, 1.0)


def vertex_loss_factor(
    identity_basis: Float[Array | np.ndarray, "n 3 i"],
    expression_basis: Float[Array | np.ndarray, "n 3 e"],
    weights: Float[np.ndarray, "n"],
) -> Float[np.ndarray, "c c"]:
    """R, float64: ‖R·d‖² is the weighed mean of squared vertex distances, mm²; c = i + e.

    The symmetric root of the weighed Gram matrix, which exists whatever the bases' rank.

    Args:
        identity_basis: decimetres per unit of identity.
        expression_basis: decimetres per unit of expression.
        weights: of the vertices.
    """
    basis = np.concatenate([identity_basis, expression_basis], axis=-1).astype(np.float64)
    weighed = basis * np.sqrt(weights / weights.sum())[:, None, None] * MM_PER_DM
    flat = weighed.reshape(-1, basis.shape[-1])
    values, vectors = np.linalg.eigh(flat.T @ flat)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def face_loss_factor(model: FaceModel, lower_face_weight: float) -> Float[np.ndarray, "144 144"]:
    """`vertex_loss_factor` of a face model, its lower face weighed by Eq. 7."""
    factor = vertex_loss_factor(
        np.asarray(model.identity_basis),
        np.asarray(model.expression_basis),
        vertex_weights(model, lower_face_weight),
    )
    assert factor.shape == (FACE_SIZE, FACE_SIZE)
    return factor


@full_precision
def vertex_loss(difference: Float[Array, "*b c"], factor: Float[Array, "c c"]) -> Float[Array, ""]:
    """The weighed mean of squared vertex distances, mm², over all frames (Eq. 7).

    Args:
        difference: of two faces' coefficients.
        factor: R, from `vertex_loss_factor`.
    """
    return jnp.sum((difference @ factor) ** 2, axis=-1).mean()  # R is symmetric


def pgface_loss(
    real: Float[Array, "b t c"],
    fake: Float[Array, "b t c"],
    factor: Float[Array, "c c"],
    weights: PgFaceWeights,
) -> PgFaceLosses:
    """μ₁ L_position + μ₂ L_motion of runs of `t` ≥ 2 neighbouring frames (Eqs. 7 and 8).

    The motion of a frame is its difference from the frame before it.
    """
    difference = real - fake
    position = vertex_loss(difference, factor)
    motion = vertex_loss(jnp.diff(difference, axis=1), factor)
    total = weights.position * position + weights.motion * motion
    return PgFaceLosses(position=position, motion=motion, total=total)
