"""PoseGAN: speech features and an initial pose to head poses (CVM, Sec. 4.1).

The paper gives no widths. The generator's are those of FACIAL's temporal generator, by the same
first author, its U-Net as wide as Speech2Gesture's; the discriminator's are Speech2Gesture's. Every
width is a field. Layout: (batch, time, feature); poses are standardised.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from facial_jax.attributes import POSE_SIZE
from facial_jax.models.layers.temporal import (
    TEMPORAL_COLUMNS,
    TemporalEncoder,
    TemporalUNet,
    batch_norm,
    resize_time,
    with_positions,
)

MOTION_GAIN = 10.0
"""Poses of deviation 1 change by about a tenth from frame to frame; the discriminator sees both in
the same size."""
SMALL_GENERATOR = dict(
    encoder_features=(8, 24, 48, 48),
    unet_features=(48, 48, 64, 64, 64),
    fusion_features=(64, 64),
)
"""Fields of a generator for two CPU cores."""
SMALL_DISCRIMINATOR = dict(features=(32, 48, 64), speech_features=16)
"""Fields of the discriminator that it is trained against."""


class PoseGenerator(nn.Module):
    """A CNN over speech, then a 1-D U-Net; the initial pose joins before and after the U-Net."""

    encoder_features: Sequence[int] = (32, 128, 256, 256)
    unet_features: Sequence[int] = (256, 256, 256, 256, 256)
    # the down-path's widths, the outermost first
    fusion_features: Sequence[int] = (256, 256)
    # of the convolutions that join the U-Net's output and the initial pose
    with_initial_pose: bool = True
    # False: an ablation
    axis_name: str | None = None
    # the mapped axis over which batch norm shares its statistics, if any

    @nn.compact
    def __call__(
        self,
        rows: Float[Array, "b t n"],
        initial_pose: Float[Array, "b 6"],
        *,
        train: bool = False,
    ) -> Float[Array, "b t 6"]:
        """The poses of all `t` frames after the initial one.

        `rows`: speech features, one row per frame. With `train`, batch norm uses and updates batch
        statistics (collection `batch_stats`). Raises ValueError if `t` is not divisible by 2 to
        the U-Net's depth.
        """
        t = rows.shape[1]

        def join(x):
            if not self.with_initial_pose:
                return x
            initial = jnp.broadcast_to(initial_pose[:, None], (*x.shape[:2], POSE_SIZE))
            return jnp.concatenate([x, initial], axis=-1)

        columns = nn.Dense(TEMPORAL_COLUMNS, name="columns")(rows)
        encoder = TemporalEncoder(self.encoder_features, self.axis_name, name="encoder")
        x = join(resize_time(encoder(columns, train=train), t))
        x = join(TemporalUNet(self.unet_features, self.axis_name, name="unet")(x, train=train))
        for i, features in enumerate(self.fusion_features):
            x = nn.Conv(features, (3,), name=f"fusion_{i}")(x)
            x = batch_norm(train, self.axis_name, f"fusion_norm_{i}")(x)
            x = nn.leaky_relu(x, 0.01)
        return nn.Conv(POSE_SIZE, (3,), name="output")(x)

    def begin(
        self, key: PRNGKeyArray, rows: Float[Array, "b t n"], initial_pose: Float[Array, "b 6"]
    ) -> dict[str, Any]:
        """Its variables at step 0, with which it can tell where in the window a frame is."""
        first, second = jax.random.split(key)
        variables = jax.jit(self.init)(first, rows, initial_pose)
        return {**variables, "params": with_positions(second, variables["params"])}


class PoseDiscriminator(nn.Module):
    """Judges poses and their changes beside the speech that they belong to, patch by patch."""

    features: Sequence[int] = (64, 128, 256)
    # all but the last layer halve the time
    speech_features: int = 64
    # what is kept of a row of speech features

    @nn.compact
    def __call__(
        self,
        poses: Float[Array, "b t 6"],
        rows: Float[Array, "b t n"],
        initial_pose: Float[Array, "b 6"],
    ) -> Float[Array, "b p"]:
        """Logits, one per patch; high means real."""
        motion = jnp.diff(poses, axis=1, prepend=initial_pose[:, None])
        speech = nn.Dense(self.speech_features, name="speech")(rows)
        x = jnp.concatenate([poses, MOTION_GAIN * motion, speech], axis=-1)
        last = len(self.features) - 1
        for i, features in enumerate(self.features):
            x = nn.Conv(features, (4,), 1 if i == last else 2, name=f"conv_{i}")(x)
            x = nn.leaky_relu(x, 0.2)
        return nn.Conv(1, (4,), name="output")(x)[..., 0]


def speech_feature_count(variables: Mapping[str, Any]) -> int:
    """How many speech features a row has for a `PoseGenerator` with these variables.

    Raises KeyError if the layer is missing.
    """
    return variables["params"]["columns"]["kernel"].shape[0]
