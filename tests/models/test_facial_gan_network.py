import functools

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.audio.lip_groups import LIP_GROUPS
from facial_jax.audio.phone_rows import CLOSED_LIPS, FEATURES, PEAK_COLUMNS
from facial_jax.models.facial_gan.network import (
    SMALL_DISCRIMINATOR,
    SMALL_GENERATOR,
    FacialDiscriminator,
    FacialGenerator,
    FirstConv,
    count_parameters,
    on_logarithmic_scale,
    with_likelier_closures,
)
from facial_jax.models.layers.temporal import TemporalUpConv, resize_time
from tests.written_for import written_for

TINY_GENERATOR = dict(
    attribute_size=9,
    temporal_features=(2, 3, 4, 4),
    unet_features=(4, 4, 5, 5, 5),
    fusion_features=(6, 6),
    latent_size=3,
    local_features=(3, 3, 4, 4),
)


@pytest.fixture(scope="module")
def tiny():
    generator = FacialGenerator(**TINY_GENERATOR)
    keys = jax.random.split(jax.random.key(0), 3)
    audio = jax.random.normal(keys[0], (3, 64, 8, 24))
    state = jax.random.normal(keys[1], (3, 9))
    variables = jax.jit(generator.init)(keys[2], audio, state)
    return generator, variables, audio, state


@functools.partial(jax.jit, static_argnums=0)
def apply(generator, variables, audio, state):
    """As one program: operation by operation, the network takes much longer to compile."""
    return generator.apply(variables, audio, state)


@functools.partial(jax.jit, static_argnums=0)
def apply_in_training(generator, variables, audio, state):
    return generator.apply(variables, audio, state, train=True, mutable=["batch_stats"])


def test_generator_takes_its_sizes_from_fields_and_input(tiny):
    generator, variables, audio, state = tiny
    assert apply(generator, variables, audio, state).shape == (3, 64, 9)


def test_generator_treats_batch_items_apart_in_evaluation(tiny):
    generator, variables, audio, state = tiny
    together = apply(generator, variables, audio, state)
    alone = jnp.concatenate(
        [apply(generator, variables, audio[i : i + 1], state[i : i + 1]) for i in range(3)]
    )
    np.testing.assert_allclose(together, alone, atol=2e-6)


def test_generator_listens_to_the_speech_and_to_the_initial_state(tiny):
    generator, variables, audio, state = tiny
    y = apply(generator, variables, audio, state)
    assert jnp.abs(apply(generator, variables, audio, -state) - y).max() > 1e-3
    assert jnp.abs(apply(generator, variables, -audio, state) - y).max() > 1e-3


def test_training_mode_updates_the_running_statistics(tiny):
    generator, variables, audio, state = tiny
    y, updates = apply_in_training(generator, variables, audio, state)
    assert y.shape == (3, 64, 9)
    changed = jax.tree.map(
        lambda a, b: bool(jnp.any(a != b)), updates["batch_stats"], variables["batch_stats"]
    )
    assert all(jax.tree.leaves(changed))


def test_batch_norm_statistics_are_shared_over_a_mapped_axis(tiny):
    generator, variables, audio, state = tiny
    audio, state = jnp.concatenate([audio, audio[:1]]), jnp.concatenate([state, state[:1]])
    whole, _ = apply_in_training(generator, variables, audio, state)
    shared = generator.clone(axis_name="data")
    mapped = jax.vmap(
        lambda a, s: apply_in_training(shared, variables, a, s),
        axis_name="data",
    )
    halves, stats = jax.jit(mapped)(audio.reshape(2, 2, *audio.shape[1:]), state.reshape(2, 2, -1))
    np.testing.assert_allclose(halves.reshape(whole.shape), whole, atol=1e-5)
    for leaf in jax.tree.leaves(stats):
        np.testing.assert_allclose(leaf[0], leaf[1], atol=1e-6)


def test_generator_says_which_lengths_fit(tiny):
    generator, variables, audio, state = tiny
    with pytest.raises(ValueError, match=r"divisible by 32, got 40"):
        generator.apply(variables, audio[:, :40], state)
    with pytest.raises(ValueError, match=r"initial_state: expected 9 attributes, got 8"):
        generator.apply(variables, audio, state[:, :8])


