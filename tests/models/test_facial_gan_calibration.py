"""Movement put to a person's scale, and habits that travel with the network."""

import jax
import numpy as np
import pytest

from facial_jax.attributes import AttributeStatistics
from facial_jax.models.facial_gan.blinking import BlinkHabits
from facial_jax.models.facial_gan.calibration import (
    BEGIN_FRAMES,
    MAX_EXPRESSION_FACTOR,
    MAX_FACTOR,
    calibrate_movement,
)
from facial_jax.models.facial_gan.generation import (
    FacialGan,
    generate_attributes,
    load_facial_gan,
    save_facial_gan,
)
from facial_jax.models.facial_gan.network import FacialGenerator

# Without G^tem, random numbers make bounded motion.
SMALL = FacialGenerator(latent_size=4, local_features=(4, 4, 4, 4), with_temporal=False)


@pytest.fixture(scope="module")
def model():
    """Random numbers that move the head, and a person's statistics."""
    rows = jax.ShapeDtypeStruct((1, 128, 16, 29), np.float32)
    shapes = jax.eval_shape(
        SMALL.init, jax.random.key(0), rows, jax.ShapeDtypeStruct((1, 71), np.float32)
    )
    rng = np.random.default_rng(0)

    def draw(path, x):
        if path[-1].key == "var":
            return np.ones(x.shape, np.float32)
        scale = 4.0 if path[-2].key == "output" else 0.7
        return rng.normal(0.0, scale, x.shape).astype(np.float32)

    mean = rng.normal(0, 0.1, 71).astype(np.float32)
    return FacialGan(
        variables=jax.tree_util.tree_map_with_path(draw, shapes),
        statistics=AttributeStatistics(
            mean=mean,
            std=rng.uniform(0.1, 0.5, 71).astype(np.float32),
        ),
        initial_state=mean,
        generator=SMALL,
    )


def speech(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 2.0, (300, 29)).astype(np.float32)


def spread(model, rows) -> tuple[np.ndarray, np.ndarray]:
    pose = np.asarray(generate_attributes(model, rows).pose)[BEGIN_FRAMES:]
    return pose.mean(axis=0), pose.std(axis=0)


def test_the_head_moves_as_the_person_does_and_blinks_as_before(model):
    rows = speech(1)
    calibrated = calibrate_movement(model, [rows])
    mean, std = spread(calibrated, rows)
    before = spread(model, rows)[1] / model.statistics.std[:6]
    reached = before > 1 / MAX_FACTOR
    assert reached.any()
    np.testing.assert_allclose(std[reached], model.statistics.std[:6][reached], rtol=0.15)
    np.testing.assert_allclose(mean, model.statistics.mean[:6], atol=0.05)
    was, now = generate_attributes(model, rows), generate_attributes(calibrated, rows)
    np.testing.assert_array_equal(now.blink, was.blink)


@pytest.mark.parametrize("too_small_by", [0.5, 1.6, 10.0])
def test_the_mouth_opens_as_wide_as_the_persons_but_at_most_twice_as_wide_as_before(
    model, too_small_by
):
    rows = speech(1)
    was = np.asarray(generate_attributes(model, rows).expression)[BEGIN_FRAMES:]
    std = np.array(model.statistics.std)
    std[7:] *= too_small_by * np.linalg.norm(was.std(axis=0)) / np.linalg.norm(std[7:])
    # The same network, whose person moves `too_small_by` times as far as it does.
    scaled = std[7:] / model.statistics.std[7:]
    slower = jax.tree_util.tree_map_with_path(
        lambda path, x: (
            x * np.r_[np.ones(7), 1 / scaled].astype(np.float32) if path[-2].key == "output" else x
        ),
        model.variables,
    )
    person = model.replace(
        variables=slower, statistics=model.statistics.replace(std=std.astype(np.float32))
    )
    before = np.asarray(generate_attributes(person, rows).expression)[BEGIN_FRAMES:]
    after = generate_attributes(calibrate_movement(person, [rows]), rows)
    after = np.asarray(after.expression)[BEGIN_FRAMES:]
    moved = np.linalg.norm(after.std(axis=0)) / np.linalg.norm(before.std(axis=0))
    assert moved == pytest.approx(np.clip(too_small_by, 1.0, MAX_EXPRESSION_FACTOR), rel=0.05)
    np.testing.assert_allclose(after.mean(axis=0), before.mean(axis=0), atol=1e-3)


def test_hardly_any_movement_is_not_made_into_much(model):
    silence = np.zeros((256, 29), np.float32)
    calibrated = calibrate_movement(model, [silence])
    factor = calibrated.statistics.std / model.statistics.std
    assert factor.max() <= MAX_FACTOR + 1e-5
    assert factor[6] == 1.0
    assert factor[7:].max() <= MAX_EXPRESSION_FACTOR + 1e-5
    with pytest.raises(ValueError, match="at least one recording"):
        calibrate_movement(model, [])


def test_habits_are_saved_with_the_network_and_blinked_by(model, tmp_path):
    shape = np.array([0, 1, 4.5, 1, 0], np.float32)
    zero, half = np.zeros((), np.float32), np.full((), 0.5, np.float32)
    habits = BlinkHabits(
        shape=shape, interval=np.array([30, 60], np.float32), rest=zero, level=half
    )
    save_facial_gan(tmp_path / "a.safetensors", model.replace(blink_habits=habits))
    loaded = load_facial_gan(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(loaded.blink_habits.interval, [30, 60])
    assert loaded.blink_habits.level == 0.5
    blink = np.asarray(generate_attributes(loaded, speech(2)).blink)
    assert set(np.unique(blink)) == {0, 1, 4.5}
    save_facial_gan(tmp_path / "b.safetensors", model)
    assert load_facial_gan(tmp_path / "b.safetensors").blink_habits is None
