import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.models.rendering_to_video.network import (
    SMALL_LOCAL_ENHANCER,
    GlobalGenerator,
    LocalEnhancer,
    MultiscaleDiscriminator,
    UpConv,
    depth_to_space,
    downsample,
    instance_norm,
    reflect_pad,
    space_to_depth,
)
from tests.programs import QUICK
from tests.written_for import written_for


def random(shape, seed=0):
    return jax.random.normal(jax.random.key(seed), shape)


def drawn(network, x):
    """A network's variables, by NumPy: compiling the network's own draws takes long."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(network.init, jax.random.key(1), x)
    return jax.tree.map(lambda x: jnp.asarray(rng.normal(0, 0.02, x.shape), jnp.float32), shapes)


def textbook_instance_norm(x):
    mean, var = x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)
    return (x - mean) / jnp.sqrt(var + 1e-5)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_instance_norm_is_the_textbook_one_and_its_gradient_is_finite_on_flat_images(backend):
    x, weight = random((2, 6, 5, 3)) * 3 + 1, random((2, 6, 5, 3), seed=1)
    with written_for(backend):
        np.testing.assert_allclose(instance_norm(x), textbook_instance_norm(x), atol=1e-5)
        ours, textbook = (
            jax.grad(lambda x, norm=norm: jnp.sum(weight * norm(x) ** 3))(x)
            for norm in (instance_norm, textbook_instance_norm)
        )
        np.testing.assert_allclose(ours, textbook, rtol=1e-4, atol=1e-5)
        flat = jax.grad(lambda x: jnp.sum(instance_norm(x) ** 3))(jnp.ones((1, 4, 4, 2)))
        assert np.isfinite(flat).all()


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_instance_norm_sees_small_differences_far_from_zero(backend):
    noise = np.random.default_rng(0).normal(size=(1, 64, 64, 2))
    x = np.float32(1000 + noise)
    with written_for(backend):
        made = instance_norm(jnp.asarray(x))
    exact = x.astype(np.float64)
    exact = (exact - exact.mean((1, 2))) / np.sqrt(exact.var((1, 2)) + 1e-5)
    np.testing.assert_allclose(made, exact, atol=2e-3)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_instance_norm_of_bfloat16_is_computed_in_float32_and_keeps_no_float32_image(backend):
    x = random((1, 8, 8, 4)).astype(jnp.bfloat16)
    with written_for(backend):
        made, back = jax.vjp(instance_norm, x)
        expected = textbook_instance_norm(x.astype(jnp.float32)).astype(jnp.bfloat16)
        np.testing.assert_array_equal(made, expected)
        (dx,) = back(made)
    assert dx.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(back) if leaf.size == x.size} == {x.dtype}


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_reflect_pad_is_numpys(backend):
    x = np.asarray(random((2, 5, 7, 2)))
    expected = np.pad(x, ((0, 0), (3, 3), (3, 3), (0, 0)), mode="reflect")
    with written_for(backend):
        padded, back = jax.vjp(lambda x: reflect_pad(x, 3), jnp.asarray(x))
    np.testing.assert_array_equal(padded, expected)
    dy = np.asarray(random((2, 11, 13, 2), seed=1))
    by_hand = np.zeros_like(x)
    rows, columns = (np.pad(np.arange(n), 3, mode="reflect") for n in (5, 7))
    np.add.at(by_hand, (slice(None), rows[:, None], columns[None, :]), dy)
    np.testing.assert_allclose(back(jnp.asarray(dy))[0], by_hand, rtol=1e-6, atol=1e-6)
    with pytest.raises(ValueError, match="larger than 5"):
        reflect_pad(jnp.asarray(x), 5)


def test_space_to_depth_puts_each_block_into_the_channels_and_back():
    x = jnp.arange(2 * 4 * 6 * 3, dtype=jnp.float32).reshape(2, 4, 6, 3)
    folded = space_to_depth(x, 2)
    assert folded.shape == (2, 2, 3, 12)
    np.testing.assert_array_equal(folded[1, 1, 2], x[1, 2:4, 4:6].reshape(-1))
    np.testing.assert_array_equal(depth_to_space(folded, 2), x)
    with pytest.raises(ValueError, match="divisible by 4"):
        space_to_depth(x, 4)


@pytest.mark.parametrize("size", [(7, 8), (8, 9), (2, 3)])
def test_downsample_is_average_pooling_that_does_not_count_the_padding(size):
    x = random((2, *size, 3))
    expected = nn.avg_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)), count_include_pad=False)
    np.testing.assert_allclose(downsample(x), expected, atol=1e-6)


def transposed_conv_by_hand(x, kernel):
    """Every input pixel adds its kernel to the output at twice its place, less the padding of 1."""
    b, h, w, _ = x.shape
    out = np.zeros((b, 2 * h + 2, 2 * w + 2, kernel.shape[-1]))
    for i in range(h):
        for j in range(w):
            out[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] += np.einsum(
                "bc,yxcd->byxd", x[:, i, j], kernel
            )
    return out[:, 1 : 2 * h + 1, 1 : 2 * w + 1]


@pytest.mark.parametrize(
    ("size", "backend"),
    [((3, 4), "cpu"), ((16, 17), "cpu"), ((3, 4), "gpu"), ((16, 17), "gpu")],
    ids=["products", "convolution", "gpu-few", "gpu-many"],
)
def test_up_conv_is_a_transposed_convolution_in_value_and_gradient(size, backend):
    x, up = random((2, *size, 3)), UpConv(5)
    variables = up.init(jax.random.key(1), x)
    kernel = variables["params"]["kernel"]
    expected = transposed_conv_by_hand(np.asarray(x), np.asarray(kernel))
    with written_for(backend):
        np.testing.assert_allclose(up.apply(variables, x), expected, atol=1e-6)

    def dilated(params, x):
        return jax.lax.conv_general_dilated(
            x,
            params["kernel"][::-1, ::-1],
            (1, 1),
            ((1, 2), (1, 2)),
            lhs_dilation=(2, 2),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    ours = jax.grad(lambda p, x: jnp.sum(up.apply({"params": p}, x) ** 3), (0, 1))
    theirs = jax.grad(lambda p, x: jnp.sum(dilated(p, x) ** 3), (0, 1))
    with written_for(backend):
        (p, dx), (q, dy) = ours(variables["params"], x), theirs(variables["params"], x)
    np.testing.assert_allclose(p["kernel"], q["kernel"], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(dx, dy, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    "generator",
    [
        GlobalGenerator(width=4, downsamplings=2, blocks=1),
        LocalEnhancer(width=2, downsamplings=1, blocks=1, local_blocks=1),
        LocalEnhancer(2, 1, 1, 1, kernel_size=5, packing=2, skip_input=True),
        GlobalGenerator(2, 1, 1, packing=4, kernel_size=3, skip_input=True),
    ],
    ids=["global", "local", "packed-local", "packed-global"],
)
def test_frames_do_not_depend_on_the_batch(generator):
    x = random((3, 32, 64, 8))
    variables = drawn(generator, x[:1])
    together = jax.jit(generator.apply)(variables, x)
    assert together.shape == (3, 32, 64, 3)
    assert jnp.abs(together).max() < 1
    assert jnp.abs(together[0] - together[1]).max() > 1e-3
    alone = jax.jit(generator.apply)(variables, x[1:2])
    np.testing.assert_allclose(together[1:2], alone, atol=1e-5)


def test_computing_activations_again_changes_no_gradient_and_keeps_less_until_then():
    plain = LocalEnhancer(width=4, downsamplings=1, blocks=1, local_blocks=1, kernel_size=3)
    x, rng = random((1, 16, 16, 8)), np.random.default_rng(0)
    shapes = jax.eval_shape(plain.init, jax.random.key(1), x)
    variables = jax.tree.map(lambda x: rng.normal(0, 0.1, x.shape).astype(np.float32), shapes)

    def gradient(generator):
        function = jax.grad(lambda v: jnp.mean(generator.apply(v, x) ** 2))
        return jax.jit(function, compiler_options=QUICK)(variables)

    def kept_bytes(generator):
        """What the forward pass leaves for the backward pass beside the parameters."""
        kept = jax.eval_shape(lambda v: jax.vjp(lambda v: generator.apply(v, x), v)[1], variables)
        return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(kept)) - sum(
            x.nbytes for x in jax.tree.leaves(variables)
        )

    again = plain.clone(remat=True)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6),
        gradient(plain),
        gradient(again),
    )
    assert kept_bytes(again) < 0.5 * kept_bytes(plain)


def test_networks_compute_in_bfloat16_where_weights_and_inputs_are():
    generator = LocalEnhancer(2, 1, 1, 1, kernel_size=5, packing=2, skip_input=True)
    discriminator = MultiscaleDiscriminator(width=2, layers=1, scales=2)
    x = random((1, 32, 32, 8))
    for network in (generator, discriminator):
        variables = jax.tree.map(
            lambda x: jnp.ones(x.shape, jnp.bfloat16),
            jax.eval_shape(network.init, jax.random.key(1), x),
        )
        made = jax.eval_shape(network.apply, variables, x.astype(jnp.bfloat16))
        assert {y.dtype for y in jax.tree.leaves(made)} == {jnp.dtype(jnp.bfloat16)}


def test_generators_say_which_sizes_fit():
    generator = GlobalGenerator(width=2, downsamplings=3, blocks=0)
    with pytest.raises(ValueError, match=r"divisible by 8 here, got 20×32"):
        jax.eval_shape(generator.init, jax.random.key(0), jnp.zeros((1, 20, 32, 8)))


def test_bundled_generator_is_small_enough_to_bundle():
    x = jax.ShapeDtypeStruct((1, 256, 256, 8), jnp.float32)
    params = jax.eval_shape(LocalEnhancer(**SMALL_LOCAL_ENHANCER).init, jax.random.key(0), x)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) < 4_000_000


def test_discriminator_returns_every_activation_of_every_scale():
    discriminator = MultiscaleDiscriminator(width=2, layers=2, scales=2)
    x = random((2, 32, 32, 5))
    scales = jax.eval_shape(discriminator.apply, drawn(discriminator, x), x)
    shapes = [[y.shape for y in scale] for scale in scales]
    assert shapes == [
        [(2, 17, 17, 2), (2, 9, 9, 4), (2, 10, 10, 8), (2, 11, 11, 1)],
        [(2, 9, 9, 2), (2, 5, 5, 4), (2, 6, 6, 8), (2, 7, 7, 1)],
    ]


@pytest.mark.parametrize("packing", [1, 2])
def test_the_frames_own_rendered_face_shows_through_where_the_network_lets_it(packing):
    generator = LocalEnhancer(
        width=2, downsamplings=1, blocks=1, kernel_size=3, packing=packing, blend_input=True
    )
    pictures = jax.random.uniform(jax.random.key(0), (1, 16, 16, 16))  # N_w = 2: the third of four
    variables, apply = drawn(generator, pictures), jax.jit(generator.apply)
    output = variables["params"]["output"]["conv"]
    assert output["bias"].shape == (4 * packing**2,)
    own = 2 * pictures[..., 8:11] - 1
    for logit, rendered in ((20.0, 1.0), (-20.0, 0.0)):
        bias = output["bias"].reshape(-1, 4).at[:, 3].set(logit).at[:, :3].set(0.5).reshape(-1)
        params = {
            **variables["params"],
            "output": {"conv": {"kernel": jnp.zeros_like(output["kernel"]), "bias": bias}},
        }
        made = apply({"params": params}, pictures)
        expected = rendered * own + (1 - rendered) * jnp.tanh(0.5)
        np.testing.assert_allclose(made, expected, atol=1e-5)
