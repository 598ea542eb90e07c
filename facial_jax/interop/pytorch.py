"""The published PyTorch weights to this project's variables.  No PyTorch needed.

A state dict here is a mapping from names to NumPy arrays in PyTorch's layout (convolutions
[out, in, …], transposed convolutions [in, out, …], linear layers [out, in]).  Widths and depths are
read from the tensors.  Every function raises ValueError, naming the tensors, if one is missing,
left over or of a shape that does not fit.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import unflatten_dict
from safetensors import SafetensorError
from safetensors.numpy import load_file

from facial_jax.interop.torch_checkpoint import is_torch_checkpoint, read_torch_checkpoint
from facial_jax.models.facial_gan.network import FacialDiscriminator, FacialGenerator
from facial_jax.models.layers.parameters import check_variables
from facial_jax.models.layers.vgg import CONVOLUTIONS, VggFeatures, layer_names
from facial_jax.models.rendering_to_video.network import (
    GlobalGenerator,
    LocalEnhancer,
    MultiscaleDiscriminator,
)
from facial_jax.models.syncnet.network import COEFFICIENTS, FRAMES, MFCC_STEPS, SIZE_PX, SyncNet

StateDict = Mapping[str, np.ndarray]
Variables = dict[str, Any]


def load_state_dict(path: str | Path) -> dict[str, np.ndarray]:
    """A state dict stored by `torch.save` (.mdl, .pth) or as safetensors.

    A pickle can make tensors here and nothing else (see `torch_checkpoint`). A state dict saved
    under "state_dict", beside other things, is taken out; the prefix "module." that data-parallel
    training puts before every name is dropped.

    Raises FileNotFoundError, or ValueError with the file's name if it cannot be read, holds
    anything else, or asks for more than tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"No state dict at {path}.")
    if is_torch_checkpoint(path):
        state = read_torch_checkpoint(path)
        if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
            state = state["state_dict"]
    else:
        try:
            state = load_file(path)
        except SafetensorError as error:
            raise ValueError(
                f"{path} is neither a PyTorch checkpoint nor a whole safetensors file ({error})."
            ) from error
    if not isinstance(state, dict):
        raise ValueError(f"{path}: expected a state dict, got a {type(state).__name__}.")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, np.ndarray):
            raise ValueError(
                f"{path}: expected a state dict, names and tensors; {name!r} is a "
                f"{type(value).__name__}."
            )
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): value for name, value in state.items()}
    return state


