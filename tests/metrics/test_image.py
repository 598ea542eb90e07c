import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.signal

from facial_jax.metrics.image import perceptual_distance, psnr, ssim
from facial_jax.metrics.sharpness import cpbd
from facial_jax.models.layers.vgg import random_features


def picture(h=24, w=20, seed=0, batch=()):
    rng = np.random.default_rng(seed)
    x = scipy.ndimage.gaussian_filter(
        rng.uniform(0, 1, (*batch, h, w, 3)), (0,) * len(batch) + (1, 1, 0)
    )
    return np.asarray(x, np.float32)


def test_psnr_of_a_constant_error_is_its_square_in_decibels():
    a = jnp.asarray(picture())
    assert float(psnr(a, a + 0.1)) == pytest.approx(20.0, abs=1e-3)
    assert jnp.isinf(psnr(a, a))


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_ssim_agrees_with_a_plain_computation(batch):
    a, b = picture(batch=batch), picture(seed=1, batch=batch)
    made = ssim(jnp.asarray(a), jnp.asarray(b))
    assert made.shape == batch
    offset = np.arange(11) - 5
    line = np.exp(-0.5 * (offset / 1.5) ** 2)
    window = np.outer(line, line) / line.sum() ** 2

    def one(x, y):
        x, y = x.astype(float), y.astype(float)
        mean = lambda z: scipy.signal.correlate2d(z, window, mode="valid")  # noqa: E731
        mx, my = mean(x), mean(y)
        vx, vy, c = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
        top = (2 * mx * my + 1e-4) * (2 * c + 9e-4)
        return (top / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))).mean()

    index = (0,) * len(batch)
    expected = np.mean([one(a[index][..., k], b[index][..., k]) for k in range(3)])
    assert float(made[index]) == pytest.approx(expected, abs=1e-4)
    np.testing.assert_allclose(ssim(jnp.asarray(a), jnp.asarray(a)), 1.0, atol=1e-5)


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
    with pytest.raises(ValueError, match="at least 11×11"):
        ssim(jnp.zeros((8, 20, 3)), jnp.zeros((8, 20, 3)))
    with pytest.raises(ValueError, match="at least 64×64"):
        cpbd(np.zeros((32, 100, 3)))
