"""What a training step of PoseGAN sees of a batch of windows."""

import flax.struct
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from facial_jax.audio.features import ROWS_BEFORE
from facial_jax.models.facial_gan.batch import FacialBatch


@flax.struct.dataclass
class PoseBatch:
    """Windows of T frames, all poses standardised."""

    rows: Float[Array | np.ndarray, "*b T n"]
    """Speech features, one row per frame."""
    initial_pose: Float[Array | np.ndarray, "*b 6"]
    """Of the frame before the window."""
    poses: Float[Array | np.ndarray, "*b T 6"]
    """The truth."""
    valid: Bool[Array | np.ndarray, "*b T"]
    """False after the end of the window's clip: no loss sees these frames."""


def pose_batch(windows: FacialBatch) -> PoseBatch:
    """The windows as `facial_jax.data` cuts them, without the speech around them."""
    t = windows.attributes.shape[-2]
    return PoseBatch(
        rows=windows.rows[..., ROWS_BEFORE : ROWS_BEFORE + t, :],
        initial_pose=windows.initial_state,
        poses=windows.attributes,
        valid=windows.valid,
    )


def generate_valid(fake: Float[Array, "b T 6"], batch: PoseBatch) -> Float[Array, "b T 6"]:
    """The generated poses, and the truth after the clip's end."""
    return jnp.where(jnp.asarray(batch.valid)[..., None], fake, jnp.asarray(batch.poses))