def test_generator_gradients_are_finite_for_silence(tiny):
    generator, variables, audio, state = tiny

    def loss(params):
        y, _ = generator.apply(
            {**variables, "params": params},
            jnp.zeros_like(audio),
            jnp.zeros_like(state),
            train=True,
            mutable=["batch_stats"],
        )
        return jnp.square(y).mean()

    gradients = jax.jit(jax.grad(loss))(variables["params"])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


def test_resize_keeps_the_ends_and_interpolates_between_them():
    x = jnp.array([0.0, 1.0, 4.0])[None, :, None]
    expected = [0.0, 0.5, 1.0, 2.5, 4.0]
    np.testing.assert_allclose(resize_time(x, 5)[0, :, 0], expected, atol=1e-6)
    np.testing.assert_allclose(resize_time(x, 3), x)
    np.testing.assert_allclose(resize_time(x[:, :1], 3), jnp.zeros((1, 3, 1)))


def test_the_resized_rows_are_numpys_interpolation_whose_gradient_is_its_transpose():
    x = np.random.default_rng(0).normal(size=(2, 7, 3)).astype(np.float32)
    at = np.linspace(0, 6, 12)
    expected = np.stack(
        [[np.interp(at, np.arange(7), x[b, :, c]) for c in range(3)] for b in range(2)]
    ).transpose(0, 2, 1)
    np.testing.assert_allclose(resize_time(jnp.asarray(x), 12), expected, atol=1e-6)
    dy = np.random.default_rng(1).normal(size=(2, 12, 3)).astype(np.float32)
    _, back = jax.vjp(lambda x: resize_time(x, 12), jnp.asarray(x))
    np.testing.assert_allclose(np.vdot(back(dy)[0], x), np.vdot(dy, expected), rtol=1e-5)


