"""Spherical-harmonics light against SciPy and by hand. (Reference values: test_face_model.py.)"""

import chex
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from facial_jax.rendering.lighting import AMBIENT, irradiance, sh_basis, shade


def unit_vectors(count):
    normals = np.random.default_rng(0).normal(size=(count, 3))
    return (normals / np.linalg.norm(normals, axis=-1, keepdims=True)).astype(np.float32)


def scipys_basis(normals):
    """SciPy's real spherical harmonics times the factors of the degrees."""
    x, y, z = normals.T.astype(np.float64)
    polar, azimuth = np.arccos(z), np.arctan2(y, x)
    basis = []
    for degree, factor in enumerate([np.pi, 2 * np.pi / np.sqrt(3), 2 * np.pi / np.sqrt(8)]):
        for order in range(-degree, degree + 1):
            value = scipy.special.sph_harm_y(degree, abs(order), polar, azimuth)
            if order < 0:
                value = np.sqrt(2) * value.imag
            else:
                value = (np.sqrt(2) if order else 1) * value.real
            basis.append(factor * value)
    return np.stack(basis, axis=-1)


class BasisVariants(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_basis_is_scipys(self):
        normals = unit_vectors(100)
        got = self.variant(sh_basis)(jnp.asarray(normals))
        np.testing.assert_allclose(got, scipys_basis(normals), atol=1e-5)


def test_without_illumination_everything_is_lit_evenly_by_the_ambient_term():
    light = irradiance(jnp.asarray(unit_vectors(20)), jnp.zeros((3, 9)))
    np.testing.assert_allclose(light, AMBIENT * np.sqrt(np.pi) / 2, rtol=1e-6)


def test_light_from_the_viewer_is_brighter_on_what_faces_the_viewer():
    illumination = jnp.zeros((3, 9)).at[:, 2].set(0.2)
    normals = jnp.array([[0, 0, 1.0], [0, 0, -1.0]])
    front, back = irradiance(normals, illumination)
    assert (front > back).all()


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_shading_is_albedo_times_light_for_any_batch(batch):
    normals = jnp.broadcast_to(jnp.asarray(unit_vectors(7)), (*batch, 7, 3))
    albedo = jnp.asarray(np.random.default_rng(1).uniform(size=(7, 3)), jnp.float32)
    illumination = jnp.asarray(np.random.default_rng(2).normal(size=(3, 9)), jnp.float32)
    lit = shade(albedo, normals, illumination)
    assert lit.shape == (*batch, 7, 3)
    light = irradiance(jnp.asarray(unit_vectors(7)), illumination)
    np.testing.assert_allclose(lit, np.broadcast_to(albedo * light, lit.shape), atol=1e-5)