class _Reader:
    """Takes tensors out of a state dict, one layer at a time, and remembers what was taken."""

    def __init__(self, state: StateDict, network: str):
        self._state = state
        self._network = network
        self._taken: set[str] = set()
        self.variables: dict[str, np.ndarray] = {}

    def get(self, name: str, rank: int) -> np.ndarray:
        """The tensor, float32."""
        if name not in self._state:
            raise ValueError(
                f"PyTorch weights of the {self._network}: the tensor {name} is missing."
            )
        array = np.asarray(self._state[name])
        if array.ndim != rank:
            raise ValueError(
                f"PyTorch weights of the {self._network}: {name} must have {rank} axes, "
                f"got shape {array.shape}."
            )
        self._taken.add(name)
        return array.astype(np.float32)

    def width(self, name: str, axis: int = 0) -> int:
        """A size read from a weight tensor."""
        if name not in self._state or np.ndim(self._state[name]) <= axis:
            raise ValueError(
                f"PyTorch weights of the {self._network}: the tensor {name} is missing."
            )
        return np.shape(self._state[name])[axis]

    def count(self, pattern: str, start: int = 0) -> int:
        """How many consecutive names `pattern.format(i)` there are."""
        i = start
        while pattern.format(i) in self._state:
            i += 1
        return i - start

    def conv(self, name: str, to: str, *, spatial: int, bias: bool = True) -> None:
        """A convolution with `spatial` axes; an axis of size 1 beyond them is dropped."""
        rank = 2 + spatial
        if np.ndim(self._state.get(name + ".weight")) == rank + 1:
            weight = self.get(name + ".weight", rank + 1)
            if weight.shape[-1] != 1:
                raise ValueError(
                    f"PyTorch weights of the {self._network}: {name}.weight must end in an axis "
                    f"of 1, got shape {weight.shape}."
                )
            weight = weight[..., 0]
        else:
            weight = self.get(name + ".weight", rank)
        self.variables[f"params/{to}/kernel"] = np.moveaxis(weight, (0, 1), (-1, -2))
        if bias:
            self.variables[f"params/{to}/bias"] = self.get(name + ".bias", 1)

    def transposed_conv(
        self, name: str, to: str, *, spatial: int, flip: bool, bias: bool = True
    ) -> None:
        """A transposed convolution; `flip` for Flax's own, which runs the kernel backwards."""
        kernel = np.moveaxis(self.get(name + ".weight", 2 + spatial), (0, 1), (-2, -1))
        if flip:
            kernel = np.flip(kernel, tuple(range(spatial)))
        self.variables[f"params/{to}/kernel"] = kernel
        if bias:
            self.variables[f"params/{to}/bias"] = self.get(name + ".bias", 1)

    def dense(self, name: str, to: str) -> None:
        """A linear layer."""
        self.variables[f"params/{to}/kernel"] = self.get(name + ".weight", 2).T
        self.variables[f"params/{to}/bias"] = self.get(name + ".bias", 1)

    def batch_norm(self, name: str, to: str) -> None:
        """A batch norm with its running statistics."""
        self.variables[f"params/{to}/scale"] = self.get(name + ".weight", 1)
        self.variables[f"params/{to}/bias"] = self.get(name + ".bias", 1)
        self.variables[f"batch_stats/{to}/mean"] = self.get(name + ".running_mean", 1)
        self.variables[f"batch_stats/{to}/var"] = self.get(name + ".running_var", 1)
        self._taken.add(name + ".num_batches_tracked")

    def finish(self, module, *inputs: tuple[int, ...]) -> Variables:
        """The variable tree, checked against the module's own for inputs of these shapes."""
        if extra := sorted(set(self._state) - self._taken):
            raise ValueError(
                f"PyTorch weights of the {self._network}: {len(extra)} tensors are left over, "
                f"such as {extra[0]}."
            )
        variables = unflatten_dict(self.variables, sep="/")
        examples = [jax.ShapeDtypeStruct(shape, np.float32) for shape in inputs]
        expected = jax.eval_shape(module.init, jax.random.key(0), *examples)
        check_variables(variables, expected, f"PyTorch weights of the {self._network}")
        return jax.tree.map(np.ascontiguousarray, variables)


def facial_generator(state: StateDict) -> tuple[FacialGenerator, Variables]:
    """FACIAL-GAN's generator and its variables (`params`, `batch_stats`)."""
    r = _Reader(state, "FACIAL generator")
    encoder = [f"conv{i}1" for i in range(1, 5)]
    for i, name in enumerate(encoder):
        r.conv(name, f"temporal/encoder/conv_{i}", spatial=2)
        r.batch_norm(name.replace("conv", "bn"), f"temporal/encoder/norm_{i}")
    fusion = ["conv42", "conv52"]
    for i, name in enumerate(fusion):
        r.conv(name, f"temporal/fusion_{i}", spatial=1)
        r.batch_norm(name.replace("conv", "bn"), f"temporal/fusion_norm_{i}")
    r.conv("conv62", "temporal/latent", spatial=1)
    local = [f"G1.conv{i}" for i in range(1, 5)]
    for i, name in enumerate(local):
        r.conv(f"{name}.0", f"local/conv_{i}", spatial=1)
        r.batch_norm(f"{name}.2", f"local/norm_{i}")
    r.dense("G1.fc1", "local/dense")
    r.batch_norm("G1.bn1", "local/dense_norm")
    r.dense("G1.fc2", "output")
    unet = _read_unet(r, state)
    attribute_size = r.width("G1.fc2.weight")
    module = FacialGenerator(
        attribute_size=attribute_size,
        temporal_features=tuple(r.width(f"{name}.weight") for name in encoder),
        unet_features=unet,
        fusion_features=tuple(r.width(f"{name}.weight") for name in fusion),
        latent_size=r.width("conv62.weight"),
        local_features=tuple(r.width(f"{name}.0.weight") for name in local),
    )
    speech_features = r.width("G1.conv1.0.weight", 1)
    frames = 4 * 2 ** len(unet)
    variables = r.finish(module, (1, frames, 16, speech_features), (1, attribute_size))
    return module, variables