def value_and_gradients(module, variables, x):
    """What a layer gives, and the gradients of the sum of its cubes."""

    def cubes(variables, x):
        y = module.apply(variables, x)
        return jnp.sum(y**3), y

    gradients, y = jax.jit(jax.grad(cubes, argnums=(0, 1), has_aux=True))(variables, x)
    return y, *gradients


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_up_conv_equals_linen_transposed_convolution_in_value_and_gradient(backend):
    ours, linen = TemporalUpConv(5), nn.ConvTranspose(5, (4,), (2,), ((2, 2),))
    x = jax.random.normal(jax.random.key(1), (2, 6, 3))
    variables = linen.init(jax.random.key(2), x)
    assert jax.tree.map(jnp.shape, ours.init(jax.random.key(2), x)) == jax.tree.map(
        jnp.shape, variables
    )
    with written_for(backend):
        (y, *gradients), (linens, *expected) = (
            value_and_gradients(module, variables, x) for module in (ours, linen)
        )
    np.testing.assert_allclose(y, linens, atol=1e-6)
    chex.assert_trees_all_close(gradients, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_first_conv_equals_linens_in_value_and_gradient(backend):
    ours, linen = FirstConv(5), nn.Conv(5, (3, 3), 2, ((1, 1), (1, 1)))
    x = jax.random.normal(jax.random.key(1), (2, 7, 10, 3))
    variables = jax.tree.map(lambda v: v + 0.1, linen.init(jax.random.key(2), x))
    assert jax.tree.map(jnp.shape, ours.init(jax.random.key(2), x)) == jax.tree.map(
        jnp.shape, variables
    )
    with written_for(backend):
        (y, *gradients), (linens, *expected) = (
            value_and_gradients(module, variables, x) for module in (ours, linen)
        )
    np.testing.assert_allclose(y, linens, atol=1e-5)
    chex.assert_trees_all_close(gradients, expected, rtol=1e-3, atol=1e-3)


def test_the_ablations_leave_one_branch_out():
    audio = jax.ShapeDtypeStruct((1, 128, 16, 29), jnp.float32)
    state = jax.ShapeDtypeStruct((1, 71), jnp.float32)
    for options, branch in (
        ({"with_local": False}, "temporal"),
        ({"with_temporal": False}, "local"),
    ):
        generator = FacialGenerator(**SMALL_GENERATOR, **options)
        variables = jax.eval_shape(generator.init, jax.random.key(0), audio, state)
        assert set(variables["params"]) == {branch, "output"}
        assert variables["params"]["output"]["kernel"].shape == (32, 71)
    neither = FacialGenerator(with_local=False, with_temporal=False)
    with pytest.raises(ValueError, match="at least one of them"):
        jax.eval_shape(neither.init, jax.random.key(0), audio, state)


def test_discriminator_sees_the_change_between_frames():
    discriminator = FacialDiscriminator(features=(2, 3, 4, 5))
    x = jnp.zeros((2, 32, 9))
    variables = discriminator.init(jax.random.key(0), x)
    assert discriminator.apply(variables, x).shape == (2, 8, 2)
    # A constant shift leaves the differences, the later rows of scores, as they are.
    shifted = discriminator.apply(variables, x + 1.0) - discriminator.apply(variables, x)
    assert jnp.abs(shifted[:, :4]).max() > 1e-3
    np.testing.assert_allclose(shifted[:, -1], 0.0, atol=1e-6)


def test_small_networks_are_small():
    generator, discriminator = (
        FacialGenerator(**SMALL_GENERATOR),
        FacialDiscriminator(**SMALL_DISCRIMINATOR),
    )
    audio = jax.ShapeDtypeStruct((1, 128, 16, 29), jnp.float32)
    rows = jax.ShapeDtypeStruct((1, 128, 71), jnp.float32)
    state = jax.ShapeDtypeStruct((1, 71), jnp.float32)
    g = jax.eval_shape(generator.init, jax.random.key(0), audio, state)
    d = jax.eval_shape(discriminator.init, jax.random.key(0), rows)
    assert count_parameters(g["params"]) < 2_000_000
    assert count_parameters(d["params"]) < 200_000


def test_probabilities_are_seen_on_a_logarithmic_scale():
    rows = jnp.asarray([[0.3, 0.0, 0.01, 1.0, -2.0]])
    seen = on_logarithmic_scale(rows, 1, 4)
    expected = [0.3, 0.0, np.log(1.6) / np.log(61.0), 1.0, -2.0]
    np.testing.assert_allclose(seen[0], expected, rtol=1e-5)
    # A tenth of a probability is about half of it there.
    np.testing.assert_allclose(on_logarithmic_scale(jnp.full((1, 1), 0.1), 0, 1), 0.473, atol=1e-3)


def test_the_generator_sees_only_its_probabilities_so(tiny):
    generator, variables, audio, state = tiny
    rows = jnp.abs(audio)
    whole = apply(generator, variables, on_logarithmic_scale(rows, 5, 9), state)
    own = apply(generator.clone(probabilities=(5, 9)), variables, rows, state)
    np.testing.assert_allclose(own, whole, atol=1e-6)
    assert not np.allclose(own, apply(generator, variables, rows, state), atol=1e-3)


def _rows(spans, peaks):
    rows = np.zeros((1, FEATURES), np.float32)
    groups = PEAK_COLUMNS[0]
    for first, columns in ((0, spans), (groups, peaks)):
        for group, p in columns.items():
            rows[0, first + LIP_GROUPS.index(group)] = p
    rows[0, 2 * groups :] = 0.7
    return jnp.asarray(rows)


def test_closed_lips_are_taken_to_be_likelier_than_they_are_heard():
    rows = _rows(spans={"p": 0.2, "t": 0.6}, peaks={"p": 0.25, "t": 0.25})
    seen = with_likelier_closures(rows, 6.0)
    # Odds of 1 : 3 among 0.8 of a phone become 2 : 1; of 1 : 3 in a peak 2 : 1, the rest shrinks.
    expected = _rows(spans={"p": 0.8 * 2 / 3, "t": 0.8 / 3}, peaks={"p": 2 / 3, "t": 0.25 * 4 / 9})
    np.testing.assert_allclose(seen, expected, rtol=1e-5)


def test_what_is_certain_and_silence_stay_as_they_are():
    for rows in (_rows({}, {}), _rows({"p": 1.0}, {"p": 1.0}), _rows({"t": 0.7}, {"t": 0.4})):
        np.testing.assert_allclose(with_likelier_closures(rows, 6.0), rows, rtol=1e-6)


def test_a_generator_with_odds_sees_likelier_closures(tiny):
    generator, variables, audio, state = tiny
    rows = jnp.zeros((*audio.shape[:-1], FEATURES)).at[..., CLOSED_LIPS].set(0.2)
    rows = rows.at[..., CLOSED_LIPS + 1].set(0.3)
    variables = jax.jit(generator.init)(jax.random.key(0), rows, state)
    own = apply(generator.clone(closure_odds=6.0), variables, rows, state)
    whole = apply(generator, variables, with_likelier_closures(rows, 6.0), state)
    np.testing.assert_allclose(own, whole, atol=1e-6)
    assert not np.allclose(own, apply(generator, variables, rows, state), atol=1e-4)
