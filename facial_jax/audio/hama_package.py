"""The weights and the tokens inside the installed package `hama`, read without its code.

The package (PyPI, Apache-2.0) is looked up, not imported: its engine exists for some platforms
only, and is not needed.
"""

import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import struct
from pathlib import Path

import jax
import numpy as np

from facial_jax.audio.recogniser import (
    STFT_BINS,
    STFT_LENGTH,
    Recogniser,
    RecogniserConfig,
    RecogniserWeights,
)
from facial_jax.models.layers.parameters import check_variables

VERSION = "1.7.0"
"""The version of the package whose weights are known here."""
KNOWN_SHA256 = "55dac1ed9ea2de0574d319ad39a4f6e755e299e8ed52b2e2eabda3e0475b069c"
"""`files_hash` of that version's files."""
WORD_BOUNDARY, BLANK = "<wb>", "<blank>"
"""The tokens after those that the package lists."""

_WEIGHTS, _TOKENS = "assets/asr_waveform.hama", "assets/g2p_vocab.json"
_HEADS = 4
_MAGIC, _ALIGNMENT = b"HAMAPK\x01", 16
_DTYPES = {0: np.dtype("<f4"), 1: np.dtype("<f2")}
_INSTALL = f"pip install hama=={VERSION}"


def is_installed() -> bool:
    """Whether the package is there, of whatever version."""
    return importlib.util.find_spec("hama") is not None


def _files() -> tuple[Path, Path]:
    """The files of the weights and of the tokens; FileNotFoundError if they are missing."""
    spec = importlib.util.find_spec("hama")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            "the acoustic model phonemes reads its weights from the package hama, which is not "
            f"installed; install it with `{_INSTALL}`"
        )
    folder = Path(spec.submodule_search_locations[0])
    paths = folder / _WEIGHTS, folder / _TOKENS
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(
                f"the package hama is installed, but {path} is not there; install it again with "
                f"`pip install --force-reinstall hama=={VERSION}`"
            )
    return paths


def files_hash(weights: Path, tokens: Path) -> str:
    """SHA-256 of both files, in hexadecimal."""
    return hashlib.sha256(weights.read_bytes() + tokens.read_bytes()).hexdigest()


@functools.cache
def check_package() -> str:
    """The SHA-256 of the installed package's files, which are those that are known.

    Raises:
        FileNotFoundError: the package is not installed.
        ValueError: its weights are others, or damaged.
    """
    digest = files_hash(*_files())
    if digest == KNOWN_SHA256:
        return digest
    try:
        version = importlib.metadata.version("hama")
    except importlib.metadata.PackageNotFoundError:
        version = "of an unknown version"
    if version == VERSION:
        raise ValueError(
            f"the weights in the package hama {VERSION} are damaged; install it again with "
            f"`pip install --force-reinstall hama=={VERSION}`"
        )
    raise ValueError(
        f"the installed package hama {version} has other weights than version {VERSION}, for which "
        f"the acoustic model phonemes is made; install that one with `{_INSTALL}`"
    )


@functools.cache
def load_recogniser() -> tuple[RecogniserWeights, RecogniserConfig, tuple[str, ...]]:
    """The recogniser of the installed package: weights, sizes, tokens in the order of its output.

    Raises what `check_package` raises.
    """
    check_package()
    weights, tokens = _files()
    return (*convert_weights(read_tensors(weights), heads=_HEADS), read_tokens(tokens))