def _read_unet(r: _Reader, state: StateDict) -> tuple[int, ...]:
    """The nested 1-D U-Net; returns the widths of its down path."""
    depth, prefix = 1, "model.model.1.model."
    while f"{prefix}1.weight" in state:
        depth, prefix = depth + 1, prefix + "3.model."
    features = []
    prefix = "model.model."
    for i in range(depth):
        innermost = i == depth - 1
        down, up, norm = (0, 3, None) if i == 0 else (1, 3, 4) if innermost else (1, 5, 6)
        features.append(r.width(f"{prefix}{down}.weight"))
        r.conv(f"{prefix}{down}", f"temporal/unet/down_{i}", spatial=1, bias=False)
        if 0 < i < depth - 1:
            r.batch_norm(f"{prefix}2", f"temporal/unet/down_norm_{i}")
        r.transposed_conv(
            f"{prefix}{up}", f"temporal/unet/up_{i}", spatial=1, flip=True, bias=i == 0
        )
        if norm is not None:
            r.batch_norm(f"{prefix}{norm}", f"temporal/unet/up_norm_{i}")
        prefix += "1.model." if i == 0 else "3.model."
    return tuple(features)


def facial_discriminator(
    state: StateDict, *, attribute_size: int = 71
) -> tuple[FacialDiscriminator, Variables]:
    """FACIAL-GAN's discriminator and its variables (`params`, `batch_stats`)."""
    r = _Reader(state, "FACIAL discriminator")
    convs = [0, 2, 5, 8]
    for i, layer in enumerate(convs):
        r.conv(f"model.{layer}", f"conv_{i}", spatial=2, bias=i == 0)
        if i:
            r.batch_norm(f"model.{layer + 1}", f"norm_{i}")
    r.conv("model.11", "output", spatial=2)
    module = FacialDiscriminator(features=tuple(r.width(f"model.{i}.weight") for i in convs))
    return module, r.finish(module, (1, 128, attribute_size))


def _read_global(r: _Reader, state: StateDict, to: str) -> tuple[int, int, int]:
    """The global generator without its output layer; returns downsamplings, blocks, next layer."""
    r.conv("model.1", f"{to}/stem/conv", spatial=2)
    layer, downsamplings = 4, 0
    while f"model.{layer}.weight" in state:
        r.conv(f"model.{layer}", f"{to}/down_{downsamplings}/conv", spatial=2)
        layer, downsamplings = layer + 3, downsamplings + 1
    blocks = r.count("model.{}.conv_block.1.weight", layer)
    for i in range(blocks):
        _read_block(r, f"model.{layer + i}", f"{to}/block_{i}")
    layer += blocks
    for i in reversed(range(downsamplings)):
        r.transposed_conv(f"model.{layer}", f"{to}/up_{i}", spatial=2, flip=False)
        layer += 3
    return downsamplings, blocks, layer


def _read_block(r: _Reader, name: str, to: str) -> None:
    r.conv(f"{name}.conv_block.1", f"{to}/conv_0/conv", spatial=2)
    r.conv(f"{name}.conv_block.5", f"{to}/conv_1/conv", spatial=2)


def global_generator(state: StateDict) -> tuple[GlobalGenerator, Variables]:
    """pix2pixHD's global generator and its variables (`params`)."""
    r = _Reader(state, "global generator")
    # The network's first layers end where the residual blocks begin, layer 4 + 3·downsamplings.
    downsamplings, blocks, layer = _read_global(r, state, "features")
    r.conv(f"model.{layer + 1}", "output/conv", spatial=2)
    module = GlobalGenerator(
        width=r.width("model.1.weight"),
        downsamplings=downsamplings,
        blocks=blocks,
        out_channels=r.width(f"model.{layer + 1}.weight"),
        kernel_size=r.width("model.1.weight", 2),
    )
    return module, r.finish(module, _image_shape(r.width("model.1.weight", 1), downsamplings))


