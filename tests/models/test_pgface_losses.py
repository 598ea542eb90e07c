"""PGFace's vertex losses, which are computed without a vertex."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.face.bfm import FRONT_MODEL, load_bfm
from facial_jax.face.lower_face import lower_face
from facial_jax.face.procedural import procedural_face_model
from facial_jax.models.pgface.losses import (
    PgFaceWeights,
    face_loss_factor,
    pgface_loss,
    vertex_loss,
    vertex_loss_factor,
    vertex_weights,
)
from tests.readers.samples import front_model


def by_vertices(identity_basis, expression_basis, weights, difference):
    """The same in float64 with all vertices, mm²."""
    i = identity_basis.shape[-1]
    offset = np.einsum("nak,...k->...na", identity_basis, difference[..., :i])
    offset = offset + np.einsum("nak,...k->...na", expression_basis, difference[..., i:])
    squared = (1e4 * offset**2).sum(axis=-1)
    return (squared @ weights / weights.sum()).mean()


@pytest.mark.parametrize(("i", "e"), [(2, 1), (3, 4)])
def test_the_factor_gives_the_vertices_loss_in_float64(i, e):
    rng = np.random.default_rng(i)
    identity, expression = rng.standard_normal((5, 3, i)), rng.standard_normal((5, 3, e))
    weights, difference = rng.uniform(1, 10, 5), rng.standard_normal((6, i + e))
    factor = vertex_loss_factor(identity, expression, weights)
    got = ((difference @ factor) ** 2).sum(axis=-1).mean()
    expected = by_vertices(identity, expression, weights, difference)
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def assert_as_its_vertices(model):
    rng = np.random.default_rng(0)
    real, fake = (rng.standard_normal((2, 3, 144)) for _ in range(2))
    weights = vertex_weights(model, 10.0)
    bases = (np.asarray(b, np.float64) for b in (model.identity_basis, model.expression_basis))
    expected = by_vertices(*bases, weights, real - fake)
    factor = face_loss_factor(model, 10.0)
    np.testing.assert_allclose((((real - fake) @ factor) ** 2).sum(-1).mean(), expected, rtol=1e-9)
    single = vertex_loss(jnp.asarray(real - fake, jnp.float32), jnp.asarray(factor, jnp.float32))
    np.testing.assert_allclose(single, expected, rtol=1e-5)


def test_it_is_exact_for_the_built_in_face():
    assert_as_its_vertices(procedural_face_model())


def test_it_is_exact_for_a_model_in_the_basel_models_layout(tmp_path):
    path = tmp_path / FRONT_MODEL
    path.write_bytes(front_model())
    assert_as_its_vertices(load_bfm(path))


def test_a_face_moved_by_a_millimetre_has_a_loss_of_one():
    identity, expression = np.zeros((4, 3, 1)), np.zeros((4, 3, 1))
    identity[:, 1] = 0.01
    factor = vertex_loss_factor(identity, expression, np.array([1.0, 1.0, 10.0, 10.0]))
    assert vertex_loss(jnp.array([[1.0, 0.0]]), jnp.asarray(factor, jnp.float32)) == pytest.approx(
        1.0
    )


def test_a_vertex_of_the_lower_face_counts_ten_times():
    model = procedural_face_model()
    mask = np.asarray(lower_face(model.mean_shape, model.landmarks))
    weights = vertex_weights(model, PgFaceWeights().lower_face)
    assert set(weights[mask]) == {10.0}
    assert set(weights[~mask]) == {1.0}


def test_motion_is_the_difference_of_neighbouring_frames_and_weighs_ten_times():
    factor, weights = jnp.eye(2), PgFaceWeights()
    real = jnp.zeros((1, 3, 2))
    still = real.at[:, :, 0].set(2.0)  # wrong, but as still as the truth
    found = pgface_loss(real, still, factor, weights)
    assert (float(found.position), float(found.motion), float(found.total)) == (4.0, 0.0, 4.0)
    jump = real.at[:, 2, 1].set(3.0)  # the last frame alone
    found = pgface_loss(real, jump, factor, weights)
    assert (float(found.position), float(found.motion)) == (3.0, 4.5)
    assert float(found.total) == 3.0 + 10 * 4.5


def test_gradients_are_those_of_finite_differences_and_finite_at_the_truth():
    rng = np.random.default_rng(0)
    factor = jnp.asarray(rng.standard_normal((3, 3)), jnp.float32)
    factor = factor + factor.T
    real, fake = (jnp.asarray(rng.standard_normal((2, 2, 3)), jnp.float32) for _ in range(2))

    def loss(fake):
        return pgface_loss(real, fake, factor, PgFaceWeights()).total

    step = jnp.zeros_like(fake).at[1, 0, 2].set(0.05)
    numeric = (loss(fake + step) - loss(fake - step)) / 0.1  # exact: it is quadratic
    gradient = jax.grad(loss)
    np.testing.assert_allclose(gradient(fake)[1, 0, 2], numeric, rtol=1e-3)
    np.testing.assert_array_equal(gradient(real), 0.0)
    np.testing.assert_allclose(jax.jit(loss)(fake), loss(fake), rtol=1e-6)
