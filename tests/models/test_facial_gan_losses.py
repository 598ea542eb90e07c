"""FACIAL-GAN's objective, against values worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.attributes import (
    Attributes,
    AttributeStatistics,
    pack_attributes,
    standardize,
    unpack_attributes,
)
from facial_jax.face.procedural import EXPRESSION_NAMES, procedural_face_model
from facial_jax.metrics.lips import CORNERS, face_lips
from facial_jax.models.facial_gan.lips import (
    GESTURE_WEIGHT,
    WIDE_DM,
    LipPlaces,
    lip_places,
    lips_loss,
)
from facial_jax.models.facial_gan.losses import (
    FacialWeights,
    facial_loss,
    initial_state_loss,
    least_squares_gan_loss,
    least_squares_generator_loss,
    log_gan_loss,
    log_generator_loss,
    motion_loss,
    published_code_regression_loss,
    regression_loss,
    sequence_loss,
    value_loss,
)


def _real_and_fake():
    real = jnp.zeros((1, 3, 2))
    fake = jnp.asarray([[[1.0, 0.0], [1.0, 2.0], [0.0, 2.0]]])
    return real, fake


def test_weights_are_those_of_the_paper():
    w = FacialWeights()
    assert (w.expression, w.pose, w.eye, w.initial_state, w.motion, w.gan) == (2, 1, 5, 10, 10, 0.1)
    assert w.lips == 0.0


def test_value_loss_sums_squares_over_frames_and_channels():
    assert value_loss(*_real_and_fake()) == pytest.approx(1 + 1 + 4 + 4)


def test_motion_loss_sums_squared_changes():
    # Changes: (0, 2), (-1, 0).
    assert motion_loss(*_real_and_fake()) == pytest.approx(4 + 1)


def test_sequence_loss_adds_weighted_motion():
    assert sequence_loss(*_real_and_fake(), 10.0) == pytest.approx(10 + 10 * 5)


def test_a_constant_offset_is_no_motion_error():
    real = jax.random.normal(jax.random.key(0), (2, 5, 3))
    assert motion_loss(real, real + 1.5) == pytest.approx(0.0, abs=1e-5)
    assert value_loss(real, real + 1.5) == pytest.approx(5 * 3 * 1.5**2, rel=1e-5)


def test_batch_is_averaged_not_summed():
    real, fake = _real_and_fake()
    twice = value_loss(jnp.concatenate([real, real]), jnp.concatenate([fake, real]))
    assert twice == pytest.approx(10 / 2)


def _packed(expression, pose, blink):
    t = len(blink)
    attributes = Attributes(
        expression=jnp.zeros((t, 64)).at[:, 0].set(jnp.asarray(expression)),
        pose=jnp.zeros((t, 6)).at[:, 1].set(jnp.asarray(pose)),
        blink=jnp.asarray(blink),
    )
    return pack_attributes(attributes)[None]


def test_initial_state_loss_counts_every_attribute_of_the_first_frame_once():
    real = _packed([0.0, 0.0], [0.0, 0.0], [0.0, 0.0])
    fake = _packed([1.0, 9.0], [-2.0, 9.0], [4.0, 9.0])
    assert initial_state_loss(real, fake) == pytest.approx(1 + 2 + 4)


def test_regression_loss_weights_each_attribute_by_its_own_omega():
    real = _packed([0.0, 0.0], [0.0, 0.0], [0.0, 0.0])
    fake = _packed([1.0, 1.0], [2.0, 0.0], [0.0, 3.0])
    losses = regression_loss(real, fake)
    assert losses.expression == pytest.approx(2.0)
    assert losses.pose == pytest.approx(4 + 10 * 4)
    assert losses.eye == pytest.approx(9 + 10 * 9)
    assert losses.initial_state == pytest.approx(1 + 2)
    assert losses.total == pytest.approx(2 * 2 + 1 * 44 + 5 * 99 + 10 * 3)


def test_facial_loss_adds_a_tenth_of_the_gan():
    assert facial_loss(jnp.float32(3.0), jnp.float32(7.0)) == pytest.approx(7.3)


def test_log_objective_is_that_of_probabilities():
    real, fake = jnp.asarray([0.3, -1.0]), jnp.asarray([2.0, 0.1])
    d_real, d_fake = 1 / (1 + np.exp(-np.asarray(real))), 1 / (1 + np.exp(-np.asarray(fake)))
    expected = -np.log(d_real).mean() - np.log(1 - d_fake).mean()
    assert log_gan_loss(real, fake) == pytest.approx(expected, rel=1e-5)
    assert log_generator_loss(fake) == pytest.approx(-np.log(d_fake).mean(), rel=1e-5)


def test_log_objective_has_finite_gradients_at_extreme_logits():
    extreme = jnp.asarray([-1e4, 1e4])
    gradient = jax.grad(lambda x: log_gan_loss(x, x) + log_generator_loss(x))(extreme)
    assert np.isfinite(gradient).all()


def test_least_squares_objective_pulls_to_one_and_zero():
    assert least_squares_gan_loss(jnp.ones(3), jnp.zeros(3)) == 0.0
    assert least_squares_gan_loss(jnp.zeros(3), jnp.full(3, 2.0)) == pytest.approx(1 + 4)
    assert least_squares_generator_loss(jnp.full(3, 3.0)) == pytest.approx(4.0)


def test_the_published_codes_objective_takes_means_and_its_own_weights():
    real = _packed([0.0, 0.0], [0.0, 0.0], [0.0, 0.0])
    fake = _packed([1.0, 1.0], [2.0, 0.0], [0.0, 3.0])
    losses = published_code_regression_loss(real, fake)
    expression = 1 / 64
    pose = (4 / 12) + 10 * (4 / 6)
    eye = 9 / 2 + 2 * 9
    start = 1 / 64 + 2 / 6
    assert losses.total == pytest.approx(20 * expression + pose + 0.5 * eye + 10 * start, rel=1e-5)


def _places(**rows: tuple[float, float, float, float]) -> LipPlaces:
    of_expression = np.zeros((64, 4), np.float32)
    for coefficient, places in rows.items():
        of_expression[int(coefficient.removeprefix("e"))] = places
    return LipPlaces(of_expression, of_mean=np.array([0.1, 0.0, -1.0, 0.0], np.float32))


PLACES = _places(
    e0=(1, 0, 0, 0), e31=(-1, 0, 0, 0), e4=(0, 1, 0, 0), e5=(0, 0, 1, 0), e6=(0, 0, 0, 1)
)


def test_errors_of_the_lips_gap_count_more_where_the_lips_meet():
    real, fake = np.zeros((2, 1, 3, 64), np.float32)
    real[0, :, 0] = 0.0, 0.5, 0.5  # gaps of 0.1, 0.6 and 0.6
    fake[0, :, 0] = 0.2, 0.2, 1.5
    fake[0, :, 31] = 0.0, 0.0, 1.0  # jaw and lips open together: no gap of the lips
    expected = GESTURE_WEIGHT * 0.2**2 + 0.3**2
    assert lips_loss(real, fake, PLACES) == pytest.approx(expected, rel=1e-5)


def test_errors_of_the_lower_lip_count_where_it_is_at_the_teeth():
    real, fake = np.zeros((2, 1, 3, 64), np.float32)
    real[0, :, 0] = fake[0, :, 0] = 1.0  # lips apart
    real[0, :, 5] = 0.8, 0.8, 0.0  # 0.2, 0.2 and 1 below the teeth
    fake[0, :, 5] = 0.8, 0.5, 0.5
    fake[0, :, 6] = 0.1, 0.0, 0.0
    expected = GESTURE_WEIGHT * (0.1**2 + 0.3**2)
    assert lips_loss(real, fake, PLACES) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("mean", [0.0, -0.6])
def test_errors_of_the_width_count_more_where_the_mouth_is_narrower_than_usual(mean):
    places = PLACES.replace(of_mean=PLACES.of_mean + np.array([0, mean, 0, 0], np.float32))
    real, fake = np.zeros((2, 1, 3, 64), np.float32)
    real[0, :, 0] = fake[0, :, 0] = 1.0  # lips apart
    real[0, :, 4] = -0.5, -0.5, 0.5
    fake[0, :, 4] = -0.5, 0.0, 0.3
    expected = GESTURE_WEIGHT * 0.5**2 + 0.2**2
    assert lips_loss(real, fake, places) == pytest.approx(expected, rel=1e-5)


def test_the_lips_term_counts_only_with_a_weight():
    real, fake = _packed([0.0], [0.0], [0.0]), _packed([1.0], [0.0], [0.0])
    paper = regression_loss(real, fake)
    assert paper.lips == 0.0
    assert paper.total == regression_loss(real, fake, lip_places=PLACES).total
    with_lips = regression_loss(real, fake, FacialWeights(lips=400.0), PLACES)
    assert with_lips.lips > 0.0
    total = float(paper.total + 400.0 * with_lips.lips)
    assert with_lips.total == pytest.approx(total, rel=1e-5)


def test_a_weight_for_lips_needs_to_know_how_they_stand():
    real = _packed([0.0], [0.0], [0.0])
    with pytest.raises(ValueError, match="lip_places: the lips' weight is 400"):
        regression_loss(real, real, FacialWeights(lips=400.0))


def test_the_lips_places_are_those_of_the_face_models_landmarks():
    model, rng = procedural_face_model(), np.random.default_rng(0)
    expression = np.zeros((5, 64), np.float32)
    # Nothing that moves the lips sideways.
    moved = [EXPRESSION_NAMES.index(x) for x in ("jaw_open", "lower_lip_depress", "mouth_close")]
    expression[:, moved] = rng.uniform(0.0, 0.5, (5, 3))
    packed = np.concatenate([np.zeros((5, 7), np.float32), expression], axis=1)
    statistics = AttributeStatistics(
        mean=rng.normal(size=71).astype(np.float32),
        std=rng.uniform(0.1, 1.0, 71).astype(np.float32),
    )
    standardised = unpack_attributes(standardize(packed, statistics)).expression
    places = lip_places(model, statistics)(standardised)
    seen = face_lips(model, np.zeros(80, np.float32), expression)
    np.testing.assert_allclose(places[:, 0], seen.gap / WIDE_DM, atol=1e-4)
    width_dm = np.asarray(model.mean_shape)[np.asarray(model.landmarks)[list(CORNERS)], 0]
    width_dm = width_dm[1] - width_dm[0]
    np.testing.assert_allclose(places[:, 1], (seen.width - 1) * width_dm / WIDE_DM, atol=1e-2)
    to_teeth = np.hypot(places[:, 2], places[:, 3])
    np.testing.assert_allclose(to_teeth, seen.teeth / WIDE_DM, atol=1e-3)
