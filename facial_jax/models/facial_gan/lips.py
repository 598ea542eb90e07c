"""A loss on what everybody sees of a mouth: lips that meet, that narrow, that go to the teeth.

A squared error on expression coefficients takes a closure that is not quite sure for a shallow dip,
half of it where it is half sure, and lips that nearly meet are seen as lips that do not. How the
lips stand is linear in the coefficients. Here an error of it counts more where a gesture is, which
moves the point from which one is made to what is a tenth sure. (The paper has no such term.)
"""

import flax.struct
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from facial_jax.attributes import AttributeStatistics, unpack_attributes
from facial_jax.face.lips import LOWER_INNER, UPPER_INNER, gap_of_expression
from facial_jax.face.model import FaceModel
from facial_jax.metrics.lips import CLOSED_GAP, CORNERS, UPPER_TEETH_EDGE

WIDE_DM = 0.125
"""A wide opening of the built-in face model's mouth in speech."""
AT_TEETH = 0.3
"""In wide openings; a lower lip nearer to the upper teeth's edge is at them."""
NARROW = -0.4
"""In wide openings; corners nearer to each other by this than on average make a narrow mouth."""
GESTURE_WEIGHT = 32.0
"""How much more an error counts where lips are closed, narrow, or the lower one is at the teeth."""


@flax.struct.dataclass
class LipPlaces:
    """How the lips stand, in wide openings.

    The gap between their inner edges and the distance of the mouth's corners, less those of the
    face at rest; the height and the depth of the lower lip's inner edge over the edge of the upper
    incisors.
    """

    of_expression: Float[Array | np.ndarray, "64 4"]
    # of each standardised coefficient
    of_mean: Float[Array | np.ndarray, "4"]
    # where all of these are 0

    def __call__(
        self, expression: Float[Array | np.ndarray, "*b 64"]
    ) -> Float[Array | np.ndarray, "*b 4"]:
        """Of standardised coefficients."""
        moved = expression @ self.of_expression
        return moved + self.of_mean.reshape((1,) * (moved.ndim - 1) + (4,))


def lip_places(face_model: FaceModel, statistics: AttributeStatistics) -> LipPlaces:
    """How this face model's lips stand where attributes are standardised by these statistics."""
    landmarks = np.asarray(face_model.landmarks)
    basis = np.asarray(face_model.expression_basis)[landmarks]
    neutral = np.asarray(face_model.mean_shape)[landmarks]
    lower = basis[LOWER_INNER]
    left, right = (basis[corner] for corner in CORNERS)
    per_unit = [gap_of_expression(face_model), right[0] - left[0], lower[1], lower[2]]
    per_unit = np.stack(per_unit, axis=-1) / WIDE_DM
    teeth = neutral[UPPER_INNER] + np.array(UPPER_TEETH_EDGE)
    at_rest = np.append([0.0, 0.0], (neutral[LOWER_INNER] - teeth)[1:] / WIDE_DM)
    mean, std = (
        np.asarray(unpack_attributes(np.asarray(x)).expression)
        for x in (statistics.mean, statistics.std)
    )
    return LipPlaces(
        of_expression=(per_unit * std[:, None]).astype(np.float32),
        of_mean=(at_rest + mean @ per_unit).astype(np.float32),
    )


def lips_loss(
    real: Float[Array | np.ndarray, "b T 64"],
    fake: Float[Array | np.ndarray, "b T 64"],
    places: LipPlaces,
) -> Float[Array, ""]:
    """Σₜ ω(closed) (gₜ − ĝₜ)² + ω(narrow) (wₜ − ŵₜ)² + υ(at the teeth) ‖lₜ − l̂ₜ‖².

    Of the gap g, the width w and the lower lip's place l. ω is 32 where the true lips do this, and
    otherwise 1; υ is 32 and 0.
    """
    true = places(real)
    error = (true - places(fake)) ** 2
    closed = true[..., 0] < CLOSED_GAP
    narrow = true[..., 1] < places.of_mean[1] + NARROW
    at_teeth = jnp.hypot(true[..., 2], true[..., 3]) < AT_TEETH
    gap = jnp.where(closed, GESTURE_WEIGHT, 1.0) * error[..., 0]
    width = jnp.where(narrow, GESTURE_WEIGHT, 1.0) * error[..., 1]
    lower_lip = jnp.where(at_teeth, GESTURE_WEIGHT * error[..., 2:].sum(axis=-1), 0.0)
    return (gap + width + lower_lip).sum(axis=1).mean()
