"""VGG-19's features, for the perceptual term of Eq. 10.

The five maps that pix2pixHD compares: relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1. With
torchvision's `vgg19` weights (`facial_jax.interop.pytorch.vgg19_features`) it is the published
perceptual network. None can be bundled: without them, `random_features` makes a narrow network of
the same layers with fixed random weights. It knows nothing of pictures, but its maps, too, change
with edges and textures of growing size, which L₁ alone blurs.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from facial_jax.models.layers.convolution import Conv

CONVOLUTIONS = (2, 2, 4, 4, 1)
"""3×3 convolutions at each of the five scales; the fifth ends with relu5_1."""
RANDOM_WIDTH = 16

# Of ImageNet's pictures in [0, 1], which VGG-19 was trained on.
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


class VggFeatures(nn.Module):
    """VGG-19 up to relu5_1."""

    width: int = 64
    # channels at full size; twice as many at each of the next scales, at most eight times

    @nn.compact
    def __call__(self, images: Float[Array, "b h w 3"]) -> tuple[Float[Array, "b _ _ _"], ...]:
        """relu1_1 … relu5_1 of images in [−1, 1], normalised as ImageNet's.

        Height and width of at least 16; each map is half as high and wide as the one before.
        """
        if min(images.shape[1:3]) < 16:
            raise ValueError(
                f"images: expected at least 16×16 pixels, got {images.shape[1]}×{images.shape[2]}"
            )
        mean, deviation = (
            jnp.array(x, images.dtype)[None, None, None] for x in (_MEAN, _DEVIATION)
        )
        x = ((images + 1) / 2 - mean) / deviation
        maps = []
        for scale, count in enumerate(CONVOLUTIONS):
            if scale:
                x = _max_pool(x)
            for i in range(count):
                features = self.width * min(2**scale, 8)
                initial = nn.initializers.he_normal()
                padding = ((1, 1), (1, 1))
                conv = Conv(features, (3, 3), 1, padding, initial, name=_name(scale, i))
                x = _relu(conv(x))
                if i == 0:
                    maps.append(x)
        return tuple(maps)


@jax.custom_vjp
def _relu(x):
    """`nn.relu`, whose gradient looks at the result: what it is of need not be kept.

    GPUs then have one kernel for convolution and ReLU, of the real frame and of the made one.
    """
    return jnp.maximum(x, 0)


def _relu_forward(x):
    y = _relu(x)
    return y, y


_relu.defvjp(_relu_forward, lambda y, dy: (jnp.where(y > 0, dy, jnp.zeros_like(dy)),))


def _max_pool(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """The largest of 2×2 pixels; an odd last row or column is dropped.

    As maxima of slices: the gradient of XLA's pooling window is slow on CPUs.
    """
    b, h, w, c = x.shape
    h, w = h // 2, w // 2
    rows = x[:, : 2 * h].reshape(b, h, 2, -1, c)
    pairs = jnp.maximum(rows[:, :, 0], rows[:, :, 1])[:, :, : 2 * w].reshape(b, h, w, 2, c)
    return jnp.maximum(pairs[:, :, :, 0], pairs[:, :, :, 1])


def layer_names() -> list[str]:
    """The convolutions of `VggFeatures` in their order."""
    return [_name(scale, i) for scale, count in enumerate(CONVOLUTIONS) for i in range(count)]


def random_features() -> tuple[VggFeatures, dict]:
    """A narrow network with fixed random weights, the same on every machine, and its variables."""
    network = VggFeatures(width=RANDOM_WIDTH)
    variables = jax.jit(network.init)(jax.random.key(19), jnp.zeros((1, 16, 16, 3)))
    return network, variables


def _name(scale: int, i: int) -> str:
    return f"conv{scale + 1}_{i + 1}"
