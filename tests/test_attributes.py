import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.attributes import (
    Attributes,
    attribute_statistics,
    pack_attributes,
    standardize,
    unpack_attributes,
    unstandardize,
)


def random_attributes(batch: tuple[int, ...], seed: int = 0) -> Attributes:
    rng = np.random.default_rng(seed)
    return Attributes(
        expression=jnp.asarray(rng.normal(size=(*batch, 64)), jnp.float32),
        pose=jnp.asarray(rng.normal(size=(*batch, 6)), jnp.float32),
        blink=jnp.asarray(rng.uniform(0, 5, size=batch), jnp.float32),
    )


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_packing_puts_pose_then_blink_then_expression_and_back(batch):
    attributes = random_attributes(batch)
    packed = jax.jit(pack_attributes)(attributes)
    assert packed.shape == (*batch, 71)
    np.testing.assert_array_equal(packed[..., :6], attributes.pose)
    np.testing.assert_array_equal(packed[..., 6], attributes.blink)
    np.testing.assert_array_equal(packed[..., 7:], attributes.expression)
    for a, b in zip(*map(jax.tree.leaves, (unpack_attributes(packed), attributes)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_length_and_slices_count_frames():
    attributes = random_attributes((5,))
    assert len(attributes) == 5
    assert attributes[1:3].expression.shape == (2, 64)
    assert attributes[1:3].identity is None
    assert attributes.replace(identity=jnp.zeros((5, 80)))[1:3].identity.shape == (2, 80)


def test_an_identity_per_frame_is_no_part_of_the_papers_vector():
    attributes = random_attributes((5,))
    own = attributes.replace(identity=jnp.ones((5, 80)))
    np.testing.assert_array_equal(pack_attributes(own), pack_attributes(attributes))


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_standardizing_and_back_keeps_every_channel(batch):
    statistics = attribute_statistics(pack_attributes(random_attributes((50,), seed=1)))
    packed = pack_attributes(random_attributes(batch))
    restored = unstandardize(standardize(packed, statistics), statistics)
    np.testing.assert_allclose(restored, packed, rtol=1e-5, atol=1e-5)


def test_standardized_attributes_have_zero_mean_and_unit_variance():
    packed = pack_attributes(random_attributes((200,)))
    normal = standardize(packed, attribute_statistics(packed))
    np.testing.assert_allclose(normal.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(normal.std(0), 1, atol=1e-4)


def test_channels_that_never_move_stay_finite():
    packed = jnp.ones((10, 71))
    assert jnp.all(jnp.isfinite(standardize(packed, attribute_statistics(packed))))
