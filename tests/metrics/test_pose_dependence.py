"""How a face's shape goes with the head's pose, vertex by vertex."""

import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.face.model import face_shape
from facial_jax.face.procedural import procedural_face_model
from facial_jax.metrics.pose_dependence import (
    displacement,
    likeness,
    tilted_faces,
    vertex_displacement,
)
from facial_jax.models.pgface.generation import FaceShape
from tests.random_clips import random_clip
from tests.random_pgface import random_pgface


@pytest.fixture(scope="module")
def model():
    return procedural_face_model()


def faces(count=2):
    rng = np.random.default_rng(0)

    def one():
        return FaceShape(
            identity=rng.standard_normal((count, 80)).astype(np.float32),
            expression=0.3 * rng.standard_normal((count, 64)).astype(np.float32),
        )

    return one(), one()


def test_displacements_are_those_of_the_faces_vertices_in_millimetres(model):
    a, b = faces()
    shapes = [
        np.stack([face_shape(model, i, e) for i, e in zip(*map(jnp.asarray, x), strict=True)])
        for x in ((a.identity, a.expression), (b.identity, b.expression))
    ]
    expected = 100 * (shapes[0] - shapes[1])
    got = np.moveaxis(vertex_displacement(model, a, b), -1, 0)
    np.testing.assert_allclose(got, expected, atol=2e-3)
    found = displacement(model, a, b)
    squares = (expected**2).sum(axis=-1)
    assert found.whole == pytest.approx(np.sqrt(squares.mean()), rel=1e-4)
    assert found.largest == pytest.approx(np.sqrt(squares.mean(axis=0).max()), rel=1e-4)


def test_a_face_that_moves_as_it_truly_does_has_a_likeness_of_one(model):
    still, _ = faces()
    truth = np.random.default_rng(1).standard_normal(80).astype(np.float32)
    moved = still.replace(identity=still.identity + 0.5 * truth)
    assert likeness(model, moved, still, truth) == pytest.approx(1.0, abs=1e-4)
    assert likeness(model, moved, still, -truth) == pytest.approx(-1.0, abs=1e-4)


def test_the_same_speech_is_given_with_tilted_heads(model):
    pgface, clip = random_pgface(), random_clip("a", "s", 12)
    tilted = tilted_faces(pgface, clip)
    assert [face.identity.shape for face in tilted] == [(12, 80)] * 3
    assert displacement(model, tilted[0], tilted[1]).whole > 0
    assert displacement(model, tilted[1], tilted[1]).whole == 0