def read_tokens(path: Path) -> tuple[str, ...]:
    """The tokens in the order of the network's output."""
    return (*json.loads(path.read_text(encoding="utf-8"))["decoder"], WORD_BOUNDARY, BLANK)


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a `.hama` file by name, as float32.

    The file, in little-endian order: "HAMAPK", two bytes of version, a 32-bit count; for each
    tensor its name (16-bit length, UTF-8), type (0: float32, 1: float16) and rank, a byte each, its
    sizes in 32 bits, and in 64 bits the place and the number of its bytes; then, from the next
    multiple of 16 on, where places are counted from, the numbers.

    Raises ValueError if it is cut short, damaged or something else.
    """
    data = path.read_bytes()
    if data[: len(_MAGIC)] != _MAGIC:
        raise ValueError(f"{path} is not a file of weights of the package hama")
    try:
        entries, end = _read_index(data)
        base = -(-end // _ALIGNMENT) * _ALIGNMENT
        return {
            name: _read_tensor(data, dtype, shape, base + place, size)
            for name, (dtype, shape, place, size) in entries.items()
        }
    except (struct.error, KeyError, ValueError) as error:
        raise ValueError(f"the weights file {path} is damaged ({error!r})") from error


def _read_index(data: bytes) -> tuple[dict[str, tuple], int]:
    """Type, shape, place and size of every tensor, and where the index ends."""
    (count,) = struct.unpack_from("<I", data, 8)
    entries, at = {}, 12
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + length].decode()
        dtype, rank = struct.unpack_from("<BB", data, at + 2 + length)
        at += 4 + length
        *shape, place, size = struct.unpack_from(f"<{rank}IQQ", data, at)
        at += 4 * rank + 16
        entries[name] = (_DTYPES[dtype], shape, place, size)
    return entries, at


def _read_tensor(data, dtype, shape, start, size) -> np.ndarray:
    count = int(np.prod(shape))
    if count * dtype.itemsize != size:
        raise ValueError(f"{size} bytes for a tensor of shape {shape}")
    values = np.frombuffer(data, dtype, count, start).astype(np.float32)
    if not np.isfinite(values).all():
        raise ValueError("numbers that are not finite")
    return values.reshape(shape)


def convert_weights(
    tensors: dict[str, np.ndarray], *, heads: int
) -> tuple[RecogniserWeights, RecogniserConfig]:
    """The package's tensors as this project's parameters; the sizes are the tensors' own.

    Raises ValueError if one is missing or does not fit the others.
    """
    numbered = {
        kind: sorted((n for n in tensors if n.startswith(f"onnx::{kind}_")), key=_number)
        for kind in ("Conv", "MatMul")
    }
    # Weights that the export to ONNX has folded or turned have numbers for names, in their order:
    # the stem's and each block's convolution, each with a bias; six products in each block.
    blocks = len(numbered["MatMul"]) // 6
    if len(numbered["MatMul"]) != 6 * blocks or len(numbered["Conv"]) != 2 * blocks + 2:
        raise ValueError(
            f"these are not the weights of a recogniser: {len(numbered['MatMul'])} products, "
            f"{len(numbered['Conv'])} convolutions and their biases"
        )
    try:
        stem, stem_bias, *convs = (tensors[n] for n in numbered["Conv"])
        products = [tensors[n] for n in numbered["MatMul"]]
        params = {
            "stem": {"kernel": stem.transpose(2, 1, 0), "bias": stem_bias},
            "tokens": {
                "kernel": tensors["acoustic_model.model.proj.weight"][:, :, 0].T,
                "bias": tensors["acoustic_model.model.proj.bias"],
            },
        }
        for i in range(blocks):
            params[f"block_{i}"] = _block(
                tensors,
                f"acoustic_model.model.blocks.{i}.",
                convs[2 * i : 2 * i + 2],
                products[6 * i : 6 * i + 6],
            )
        weights = RecogniserWeights(
            stft=np.concatenate(
                [tensors["stft_real_kernel"][:, 0].T, tensors["stft_imag_kernel"][:, 0].T], axis=1
            ),
            mel_filters=tensors["mel_fb"],
            params=params,
        )
        width, mel_bands, _ = stem.shape
        config = RecogniserConfig(
            mel_bands=mel_bands,
            width=width,
            hidden=products[0].shape[1],
            kernel=convs[0].shape[2],
            heads=heads,
            blocks=blocks,
            tokens=params["tokens"]["bias"].shape[0],
        )
    except (KeyError, ValueError, IndexError) as error:
        raise ValueError(f"these are not the weights of a recogniser ({error!r})") from error
    _check(weights, config)
    return weights, config


def _number(name: str) -> int:
    return int(name.rpartition("_")[2])


def _block(tensors, prefix: str, convolution, products) -> dict:
    """The parameters of a `ConformerBlock`."""

    def norm(name):
        return {"scale": tensors[f"{prefix}{name}.weight"], "bias": tensors[f"{prefix}{name}.bias"]}

    def dense(kernel, bias):
        return {"kernel": kernel, "bias": tensors[prefix + bias]}

    def pointwise(name):
        return dense(tensors[f"{prefix}conv.{name}.weight"][:, :, 0].T, f"conv.{name}.bias")

    before_in, before_out, attention_in, attention_out, after_in, after_out = products
    kernel, bias = convolution
    return {
        "before": {
            "norm": norm("ffn1.norm"),
            "in": dense(before_in, "ffn1.fc1.bias"),
            "out": dense(before_out, "ffn1.fc2.bias"),
        },
        "attention": {
            "norm": norm("attn_norm"),
            "in": dense(attention_in, "attn.in_proj_bias"),
            "out": dense(attention_out, "attn.out_proj.bias"),
        },
        "convolution": {
            "norm": norm("conv.norm"),
            "in": pointwise("pointwise1"),
            "kernel": kernel[:, 0].T,
            "bias": bias,
            "out": pointwise("pointwise2"),
        },
        "after": {
            "norm": norm("ffn2.norm"),
            "in": dense(after_in, "ffn2.fc1.bias"),
            "out": dense(after_out, "ffn2.fc2.bias"),
        },
        "norm": norm("norm"),
    }


def _check(weights: RecogniserWeights, config: RecogniserConfig) -> None:
    """Raises ValueError if a shape is not that of the network with these sizes."""
    if config.width % config.heads or not config.kernel % 2:
        raise ValueError(f"no such recogniser: {config}")
    log_mel = jax.ShapeDtypeStruct((1, 8, config.mel_bands), np.float32)
    valid = jax.ShapeDtypeStruct((1, 8), np.bool_)
    expected = jax.eval_shape(Recogniser(config).init, jax.random.key(0), log_mel, valid)
    front_end = {
        "stft": jax.ShapeDtypeStruct((STFT_LENGTH, 2 * STFT_BINS), np.float32),
        "mel_filters": jax.ShapeDtypeStruct((STFT_BINS, config.mel_bands), np.float32),
    }
    check_variables(
        {"params": weights.params, "stft": weights.stft, "mel_filters": weights.mel_filters},
        {**expected, **front_end},
        "the recogniser's weights",
    )
