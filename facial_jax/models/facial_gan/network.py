"""FACIAL-GAN: speech features to facial attributes (FACIAL, Sec. 3.2).

Every width is a field; the defaults are the published sizes.  The number of speech features, the
window length and the number of frames come from the input.  Layout: (batch, time, feature).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from facial_jax.audio.phone_rows import CLOSED_LIPS, PEAK_COLUMNS
from facial_jax.backend import on_cpu
from facial_jax.models.layers.convolution import plain_conv2d
from facial_jax.models.layers.temporal import (
    TEMPORAL_COLUMNS,
    TemporalEncoder,
    TemporalUNet,
    batch_norm,
    resize_time,
)

SMALL_GENERATOR = dict(
    temporal_features=(16, 48, 96, 96),
    unet_features=(96, 96, 160, 160, 160),
    fusion_features=(128, 128),
    latent_size=32,
    local_features=(32, 32, 64, 64),
)
"""Fields of the bundled generator: the same network at about a sixth of the parameters."""

SMALL_DISCRIMINATOR = dict(features=(8, 16, 32, 64))
"""Fields of the discriminator that the small generator is trained against."""

_SPREAD = 60.0


class TemporalGenerator(nn.Module):
    """G^tem: the speech of all frames and the initial state to a latent z_t per frame (Eq. 1).

    The encoder is made for rows of 29 features, DeepSpeech's. Of rows of another width, a learned
    projection makes such rows.
    """

    temporal_features: Sequence[int] = (32, 128, 256, 256)
    unet_features: Sequence[int] = (256, 256, 512, 512, 512)
    fusion_features: Sequence[int] = (256, 256)
    latent_size: int = 32
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self,
        rows: Float[Array, "b t f"],
        initial_state: Float[Array, "b a"],
        *,
        train: bool,
    ) -> Float[Array, "b t z"]:
        """z_t for every frame; `rows` are the windows' centres."""
        if rows.shape[-1] != TEMPORAL_COLUMNS:
            rows = nn.Dense(TEMPORAL_COLUMNS, name="columns")(rows)
        encoder = TemporalEncoder(self.temporal_features, self.axis_name, name="encoder")
        x = resize_time(encoder(rows, train=train), rows.shape[1])
        x = TemporalUNet(self.unet_features, self.axis_name, name="unet")(x, train=train)
        state = jnp.broadcast_to(initial_state[:, None, :], (*x.shape[:2], initial_state.shape[-1]))
        x = jnp.concatenate([x, state], axis=-1)
        for i, features in enumerate(self.fusion_features):
            x = nn.Conv(features, (3,), name=f"fusion_{i}")(x)
            x = batch_norm(train, self.axis_name, f"fusion_norm_{i}")(x)
            x = nn.leaky_relu(x, 0.01)
        return nn.Conv(self.latent_size, (3,), name="latent")(x)


class LocalGenerator(nn.Module):
    """G^loc: one window of speech to its phonetic latent c_t (Eq. 2).

    In training, batch norm takes its statistics over batch and time together.
    """

    features: Sequence[int] = (32, 32, 64, 64)
    latent_size: int = 32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, windows: Float[Array, "n w f"], *, train: bool) -> Float[Array, "n c"]:
        """c_t for every window."""
        x = windows
        for i, features in enumerate(self.features):
            x = nn.Conv(features, (3,), (2,), ((1, 1),), name=f"conv_{i}")(x)
            x = batch_norm(train, self.axis_name, f"norm_{i}")(nn.relu(x))
        x = x.reshape(x.shape[0], -1)
        x = jnp.tanh(nn.Dense(self.latent_size, name="dense")(x))
        return batch_norm(train, self.axis_name, "dense_norm")(x)