def local_enhancer(state: StateDict) -> tuple[LocalEnhancer, Variables]:
    """pix2pixHD's local enhancer with its global part, and its variables (`params`)."""
    r = _Reader(state, "local enhancer")
    downsamplings, blocks, _ = _read_global(r, state, "global")
    r.conv("model1_1.1", "stem/conv", spatial=2)
    r.conv("model1_1.4", "down/conv", spatial=2)
    local_blocks = r.count("model1_2.{}.conv_block.1.weight")
    for i in range(local_blocks):
        _read_block(r, f"model1_2.{i}", f"block_{i}")
    r.transposed_conv(f"model1_2.{local_blocks}", "up", spatial=2, flip=False)
    output = f"model1_2.{local_blocks + 4}"
    r.conv(output, "output/conv", spatial=2)
    module = LocalEnhancer(
        width=r.width("model1_1.1.weight"),
        downsamplings=downsamplings,
        blocks=blocks,
        local_blocks=local_blocks,
        out_channels=r.width(f"{output}.weight"),
        kernel_size=r.width("model1_1.1.weight", 2),
    )
    channels = r.width("model1_1.1.weight", 1)
    return module, r.finish(module, _image_shape(channels, downsamplings + 1))


def multiscale_discriminator(state: StateDict) -> tuple[MultiscaleDiscriminator, Variables]:
    """The multi-scale PatchGAN and its variables (`params`).

    The published names count the scales from the smallest image: its last one is our first.
    """
    r = _Reader(state, "multi-scale discriminator")
    scales = r.count("scale{}_layer0.0.weight")
    layers = r.count("scale0_layer{}.0.weight") - 2
    for scale in range(scales):
        for i in range(layers + 2):
            to = f"conv_{i}" if i <= layers else "output"
            r.conv(f"scale{scales - 1 - scale}_layer{i}.0", f"scale_{scale}/{to}", spatial=2)
    module = MultiscaleDiscriminator(
        width=r.width("scale0_layer0.0.weight"), layers=layers, scales=scales
    )
    return module, r.finish(module, _image_shape(r.width("scale0_layer0.0.weight", 1), 6))


def vgg19_features(state: StateDict) -> tuple[VggFeatures, Variables]:
    """VGG-19 up to relu5_1, from torchvision's `vgg19`; its later layers are passed over.

    torchvision numbers convolutions, ReLUs and pools alike: `features.0`, `.2`, `.5`, … `.28`.
    """
    number, convolutions = 0, []
    for count in CONVOLUTIONS:
        convolutions += [number + 2 * i for i in range(count)]
        number += 2 * count + 1
    later = tuple(f"features.{i}." for i in range(convolutions[-1] + 1, 37))
    state = {k: v for k, v in state.items() if not k.startswith(("classifier.", *later))}
    r = _Reader(state, "VGG-19")
    for i, name in zip(convolutions, layer_names(), strict=True):
        r.conv(f"features.{i}", name, spatial=2)
    module = VggFeatures(width=r.width("features.0.weight"))
    return module, r.finish(module, (1, 16, 16, 3))


def syncnet(state: StateDict) -> tuple[SyncNet, Variables]:
    """SyncNet, from the published `syncnet_v2.model`, and its variables."""
    r = _Reader(state, "SyncNet")
    convolutions = {
        # Of each encoder: numbers of the convolutions among the published layers.
        "speech": ("netcnnaud", (0, 4, 8, 11, 14, 18), 2),
        "mouth": ("netcnnlip", (0, 4, 8, 11, 14, 18), 3),
    }
    for encoder, (name, numbers, spatial) in convolutions.items():
        for i, number in enumerate(numbers):
            to = f"{encoder}_encoder/conv_{i}"
            r.conv(f"{name}.{number}", to, spatial=spatial)
            if spatial == 3 and i:
                kernel = r.variables[f"params/{to}/kernel"]
                # After the first convolution one picture is left; (1, y, x) kernels are (y, x).
                r.variables[f"params/{to}/kernel"] = kernel.reshape(kernel.shape[1:])
            r.batch_norm(f"{name}.{number + 1}", f"{encoder}_encoder/norm_{i}")
    for encoder, name in (("speech", "netfcaud"), ("mouth", "netfclip")):
        r.dense(f"{name}.0", f"{encoder}_encoder/head/hidden")
        r.batch_norm(f"{name}.1", f"{encoder}_encoder/head/norm")
        r.dense(f"{name}.3", f"{encoder}_encoder/head/vector")
    module = SyncNet(size=r.width("netfcaud.3.weight"))
    speech, pictures = (1, COEFFICIENTS, MFCC_STEPS, 1), (1, FRAMES, SIZE_PX, SIZE_PX, 3)
    return module, r.finish(module, speech, pictures)


def _image_shape(channels: int, halvings: int) -> tuple[int, int, int, int]:
    """An image large enough to be halved and mirrored."""
    size = 8 * 2**halvings
    return (1, size, size, channels)
