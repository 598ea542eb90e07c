"""Fitting an identity to every frame: as reconstructions of single frames give it, but smoother.

Each frame's pose, expression and identity are fitted together, the identity around the clip's, with
a narrow prior: 68 points say little of 80 components. What is left of noise is smoothed in time by
the caller. What varies is what an expression and a turn of one shape do not explain: soft tissue
that goes with the pose, and whatever is systematically wrong about the points of a turned head.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from facial_jax.compilation import jit
from facial_jax.precision import full_precision
from facial_jax.tracking.fitting import (
    LandmarkModel,
    frame_prior,
    huber_weights,
    in_batches,
    limited_step,
    linearised_residuals,
)

FRAME_IDENTITY_DEVIATION = 0.5
"""How far a frame's coefficients are from the clip's, in standard deviations between people."""
_STEPS = 4


def fit_frame_identities(
    landmarks: LandmarkModel,
    identity: Float[np.ndarray, "80"],
    start: Float[np.ndarray, "t 70"],
    points: Float[np.ndarray, "t 68 2"],
    weights: Float[np.ndarray, "t 68"],
    angles: Float[np.ndarray, "t 2"],
) -> tuple[Float[np.ndarray, "t 80"], Float[np.ndarray, "t 70"]]:
    """Identity, and pose with expression, of every frame.

    Args:
        landmarks: from `landmark_model`.
        identity: the clip's, standard deviations.
        start: pose and expression as `fit_frames` fitted them with this identity.
        points: detected landmarks in image widths.
        weights: from `landmark_weights`; frames of zeros keep to their priors.
        angles: pitch and yaw from `head_angles`; NaN where they are not known.
    """
    rows = (start, np.nan_to_num(points).astype(np.float32), weights, angles)
    fitted = in_batches(lambda *batch: _fit_batch(landmarks, identity, *batch), *rows)
    count = start.shape[1]
    return identity + fitted[:, count:], fitted[:, :count]


@jit
@full_precision
def _fit_batch(landmarks, identity, parameters, points, weights, angles):
    """Gauss-Newton for each frame, (b, 70 + 80): its parameters, and by how much its identity
    differs from the clip's."""
    mean = landmarks.mean + landmarks.identity_basis @ identity
    size = identity.shape[0]

    def fit(start, points, weights, angles):
        expected, precision = frame_prior(landmarks, angles)
        expected = jnp.concatenate([expected, jnp.zeros(size, start.dtype)])
        narrow = jnp.full(size, FRAME_IDENTITY_DEVIATION**-2, start.dtype)
        precision = jnp.concatenate([precision, narrow])

        def step(x, _):
            frame, own = x[: len(start)], x[len(start) :]
            shape = mean + landmarks.identity_basis @ own
            r, of_frame, of_identity = linearised_residuals(
                landmarks, shape, frame, points, weights
            )
            jacobian = jnp.concatenate([of_frame, of_identity], axis=1)
            robust = huber_weights(r)[:, None] * jacobian
            hessian = robust.T @ jacobian + jnp.diag(precision * 1.001 + 1e-3)
            gradient = robust.T @ r + precision * (x - expected)
            return x - limited_step(jnp.linalg.solve(hessian, gradient)), None

        whole = jnp.concatenate([start, jnp.zeros(size, start.dtype)])
        return jax.lax.scan(step, whole, None, length=_STEPS)[0]

    return jax.vmap(fit)(parameters, points, weights, angles)
