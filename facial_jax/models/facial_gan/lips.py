"""A loss on what everybody sees of a mouth: whether the lips meet.

A squared error on expression coefficients takes a closure that is not quite sure for a shallow dip,
half of it where it is half sure, and lips that nearly meet are seen as lips that do not. The gap
between the lips is linear in the coefficients. Here an error of it counts more where the lips are
closed, which moves the point from which a closure is made to what is a quarter or an eighth sure.
(The paper has no such term.)
"""

import flax.struct
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from facial_jax.attributes import AttributeStatistics, unpack_attributes
from facial_jax.face.model import FaceModel

WIDE_DM = 0.125
"""A wide opening of the built-in face model's mouth in speech."""
CLOSED_GAP = 0.15
"""In wide openings; lips nearer to each other are closed."""
CLOSED_WEIGHT = 8.0
"""How much more an error counts where the lips are closed."""
_UPPER_INNER, _LOWER_INNER = 62, 66  # the lips' inner edges, in iBUG's order


@flax.struct.dataclass
class LipGap:
    """The gap between the lips' inner edges, in wide openings, less that of the face at rest."""

    of_expression: Float[Array | np.ndarray, "64"]
    # of each standardised coefficient
    of_mean: Float[Array | np.ndarray, ""]
    # where all of these are 0

    def __call__(
        self, expression: Float[Array | np.ndarray, "*b 64"]
    ) -> Float[Array | np.ndarray, "*b"]:
        """The gap of standardised coefficients."""
        return expression @ self.of_expression + self.of_mean


def lip_gap(face_model: FaceModel, statistics: AttributeStatistics) -> LipGap:
    """The gap of this face model's lips where attributes are standardised by these statistics."""
    basis = np.asarray(face_model.expression_basis)[np.asarray(face_model.landmarks)]
    per_unit = (basis[_UPPER_INNER, 1] - basis[_LOWER_INNER, 1]) / WIDE_DM
    mean, std = (
        np.asarray(unpack_attributes(np.asarray(x)).expression)
        for x in (statistics.mean, statistics.std)
    )
    return LipGap(
        of_expression=(per_unit * std).astype(np.float32),
        of_mean=np.asarray(per_unit @ mean, np.float32),
    )


def lips_loss(
    real: Float[Array | np.ndarray, "b T 64"],
    fake: Float[Array | np.ndarray, "b T 64"],
    gap: LipGap,
) -> Float[Array, ""]:
    """Σₜ ωₜ (gₜ − ĝₜ)² of the gap g of standardised expressions.

    ωₜ is 8 where the true lips are closed, otherwise 1.
    """
    g = gap(real)
    weight = jnp.where(g < CLOSED_GAP, CLOSED_WEIGHT, 1.0)
    return (weight * (g - gap(fake)) ** 2).sum(axis=1).mean()
