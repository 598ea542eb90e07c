from unittest import mock

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.signal

from facial_jax.models.layers import vgg
from facial_jax.models.layers.vgg import VggFeatures, layer_names, random_features


def oracle(params, image):
    """relu1_1 … relu5_1 by SciPy's correlation, one image in [−1, 1]."""
    x = ((image + 1) / 2 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    maps = []
    for scale, names in enumerate(
        [
            ["1_1", "1_2"],
            ["2_1", "2_2"],
            ["3_1", "3_2", "3_3", "3_4"],
            ["4_1", "4_2", "4_3", "4_4"],
            ["5_1"],
        ]
    ):
        if scale:
            h, w, c = x.shape
            x = x[: h // 2 * 2].reshape(h // 2, 2, w // 2, 2, c).max(axis=(1, 3))
        for i, name in enumerate(names):
            kernel, bias = (np.asarray(params[f"conv{name}"][k], float) for k in ("kernel", "bias"))
            channels = [
                sum(
                    scipy.signal.correlate2d(x[..., c], kernel[..., c, d], mode="same")
                    for c in range(x.shape[-1])
                )
                for d in range(kernel.shape[-1])
            ]
            x = np.maximum(np.stack(channels, axis=-1) + bias, 0)
            if i == 0:
                maps.append(x)
    return maps


def test_features_are_vgg_19s():
    network = VggFeatures(width=2)
    rng = np.random.default_rng(0)
    image = rng.uniform(-1, 1, (1, 35, 16, 3)).astype(np.float32)  # an odd row is dropped
    params = jax.jit(network.init)(jax.random.key(0), image)["params"]
    params = jax.tree.map(lambda x: x + 0.1 * rng.normal(size=x.shape).astype(np.float32), params)
    maps = jax.jit(network.apply)({"params": params}, image)
    for made, expected in zip(maps, oracle(params, image[0]), strict=True):
        np.testing.assert_allclose(made[0], expected, rtol=1e-4, atol=1e-5)


def test_gradients_by_the_picture_are_those_of_linens_relu_and_keep_no_map_twice():
    network, variables = random_features()
    image = np.random.default_rng(0).uniform(-1, 1, (1, 16, 16, 3)).astype(np.float32)

    def pull_back(image):
        return jax.vjp(lambda x: network.apply(variables, x), image)

    def gradient(image):
        maps, back = pull_back(image)
        return back(maps)[0]

    def kept_bytes():
        kept = jax.eval_shape(lambda x: pull_back(x)[1], image)
        return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(kept))

    ours, ours_kept = jax.jit(gradient)(image), kept_bytes()
    with mock.patch.object(vgg, "_relu", nn.relu):
        linens, linens_kept = jax.jit(lambda x: gradient(x))(image), kept_bytes()
    assert np.abs(linens).max() > 0
    np.testing.assert_allclose(ours, linens, rtol=1e-4, atol=1e-6)
    assert ours_kept < linens_kept


def test_the_published_widths_are_the_default():
    shapes = jax.eval_shape(VggFeatures().init, jax.random.key(0), jnp.zeros((1, 16, 16, 3)))
    widths = [shapes["params"][name]["kernel"].shape[-1] for name in layer_names()]
    assert widths == [64] * 2 + [128] * 2 + [256] * 4 + [512] * 5


def test_random_features_are_fixed_and_tell_a_blurred_picture_from_a_sharp_one():
    network, variables = random_features()
    again = random_features()[1]
    for a, b in zip(*map(jax.tree.leaves, (variables, again)), strict=True):
        np.testing.assert_array_equal(a, b)
    rng = np.random.default_rng(0)
    sharp = np.repeat(np.repeat(rng.uniform(-1, 1, (1, 16, 16, 3)), 2, 1), 2, 2)
    sharp = sharp.astype(np.float32)
    blurred = scipy.ndimage.gaussian_filter(sharp, (0, 1.5, 1.5, 0))
    # Farther from the sharp one in L₁, yet as sharp: the same picture, somewhat darker.
    darker = sharp - 1.2 * np.abs(sharp - blurred).mean()

    def distance(image):
        maps = [network.apply(variables, jnp.asarray(x)) for x in (sharp, image)]
        pairs = zip(*maps, strict=True)
        return sum(float(jnp.abs(a - b).mean() / jnp.abs(a).mean()) for a, b in pairs)

    assert np.abs(sharp - darker).mean() > np.abs(sharp - blurred).mean()
    assert distance(blurred) > distance(darker)


def test_too_small_images_are_refused():
    with pytest.raises(ValueError, match="at least 16×16 pixels, got 8×32"):
        VggFeatures(width=2).init(jax.random.key(0), jnp.zeros((1, 8, 32, 3)))
