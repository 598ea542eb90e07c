"""SyncNet's network in Linen, layer by layer as the published `syncnet_v2.model` has it.

Five frames of a face and 0.2 seconds of speech each become a vector; the vectors are near if the
two belong together (Chung and Zisserman, "Out of time: automated lip sync in the wild", 2016).
"""

from functools import partial

import flax.linen as nn
from jaxtyping import Array, Float

FRAMES = 5
SIZE_PX = 224
MFCC_STEPS, COEFFICIENTS = 20, 13

# Of each layer: width, kernel, stride, padding; then its pool's window, stride and padding.
_SPEECH_LAYERS = (
    (64, (3, 3), 1, 1, None),
    (192, (3, 3), 1, 1, ((3, 3), (1, 2), 0)),
    (384, (3, 3), 1, 1, None),
    (256, (3, 3), 1, 1, None),
    (256, (3, 3), 1, 1, ((3, 3), (2, 2), 0)),
    (512, (5, 4), 1, 0, None),
)
_MOUTH_LAYERS = (
    (256, (5, 5), 2, 1, ((3, 3), (2, 2), 1)),
    (256, (3, 3), 1, 1, None),
    (256, (3, 3), 1, 1, None),
    (256, (3, 3), 1, 1, ((3, 3), (2, 2), 0)),
    (512, (6, 6), 1, 0, None),
)

_norm = partial(nn.BatchNorm, use_running_average=True, epsilon=1e-5)


def _layers(x, layers, first: int):
    """Convolution, batch norm, ReLU and, in some, a maximum over windows."""
    for i, (width, kernel, stride, padding, pool) in enumerate(layers, first):
        conv = nn.Conv(width, kernel, (stride, stride), ((padding,) * 2,) * 2, name=f"conv_{i}")
        x = nn.relu(_norm(name=f"norm_{i}")(conv(x)))
        if pool is not None:
            window, strides, around = pool
            x = nn.max_pool(x, window, strides, ((around,) * 2,) * 2)
    return x


class _Head(nn.Module):
    size: int

    @nn.compact
    def __call__(self, x):
        x = nn.relu(_norm(name="norm")(nn.Dense(512, name="hidden")(x)))
        return nn.Dense(self.size, name="vector")(x)


class _SpeechEncoder(nn.Module):
    size: int

    @nn.compact
    def __call__(self, x):
        x = _layers(x, _SPEECH_LAYERS, 0)
        return _Head(self.size, name="head")(x.reshape(x.shape[0], -1))


class _MouthEncoder(nn.Module):
    size: int

    @nn.compact
    def __call__(self, x):
        # The first kernel spans all five frames: from there on there is one picture.
        conv = nn.Conv(96, (FRAMES, 7, 7), (1, 2, 2), "VALID", name="conv_0")
        x = nn.relu(_norm(name="norm_0")(conv(x)))[:, 0]
        x = nn.max_pool(x, (3, 3), (2, 2))
        x = _layers(x, _MOUTH_LAYERS, 1)
        return _Head(self.size, name="head")(x.reshape(x.shape[0], -1))


class SyncNet(nn.Module):
    """Both encoders; only ever used, never trained here."""

    size: int = 1024

    def setup(self):
        """The encoders."""
        self.speech_encoder = _SpeechEncoder(self.size)
        self.mouth_encoder = _MouthEncoder(self.size)

    def speech(self, mfcc: Float[Array, "b 13 20 1"]) -> Float[Array, "b d"]:
        """Vectors of 0.2 seconds of MFCCs each, at 100 per second."""
        return self.speech_encoder(mfcc)

    def mouth(self, frames: Float[Array, "b 5 224 224 3"]) -> Float[Array, "b d"]:
        """Vectors of five frames each, at 25 per second: BGR from 0 to 255, as OpenCV reads."""
        return self.mouth_encoder(frames)

    def __call__(self, mfcc: Float[Array, "b 13 20 1"], frames: Float[Array, "b 5 224 224 3"]):
        """Both, for the initialisation."""
        return self.speech(mfcc), self.mouth(frames)
