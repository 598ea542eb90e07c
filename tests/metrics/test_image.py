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


def test_cpbd_falls_with_blur():
    rng = np.random.default_rng(0)
    blocks = np.kron(rng.uniform(0, 1, (16, 16)), np.ones((12, 12)))
    sharp = np.repeat(blocks[..., None], 3, axis=2)
    grain = rng.normal(0, 0.02, sharp.shape)  # without any, an edge's tails are endless
    pictures = [scipy.ndimage.gaussian_filter(sharp, (s, s, 0)) for s in (0.0, 0.5, 1.0)]
    scores = [cpbd(x + grain) for x in pictures]
    assert scores[0] > 0.75
    assert scores[0] > scores[1] + 0.1 > scores[2] + 0.2


def test_a_ramp_is_noticed_when_it_is_wider_than_the_just_noticeable_width():
    # One edge per row, contrast above 50 levels: widths up to 2 stay unnoticed, from 3 on not.
    for width, expected in ((1, 1.0), (2, 1.0), (4, 0.0)):
        line = np.clip((np.arange(64) - 30) / width, 0, 1)
        image = np.repeat(np.tile(line, (64, 1))[..., None], 3, axis=2)
        assert cpbd(image) == expected


def test_small_pictures_are_refused():
    with pytest.raises(ValueError, match="at least 64×64"):
        cpbd(np.zeros((32, 100, 3)))
