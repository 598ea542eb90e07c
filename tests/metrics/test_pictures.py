"""Pictures beside the real ones, by the protocols *whole* and *pasted*."""

import numpy as np
import pytest
import scipy.signal
from safetensors.numpy import save_file

from facial_jax.metrics import pictures
from tests.interop.test_pytorch import vgg19_state


def noise(seed, size=64):
    return np.random.default_rng(seed).integers(0, 256, (2, size, size, 3), dtype=np.uint8)


def test_psnr_and_ssim_are_those_of_numpy_and_scipy():
    a, b = noise(0), noise(1)
    b[1] = a[1] // 2 + b[1] // 2
    found = pictures.picture_measures(a, b)
    x, y = a / 255, b / 255
    expected = -10 * np.log10(np.mean((x - y) ** 2, axis=(1, 2, 3)))
    np.testing.assert_allclose(found["psnr_db"], expected, rtol=1e-4)
    # Wang et al. 2004: a Gaussian window of 11×11 with deviation 1.5, K = 0.01 and 0.03.
    line = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window = np.outer(line, line) / line.sum() ** 2

    def mean(z):
        return scipy.signal.convolve2d(z, window, mode="valid")

    for frame in range(2):
        maps = []
        for c in range(3):
            p, q = x[frame, ..., c], y[frame, ..., c]
            mp, mq = mean(p), mean(q)
            vp, vq, pq = mean(p * p) - mp**2, mean(q * q) - mq**2, mean(p * q) - mp * mq
            maps.append(
                (2 * mp * mq + 1e-4) * (2 * pq + 9e-4) / ((mp**2 + mq**2 + 1e-4) * (vp + vq + 9e-4))
            )
        assert found["ssim"][frame] == pytest.approx(np.mean(maps), abs=1e-3)


def test_pasted_keeps_the_real_picture_outside_the_face():
    made, real = noise(2, 128)[0], noise(3, 128)[0]
    angle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    points = 64 + 20 * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    pasted = pictures.paste_face(made, real, points)
    np.testing.assert_array_equal(pasted[64, 64], made[64, 64])
    np.testing.assert_array_equal(pasted[:20], real[:20])
    np.testing.assert_array_equal(pasted[:, :30], real[:, :30])
    np.testing.assert_array_equal(pictures.paste_face(made, real, points * np.nan), real)


def test_what_the_perceptual_distance_is_of_is_said(tmp_path):
    *_, said = pictures.perceptual_features()
    assert said.startswith("random weights")
    path = tmp_path / "vgg19.safetensors"
    save_file({k: v.astype(np.float32) for k, v in vgg19_state(2).items()}, path)
    *features, said = pictures.perceptual_features(path)
    assert said == "VGG-19 of vgg19.safetensors"
    a, b = noise(4), noise(5)
    found = pictures.picture_measures(a, b, (*features, said))["perceptual"]
    assert (found != pictures.picture_measures(a, b)["perceptual"]).all()
