import zlib

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from facial_jax.interop import pytorch


def drawn(name, shape):
    """A tensor from a generator of its own, seeded by the CRC-32 of its name."""
    return np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, dtype=np.float64)


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
