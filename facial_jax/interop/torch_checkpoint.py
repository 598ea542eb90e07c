"""Reads what `torch.save` wrote, without PyTorch and without running anything from the file.

Checkpoints are pickles, and a pickle may call any function. This reader knows four names: ordered
dictionaries, tensors, parameters and the storages that hold their numbers. It refuses every other.
Both layouts of `torch.save` are read: the zip archive (since PyTorch 1.6) and the older file of
five pickles followed by the numbers.
"""

import functools
import io
import math
import os
import pickle
import pickletools
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from facial_jax.readers.size_limit import SizeLimit

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_START = b"\x80\x02\x8a\x0a"  # a pickle that begins with an integer of ten bytes
_ZIP_START = b"PK\x03\x04"
_OBJECTS_AT_LEAST = 1 << 12

_DTYPES = {
    "DoubleStorage": np.dtype(np.float64),
    "FloatStorage": np.dtype(np.float32),
    "HalfStorage": np.dtype(np.float16),
    "BFloat16Storage": np.dtype(jnp.bfloat16),
    "LongStorage": np.dtype(np.int64),
    "IntStorage": np.dtype(np.int32),
    "ShortStorage": np.dtype(np.int16),
    "CharStorage": np.dtype(np.int8),
    "ByteStorage": np.dtype(np.uint8),
    "BoolStorage": np.dtype(np.bool_),
}


class _StorageType(NamedTuple):
    dtype: np.dtype


class _Storage(NamedTuple):
    """Numbers somewhere in the file: elements `first` to `first + count` of those under `key`."""

    key: str
    dtype: np.dtype
    first: int
    count: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Refused(pickle.UnpicklingError):
    """The pickle names something other than tensors."""


def is_torch_checkpoint(path: str | Path) -> bool:
    """Whether the file begins as one that `torch.save` wrote, in either layout."""
    with open(path, "rb") as file:
        start = file.read(4)
    return start in (_ZIP_START, _LEGACY_START)


