import json
import zlib

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from facial_jax.interop import pytorch

# The published networks under made-up weights: every tensor is drawn from a generator of its own,
# seeded by the CRC-32 of its name, and so are the inputs.


def drawn(name, shape):
    return np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, dtype=np.float64)


def reference_weight(name, shape):
    value = drawn(name, shape).astype(np.float32)
    match name.rsplit(".", 1)[-1]:
        case "num_batches_tracked":
            return np.zeros(shape, np.int64)
        case "running_mean":
            return 0.1 * value
        case "running_var":
            return 0.5 + np.abs(value)
        case "weight" if len(shape) > 1:
            fan_in = int(np.prod(shape[1:]))
            return value / np.float32(np.sqrt(fan_in))
        case "weight":
            return 1 + np.float32(0.1) * value
        case _:
            return np.float32(0.1) * value


def reference_input(name, shape):
    """Channels last."""
    return np.moveaxis(drawn(name, shape).astype(np.float32), 1, -1)


@pytest.fixture
def reference(shared):
    """A function from a network's name to its state dict, and the stored outputs."""
    shapes = json.loads(shared("reference/official_networks_state_dicts.json").read_text())
    outputs = np.load(shared("reference/official_networks.npz"))

    def state_dict(network):
        return {name: reference_weight(name, tuple(shape)) for name, shape in shapes[network]}

    return state_dict, outputs


def assert_close(got, expected, tolerance=1e-4):
    scale = np.abs(expected).max()
    assert np.abs(np.asarray(got) - expected).max() <= tolerance * scale


def test_facial_generator_reproduces_the_published_output(reference):
    state_dict, outputs = reference
    generator, variables = pytorch.facial_generator(state_dict("facial_generator"))
    audio, state = drawn("audio", (4, 128, 16, 29)), drawn("state", (4, 71))
    got = jax.jit(generator.apply)(variables, audio.astype(np.float32), state.astype(np.float32))
    assert_close(got, outputs["facial_generator/eval"])


def test_facial_discriminator_reproduces_the_published_output(reference):
    state_dict, outputs = reference
    discriminator, variables = pytorch.facial_discriminator(state_dict("facial_discriminator"))
    rows = drawn("attributes_and_motion", (4, 255, 71)).astype(np.float32)
    got = jax.jit(lambda v, x: discriminator.apply(v, x, method="judge"))(variables, rows)
    assert_close(got, outputs["facial_discriminator/eval"][:, 0])


@pytest.mark.parametrize("network", ["local_enhancer", "global_generator"])
def test_video_generators_reproduce_the_published_output(reference, network):
    state_dict, outputs = reference
    generator, variables = getattr(pytorch, network)(state_dict(network))
    got = jax.jit(generator.apply)(variables, reference_input("condition", (1, 40, 128, 128)))
    assert_close(np.moveaxis(got, -1, 1), outputs[f"{network}/eval"])


def test_multiscale_discriminator_reproduces_every_published_activation(reference):
    state_dict, outputs = reference
    discriminator, variables = pytorch.multiscale_discriminator(
        state_dict("multiscale_discriminator")
    )
    condition = reference_input("condition", (1, 40, 128, 128))
    frame = reference_input("frame", (1, 3, 128, 128))
    got = jax.jit(discriminator.apply)(variables, np.concatenate([condition, frame], axis=-1))
    for i, scale in enumerate(got):
        for j, activation in enumerate(scale):
            expected = outputs[f"multiscale_discriminator/scale{i}/layer{j}"]
            # The inner activations are stored with 11 significant bits.
            tolerance = 1e-4 if expected.dtype == np.float32 else 1e-3
            assert_close(np.moveaxis(activation, -1, 1), expected.astype(np.float32), tolerance)


def tiny_discriminator():
    """A multi-scale discriminator of one scale and one layer in PyTorch's names and layout."""
    shapes = {"layer0.0": (2, 5, 4, 4), "layer1.0": (4, 2, 4, 4), "layer2.0": (1, 4, 4, 4)}
    state = {}
    for name, shape in shapes.items():
        state[f"scale0_{name}.weight"] = drawn(name, shape).astype(np.float32)
        state[f"scale0_{name}.bias"] = np.zeros(shape[0], np.float32)
    return state


