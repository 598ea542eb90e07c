"""What a training step of FACIAL-GAN sees of a batch of windows."""

from collections.abc import Mapping

import flax.struct
import numpy as np
from jaxtyping import Array, Bool, Float


@flax.struct.dataclass
class FacialBatch:
    """Windows of T frames, all attributes standardised: c = 71, or 6 if only poses are learnt."""

    rows: Float[Array | np.ndarray, "*b n f"]
    """Speech features: 8 rows before the window's first frame to 7 rows after its last,
    n = T + 15."""
    initial_state: Float[Array | np.ndarray, "*b c"]
    """What the generator is told: the attributes of the frame before the window."""
    attributes: Float[Array | np.ndarray, "*b T c"]
    """The truth."""
    valid: Bool[Array | np.ndarray, "*b T"]
    """False after the end of the window's clip: no loss sees these frames."""


def facial_batch(windows: Mapping[str, np.ndarray]) -> FacialBatch:
    """The batch of windows as `facial_jax.data.windows` cuts them."""
    return FacialBatch(
        rows=windows["rows"],
        initial_state=windows["initial_state"],
        attributes=windows["attributes"],
        valid=windows["valid"],
    )
