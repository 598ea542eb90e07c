"""Geometry is computed in whole float32 also where devices would round products."""

import jax
import jax.numpy as jnp
import pytest
from jax.extend.core import jaxprs_in_params

from facial_jax.face.model import face_shape, face_texture
from facial_jax.face.procedural import procedural_face_model
from facial_jax.tracking import fitting, photometric

FRAMES = 2


def products(jaxpr):
    """The precision of every matrix product, also within loops and calls."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield equation.params["precision"]
        for inner in jaxprs_in_params(equation.params):
            yield from products(inner)


@pytest.fixture(scope="module")
def model():
    return procedural_face_model()


def shapes_and_gradients(model):
    def size(identity, expression):
        return (face_shape(model, identity, expression) ** 2).sum()

    return jax.value_and_grad(size, (0, 1)), (jnp.zeros(80), jnp.zeros((FRAMES, 64)))


def textures(model):
    return lambda texture: face_texture(model, texture), (jnp.zeros(80),)


def fitted_frames(model):
    landmarks = fitting.landmark_model(model)
    arrays = (jnp.zeros(shape) for shape in ((80,), (FRAMES, 70), (FRAMES, 68, 2), (FRAMES, 68)))
    return fitting._fit_jointly.__wrapped__, (landmarks, *arrays)


def refined_appearance(model):
    start = photometric.PhotometricParameters(
        identity=jnp.zeros(80),
        texture=jnp.zeros(80),
        illumination=jnp.zeros((3, 9)),
        pose=jnp.zeros((FRAMES, 6)),
        expression=jnp.zeros((FRAMES, 64)),
    )
    landmarks, skin = fitting.landmark_model(model), jnp.ones(len(model.mean_shape))
    arrays = (jnp.zeros(shape) for shape in ((FRAMES, 8, 8, 3), (FRAMES, 68, 2), (FRAMES, 68)))
    return photometric.refine_appearance.__wrapped__, (model, landmarks, skin, start, *arrays)


@pytest.mark.parametrize(
    "computed", [shapes_and_gradients, textures, fitted_frames, refined_appearance]
)
def test_products_of_geometry_ask_for_float32(model, computed):
    function, arguments = computed(model)
    with jax.default_matmul_precision("default"):
        found = list(products(jax.make_jaxpr(function)(*arguments).jaxpr))
    assert found
    highest = jax.lax.Precision.HIGHEST
    assert all(precision == (highest, highest) for precision in found), found
