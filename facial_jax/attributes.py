"""Attributes of a talking face: what changes with every frame, and what belongs to the person."""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

POSE_SIZE = 6
EXPRESSION_SIZE = 64
IDENTITY_SIZE = 80
GAZE_SIZE = 2
ATTRIBUTE_SIZE = POSE_SIZE + 1 + EXPRESSION_SIZE
Array = jax.Array | np.ndarray
MAX_BLINK = 5.0  # OpenFace gives AU45 as an intensity from 0 to 5


@flax.struct.dataclass
class Attributes:
    """The face in motion: one row per video frame (FACIAL, Sec. 3.1)."""

    expression: Float[Array, "*t 64"]
    # coefficients of the face model's expression basis
    pose: Float[Array, "*t 6"]
    # pitch, yaw, roll in radians; x, y, z translation in model units (decimetres)
    blink: Float[Array, "*t"]
    # intensity of AU45 (blink): 0 = open, 5 = closed
    identity: Float[Array, "*t 80"] | None = None
    # shape coefficients of each frame, as PGFace makes them, in place of the person's; None: the
    # person's in all frames
    gaze: Float[Array, "*t 2"] | None = None
    # where the eyes look, relative to the head: pitch and yaw in radians, turning as the head's do;
    # None: as the person usually looks

    def __len__(self) -> int:
        return self.blink.shape[0]

    def __getitem__(self, index) -> "Attributes":
        return jax.tree.map(lambda x: x[index], self)


@flax.struct.dataclass
class Identity:
    """The person and the light: constant over a clip."""

    identity: Float[Array, "80"]
    # shape coefficients, in standard deviations
    texture: Float[Array, "80"]
    # texture coefficients, in standard deviations
    illumination: Float[Array, "3 9"]
    # spherical-harmonics light: 9 coefficients for each of red, green, blue (Eq. 12)


@flax.struct.dataclass
class AttributeStatistics:
    """Mean and standard deviation of a video's packed attributes."""

    mean: Float[Array, "71"]
    std: Float[Array, "71"]


def pack_attributes(attributes: Attributes) -> Float[Array, "*t 71"]:
    """One 71-vector per frame, in the published order: pose (6), blink (1), expression (64).

    An identity per frame and the gaze have no place in it, and are left out.
    """
    blink = attributes.blink[..., None]
    return jnp.concatenate([attributes.pose, blink, attributes.expression], axis=-1)


def unpack_attributes(packed: Float[Array, "*t 71"]) -> Attributes:
    """The inverse of `pack_attributes`, without an identity and a gaze."""
    return Attributes(
        pose=packed[..., :POSE_SIZE],
        blink=packed[..., POSE_SIZE],
        expression=packed[..., POSE_SIZE + 1 :],
    )


def attribute_statistics(packed: Float[Array, "t 71"]) -> AttributeStatistics:
    """Statistics over time; deviations are at least 1e-4, so that one can divide by them."""
    return AttributeStatistics(mean=packed.mean(axis=0), std=jnp.maximum(packed.std(axis=0), 1e-4))


def standardize(
    packed: Float[Array, "*t 71"], statistics: AttributeStatistics
) -> Float[Array, "*t 71"]:
    """Zero mean and unit variance per channel, as FACIAL-GAN is trained."""
    shape = (1,) * (packed.ndim - 1) + (-1,)
    return (packed - statistics.mean.reshape(shape)) / statistics.std.reshape(shape)


def unstandardize(
    packed: Float[Array, "*t 71"], statistics: AttributeStatistics
) -> Float[Array, "*t 71"]:
    """The inverse of `standardize`, for every channel, the blink included."""
    shape = (1,) * (packed.ndim - 1) + (-1,)
    return packed * statistics.std.reshape(shape) + statistics.mean.reshape(shape)