class FacialGenerator(nn.Module):
    """The generator of FACIAL-GAN: f_t = FC(c_t, z_t) (Eq. 3)."""

    attribute_size: int = 71
    # width of an attribute row, standardised
    temporal_features: Sequence[int] = (32, 128, 256, 256)
    unet_features: Sequence[int] = (256, 256, 512, 512, 512)
    fusion_features: Sequence[int] = (256, 256)
    latent_size: int = 32
    # width of z_t and of c_t
    local_features: Sequence[int] = (32, 32, 64, 64)
    with_temporal: bool = True
    # False leaves out G^tem, and with it the initial state: an ablation (Sec. 5)
    with_local: bool = True
    # False leaves out G^loc: the other one
    probabilities: Sequence[int] = ()
    # (first, after): columns of speech features that are probabilities, seen on a logarithmic scale
    closure_odds: float = 1.0
    # how many times likelier than they are heard phones with closed lips are taken to be; for rows
    # of `audio.phone_rows`
    axis_name: str | None = None
    # the mapped axis over which batch norm shares its statistics, if any

    @nn.compact
    def __call__(
        self,
        audio: Float[Array, "b t w f"],
        initial_state: Float[Array, "b a"],
        *,
        train: bool = False,
    ) -> Float[Array, "b t a"]:
        """Attributes of all `t` frames.

        `audio`: for every frame its window of `w` rows of speech features, the frame itself at
        row w // 2.  `initial_state`: the standardised attributes of the frame before.  With
        `train`, batch norm uses and updates batch statistics (collection `batch_stats`).
        Raises ValueError if `t` is not divisible by 2 to the U-Net's depth, if
        `initial_state` is not `attribute_size` wide, or if neither branch is wanted.
        """
        if initial_state.shape[-1] != self.attribute_size:
            raise ValueError(
                f"initial_state: expected {self.attribute_size} attributes, "
                f"got {initial_state.shape[-1]}."
            )
        if not (self.with_temporal or self.with_local):
            raise ValueError("with_temporal, with_local: expected at least one of them to be True.")
        if self.closure_odds != 1.0:
            audio = with_likelier_closures(audio, self.closure_odds)
        if self.probabilities:
            audio = on_logarithmic_scale(audio, *self.probabilities)
        b, t, w, f = audio.shape
        latents = []
        if self.with_local:
            local = LocalGenerator(
                self.local_features, self.latent_size, self.axis_name, name="local"
            )
            c = local(audio.reshape(b * t, w, f), train=train)
            latents.append(c.reshape(b, t, -1))
        if self.with_temporal:
            temporal = TemporalGenerator(
                self.temporal_features,
                self.unet_features,
                self.fusion_features,
                self.latent_size,
                self.axis_name,
                name="temporal",
            )
            latents.append(temporal(audio[:, :, w // 2], initial_state, train=train))
        return nn.Dense(self.attribute_size, name="output")(jnp.concatenate(latents, axis=-1))


def on_logarithmic_scale(
    rows: Float[Array, "*b f"], first: int, after: int
) -> Float[Array, "*b f"]:
    """Rows whose columns `first` … `after` − 1 are log(1 + 60 p) / log 61 in place of p.

    What a recogniser gives a probability of a few hundredths is often said all the same, and a
    network of few layers does not see it beside what is near 1.
    """
    p = jnp.maximum(rows[..., first:after], 0.0)
    seen = jnp.log1p(_SPREAD * p) / math.log1p(_SPREAD)
    return jnp.concatenate([rows[..., :first], seen, rows[..., after:]], axis=-1)


def with_likelier_closures(rows: Float[Array, "*b f"], odds: float) -> Float[Array, "*b f"]:
    """Rows of `phone_rows` in which the odds of closed lips are `odds` times those.

    Everybody sees lips that stay open at a p, b or m, and hardly anybody lips that close at another
    consonant: they are to close where it is less than even that they should.
    """
    spans, peaks, rest = jnp.split(rows, PEAK_COLUMNS, axis=-1)
    parts = []
    for p, least in ((spans, 0.0), (peaks, 1.0)):
        # Of what is left to 1 no phone is heard in a peak; a span is of some phone.
        total = jnp.maximum(p.sum(axis=-1, keepdims=True), least)
        closed = p[..., CLOSED_LIPS : CLOSED_LIPS + 1]
        likelier = p.at[..., CLOSED_LIPS].multiply(odds)
        parts.append(likelier * total / jnp.maximum(total + (odds - 1.0) * closed, 1e-9))
    return jnp.concatenate([*parts, rest], axis=-1)


def speech_feature_count(variables: Mapping[str, Any]) -> int:
    """How many speech features a row has for a `FacialGenerator` with these variables.

    Raises KeyError if a layer is missing.
    """
    params = variables["params"]
    if "local" in params:
        return params["local"]["conv_0"]["kernel"].shape[1]
    temporal = params["temporal"]
    return temporal["columns"]["kernel"].shape[0] if "columns" in temporal else TEMPORAL_COLUMNS


class FirstConv(nn.Module):
    """The discriminator's first convolution, 3×3 with stride 2.

    The same numbers and parameters as `nn.Conv(features, (3, 3), 2, ((1, 1), (1, 1)))`.
    """

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b H W d"]:
        """Half the height and width, rounded up."""
        shape = (3, 3, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,))
        if on_cpu():
            return first_conv_by_patches(x, kernel, bias)
        return plain_conv2d(x, kernel, 2, ((1, 1), (1, 1))) + bias[None, None, None]


def first_conv_by_patches(
    x: Float[Array, "b h w c"], kernel: Float[Array, "3 3 c d"], bias: Float[Array, "d"]
) -> Float[Array, "b H W d"]:
    """One product of patches: from one channel, faster gradients on CPUs."""
    h, w, c = x.shape[1:]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    patches = [padded[:, i : i + h : 2, j : j + w : 2] for i in range(3) for j in range(3)]
    ones = jnp.ones((*patches[0].shape[:3], 1), x.dtype)
    weights = jnp.concatenate([kernel.reshape(9 * c, -1), bias[None]])
    return jnp.concatenate([*patches, ones], axis=-1) @ weights


class FacialDiscriminator(nn.Module):
    """D^f: judges attributes and their change from frame to frame, patch by patch (Eq. 7)."""

    features: Sequence[int] = (64, 128, 256, 512)
    axis_name: str | None = None
    # the mapped axis over which batch norm shares its statistics, if any

    def __call__(
        self, attributes: Float[Array, "b t a"], *, train: bool = False
    ) -> Float[Array, "b h w"]:
        """Logits (unbounded scores), one per patch; high means real."""
        return self.judge(attributes_and_motion(attributes), train=train)

    @nn.compact
    def judge(self, rows: Float[Array, "b n a"], *, train: bool = False) -> Float[Array, "b h w"]:
        """The scores of rows that are already attributes and their changes."""
        x = rows[..., None]
        last = len(self.features) - 1
        for i, features in enumerate(self.features):
            if i == 0:
                x = FirstConv(features, name="conv_0")(x)
            else:
                stride = 1 if i == last else 2
                x = nn.Conv(
                    features, (3, 3), stride, ((1, 1), (1, 1)), use_bias=False, name=f"conv_{i}"
                )(x)
                x = batch_norm(train, self.axis_name, f"norm_{i}")(x)
            x = nn.leaky_relu(x, 0.2)
        return nn.Conv(1, (3, 3), padding=((1, 1), (1, 1)), name="output")(x)[..., 0]


def attributes_and_motion(attributes: Float[Array, "b t a"]) -> Float[Array, "b n a"]:
    """The t rows of attributes, followed by their t − 1 changes from frame to frame."""
    return jnp.concatenate([attributes, jnp.diff(attributes, axis=1)], axis=1)


def count_parameters(params) -> int:
    """The number of trainable numbers in a parameter tree."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
