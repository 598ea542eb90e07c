import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from facial_jax.metrics.image import perceptual_distance
from facial_jax.metrics.sharpness import cpbd
from facial_jax.models.layers.vgg import random_features


def picture(h=24, w=20, seed=0, batch=()):
    rng = np.random.default_rng(seed)
    x = scipy.ndimage.gaussian_filter(
        rng.uniform(0, 1, (*batch, h, w, 3)), (0,) * len(batch) + (1, 1, 0)
    )
    return np.asarray(x, np.float32)


def test_perceptual_distance_is_zero_for_equal_pictures_and_grows_with_blur():
    network, variables = random_features()
    sharp = picture(32, 32, batch=(1,))
    blurred = [scipy.ndimage.gaussian_filter(sharp, (0, s, s, 0)) for s in (0.7, 2.0)]
    same, little, much = (
        float(perceptual_distance(network, variables, *map(jnp.asarray, (sharp, x)))[0])
        for x in (sharp, *blurred)
    )
    assert same == 0
    assert 0 < little < much


def test_cpbd_gives_the_values_of_the_package():
    # What cpbd 1.0.7 gave for these pictures, in numpy 2.4.6, scipy 1.17.1 and scikit-image 0.26.
    values = {
        (0, 0.5): 0.335977,
        (0, 1.0): 0.033341,
        (0, 1.5): 0.014925,
        (0, 2.5): 0.029147,
        (1, 0.5): 0.366575,
        (1, 1.0): 0.05138,
        (1, 1.5): 0.024583,
        (1, 2.5): 0.045655,
    }
    for (seed, blur), expected in values.items():
        rng = np.random.default_rng(seed)
        blocks = np.kron(rng.uniform(0, 1, (16, 16)), np.ones((16, 16)))
        grey = scipy.ndimage.gaussian_filter(blocks, blur) + rng.normal(0, 0.01, blocks.shape)
        levels = np.round(255 * np.clip(grey, 0, 1)) / 255
        assert cpbd(np.repeat(levels[..., None], 3, axis=2)) == pytest.approx(expected, abs=1e-5)


def test_an_edge_is_noticed_when_it_is_wider_than_the_just_noticeable_width():
    # One edge per row, contrast above 50 levels. 1 − exp(−(2/3)^3.6) = 0.21 and
    # 1 − exp(−(4/3)^3.6) = 0.94; noticed is what is above 0.63.
    for slope, expected in (([100], 1.0), ([40, 100, 160], 0.0)):
        line = np.concatenate([np.zeros(30), slope, np.full(34 - len(slope), 200.0)]) / 255
        image = np.repeat(np.tile(line, (64, 1))[..., None], 3, axis=2)
        assert cpbd(image) == expected


def test_a_picture_without_edges_has_no_sharpness():
    assert cpbd(np.full((64, 128, 3), 0.5)) == 0


def test_small_pictures_are_refused():
    with pytest.raises(ValueError, match="at least 64×64"):
        cpbd(np.zeros((32, 100, 3)))
