"""PGFace's network: a window of speech features and a head pose to the face shape of one frame.

The paper gives no widths. The defaults are those of VOCA's encoder, the paper's closest kin, whose
condition, there the speaker, is joined to every row of speech and again to what the convolutions
make of them. (Joined at the input alone, a pose that moves the face by tenths of a millimetre was
not learnt beside lips that move it by three.) Every width is a field.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from facial_jax.attributes import EXPRESSION_SIZE, POSE_SIZE
from facial_jax.data.clips import IDENTITY_SIZE

FACE_SIZE = IDENTITY_SIZE + EXPRESSION_SIZE
"""Coefficients of a face shape: identity, then expression."""


class PgFaceGenerator(nn.Module):
    """Convolutions over the window's time, each halving it, then two dense layers."""

    features: Sequence[int] = (32, 32, 64, 64)
    # channels of the convolutions, kernel 3 and stride 2
    hidden_features: Sequence[int] = (128, 50)
    # widths of the dense layers between them and the output
    face_size: int = FACE_SIZE
    # standardised coefficients that are generated

    @nn.compact
    def __call__(
        self, windows: Float[Array, "*b w f"], pose: Float[Array, "*b 6"]
    ) -> Float[Array, "*b c"]:
        """Standardised coefficients of the window's frame, of standardised features and pose."""
        poses = jnp.broadcast_to(pose[..., None, :], (*windows.shape[:-1], POSE_SIZE))
        x = jnp.concatenate([windows, poses], axis=-1)
        for i, features in enumerate(self.features):
            x = nn.relu(nn.Conv(features, (3,), (2,), ((1, 1),), name=f"conv_{i}")(x))
        x = jnp.concatenate([x.reshape(*x.shape[:-2], -1), pose], axis=-1)
        for i, features in enumerate(self.hidden_features):
            x = nn.Dense(features, name=f"dense_{i}")(x)
            # As in VOCA: the last hidden layer is linear, a basis of the faces.
            x = x if i == len(self.hidden_features) - 1 else jnp.tanh(x)
        return nn.Dense(self.face_size, name="output")(x)


def speech_feature_count(variables: Mapping[str, Any]) -> int:
    """How many speech features a row has for a `PgFaceGenerator` with these variables.

    Raises KeyError if the layer is missing.
    """
    return variables["params"]["conv_0"]["kernel"].shape[1] - POSE_SIZE