def read_torch_checkpoint(path: str | Path) -> Any:
    """The object saved: dictionaries, lists, numbers, strings, and tensors as NumPy arrays.

    bfloat16 tensors have JAX's NumPy dtype of that name. Arrays share no memory.

    Raises:
        ValueError: if the file is cut off or not a checkpoint, or if it asks for anything but
            tensors; the message names what was refused, and nothing of it has been run.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            if file.read(4) == _ZIP_START:
                return _read_zip(file)
            file.seek(0)
            return _read_legacy(file)
    except _Refused as error:
        raise ValueError(
            f"{path} asks for {error}, which no state dict needs; it was refused and not run. "
            "Save the model's state_dict() alone, or convert the file to safetensors."
        ) from None
    # What a damaged pickle may raise is not documented.
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise ValueError(f"{path} is not a whole PyTorch checkpoint ({reason}).") from error


def _checked(file: io.BufferedIOBase) -> io.BufferedIOBase:
    """The file, if the pickle there keeps no more objects than it has bytes.

    Python's unpickler makes room for all numbers up to the one that an object is kept under.
    """
    begin, most = file.tell(), file.seek(0, io.SEEK_END)
    file.seek(begin)
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name in ("PUT", "LONG_BINPUT") and argument > most:
            raise pickle.UnpicklingError(f"an object is kept as number {argument}")
    file.seek(begin)
    return file


class _Unpickler(pickle.Unpickler):
    """Makes containers, numbers, strings and descriptions of tensors, and nothing else."""

    def __init__(self, file: io.BufferedIOBase):
        super().__init__(_checked(file))
        self.dtypes: dict[str, np.dtype] = {}  # by storage key

    def find_class(self, module: str, name: str) -> Any:
        match module, name:
            case "collections", "OrderedDict":
                return OrderedDict
            # New functions each time: a pickle can set attributes of what it is given.
            case "torch._utils", "_rebuild_tensor_v2":
                return lambda storage, offset, shape, strides, *_: _Tensor(
                    storage, offset, shape, strides
                )
            case "torch._utils", "_rebuild_parameter":
                return lambda tensor, *_: tensor
            case "torch", name if name in _DTYPES:
                return _StorageType(_DTYPES[name])
        raise _Refused(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage_type, key, _, count, *view = pid
        if kind != "storage" or not isinstance(storage_type, _StorageType):
            raise _Refused(f"a persistent {kind!r} object")
        self.dtypes[key] = storage_type.dtype
        first = 0
        if view and view[0] is not None:
            _, first, count = view[0]
        return _Storage(key, storage_type.dtype, first, count)


def _read_zip(file: io.BufferedIOBase) -> Any:
    with zipfile.ZipFile(file) as archive:
        pickles = [name for name in archive.namelist() if name.count("/") == 1]
        pickles = [name for name in pickles if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ValueError("a zip archive without data.pkl")
        folder = pickles[0].removesuffix("data.pkl")
        size = os.fstat(file.fileno()).st_size
        packed = SizeLimit(size)

        def read(name: str) -> bytes:
            packed.count(archive.getinfo(name).file_size)
            return archive.read(name)

        order = "<"
        if folder + "byteorder" in archive.namelist():
            order = {b"little": "<", b"big": ">"}[read(folder + "byteorder")]
        saved = _Unpickler(io.BytesIO(read(pickles[0]))).load()

        contents = functools.cache(lambda key: read(f"{folder}data/{key}"))

        def numbers(storage: _Storage) -> np.ndarray:
            return np.frombuffer(contents(storage.key), storage.dtype.newbyteorder(order))

        return _with_arrays(saved, numbers, _Limits(size))


def _read_legacy(file: io.BufferedIOBase) -> Any:
    if _Unpickler(file).load() != _LEGACY_MAGIC:
        raise ValueError("it begins otherwise")
    _Unpickler(file).load()  # the protocol's version, 1001
    _Unpickler(file).load()  # the machine that wrote it; the numbers are little-endian on all
    unpickler = _Unpickler(file)
    saved = unpickler.load()
    storages = {}
    for key in _Unpickler(file).load():
        dtype = unpickler.dtypes[key].newbyteorder("<")
        (count,) = struct.unpack("<q", file.read(8))
        size = count * dtype.itemsize
        if not 0 <= size <= os.fstat(file.fileno()).st_size - file.tell():
            raise ValueError(f"it ends before the {count} numbers of storage {key}")
        storages[key] = np.frombuffer(file.read(size), dtype)
    limits = _Limits(os.fstat(file.fileno()).st_size)
    return _with_arrays(saved, lambda storage: storages[storage.key], limits)


class _Limits:
    """How many objects, and bytes of arrays, become of a file of this size."""

    def __init__(self, file_bytes: int):
        self.arrays = SizeLimit(file_bytes)
        # Few bytes can say a list of ten times a list of ten times … a list.
        self.objects = SizeLimit(file_bytes, times=1, at_least=_OBJECTS_AT_LEAST)


def _with_arrays(saved: Any, numbers: Callable[[_Storage], np.ndarray], limits: _Limits) -> Any:
    """The saved object with arrays in the place of tensors."""
    limits.objects.count(1)
    if isinstance(saved, _Tensor):
        limits.arrays.count(math.prod(saved.shape) * saved.storage.dtype.itemsize)
        return _array(saved, numbers(saved.storage))
    if isinstance(saved, dict):
        return {key: _with_arrays(value, numbers, limits) for key, value in dict.items(saved)}
    if isinstance(saved, list | tuple):
        return type(saved)(_with_arrays(value, numbers, limits) for value in saved)
    return saved


def _array(tensor: _Tensor, numbers: np.ndarray) -> np.ndarray:
    first, count = tensor.storage.first, tensor.storage.count
    offset, shape, strides = tensor.offset, tensor.shape, tensor.strides
    # Strides count elements. What the tensor spans must lie within its storage.
    span = sum((n - 1) * step for n, step in zip(shape, strides, strict=True)) + 1
    span = 0 if 0 in shape else span
    whole = min(first, offset, *shape, *strides, 0) >= 0 and offset + span <= count
    if not whole or first + count > numbers.size:
        raise ValueError(
            f"a tensor of shape {shape}, strides {strides} and offset {offset} reaches beyond its "
            f"storage of {count} numbers, of which the file holds {numbers.size}"
        )
    view = np.lib.stride_tricks.as_strided(
        numbers[first + offset :], shape, [step * numbers.itemsize for step in strides]
    )
    return np.array(view, tensor.storage.dtype)