def test_sizes_are_read_from_the_tensors_of_a_file(tmp_path):
    path = tmp_path / "d.safetensors"
    save_file(tiny_discriminator(), path)
    module, variables = pytorch.multiscale_discriminator(pytorch.load_state_dict(path))
    assert (module.width, module.layers, module.scales) == (2, 1, 1)
    kernel = variables["params"]["scale_0"]["conv_0"]["kernel"]
    weight = drawn("layer0.0", (2, 5, 4, 4)).astype(np.float32)
    np.testing.assert_array_equal(kernel, weight.transpose(2, 3, 1, 0))


def vgg19_state(width):
    """torchvision's names and layout of `vgg19`, narrow."""
    state, before = {}, 3
    layers = {0: 1, 2: 1, 5: 2, 7: 2, 10: 4, 12: 4, 14: 4, 16: 4}
    layers |= {i: 8 for i in (19, 21, 23, 25, 28, 30, 32, 34)}
    for layer, factor in layers.items():
        state[f"features.{layer}.weight"] = drawn(str(layer), (width * factor, before, 3, 3))
        state[f"features.{layer}.bias"] = drawn(f"{layer} bias", (width * factor,))
        before = width * factor
    state["classifier.0.weight"] = np.zeros((4, before * 49))
    state["classifier.0.bias"] = np.zeros(4)
    return state


def test_vgg19_is_read_by_torchvisions_names():
    state = vgg19_state(2)
    module, variables = pytorch.vgg19_features(state)
    assert module.width == 2
    order = {"conv1_1": 0, "conv2_2": 7, "conv3_4": 16, "conv4_3": 23, "conv5_1": 28}
    for name, layer in order.items():
        kernel, weight = variables["params"][name]["kernel"], state[f"features.{layer}.weight"]
        np.testing.assert_array_equal(kernel, weight.transpose(2, 3, 1, 0).astype(np.float32))
    image = np.random.default_rng(0).uniform(-1, 1, (1, 16, 16, 3)).astype(np.float32)
    maps = jax.jit(module.apply)(variables, image)
    # relu1_1 by hand: torchvision's normalisation, then correlation with the weights as they lie.
    seen = ((image[0] + 1) / 2 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    seen = np.pad(seen, ((1, 1), (1, 1), (0, 0)))
    patch = seen[4:7, 9:12].transpose(2, 0, 1)  # around the pixel in row 4 and column 9
    expected = (state["features.0.weight"] * patch[None]).sum((1, 2, 3)) + state["features.0.bias"]
    np.testing.assert_allclose(maps[0][0, 4, 9], np.maximum(expected, 0), rtol=1e-4, atol=1e-5)
    del state["features.28.weight"]
    with pytest.raises(ValueError, match=r"VGG-19: the tensor features\.28\.weight is missing"):
        pytorch.vgg19_features(state)


def test_missing_extra_and_misshaped_tensors_are_named():
    state = tiny_discriminator()
    without = {k: v for k, v in state.items() if k != "scale0_layer1.0.bias"}
    with pytest.raises(ValueError, match=r"scale0_layer1\.0\.bias is missing"):
        pytorch.multiscale_discriminator(without)
    with pytest.raises(ValueError, match=r"1 tensors are left over, such as spare"):
        pytorch.multiscale_discriminator({**state, "spare": np.zeros(1)})
    wrong = {**state, "scale0_layer1.0.weight": np.zeros((4, 3, 4, 4), np.float32)}
    with pytest.raises(ValueError, match=r"conv_1/kernel: expected shape \(4, 4, 2, 4\)"):
        pytorch.multiscale_discriminator(wrong)
    with pytest.raises(ValueError, match=r"scale0_layer0\.0\.weight must have 4 axes"):
        pytorch.multiscale_discriminator({**state, "scale0_layer0.0.weight": np.zeros(3)})


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        pytorch.load_state_dict(tmp_path / "nowhere.safetensors")
    path = tmp_path / "cut.safetensors"
    save_file(tiny_discriminator(), path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"cut\.safetensors is neither .* a whole safetensors"):
        pytorch.load_state_dict(path)
