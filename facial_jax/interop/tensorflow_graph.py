"""Constants of a frozen TensorFlow graph, read without TensorFlow.

A frozen graph is a protocol buffer (GraphDef): a list of nodes, of which those of the kind Const
hold tensors. This reads the wire format as far as that needs, and nothing else of the graph.
"""

import math
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from facial_jax.readers.size_limit import SizeLimit

# Field numbers of TensorFlow's messages.
_GRAPH_NODE = 1
_NODE_NAME, _NODE_KIND, _NODE_ATTRIBUTE = 1, 2, 5
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_VALUE_TENSOR = 8
_TENSOR_TYPE, _TENSOR_SHAPE, _TENSOR_CONTENT = 1, 2, 4
_TENSOR_FLOATS, _TENSOR_HALVES = 5, 13
_SHAPE_DIMENSION, _DIMENSION_SIZE = 2, 1

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_DTYPES = {1: np.dtype("<f4"), 2: np.dtype("<f8"), 19: np.dtype("<f2")}


def read_constants(path: str | Path) -> dict[str, np.ndarray]:
    """The floating-point constants of a frozen graph by their nodes' names, as float32.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not a graph, or is cut short.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no graph at {path}")
    data = path.read_bytes()
    try:
        nodes = [node for number, node in _fields(memoryview(data)) if number == _GRAPH_NODE]
        limit = SizeLimit(len(data))
        constants = dict(filter(None, (_constant(node, limit) for node in nodes)))
    except (IndexError, ValueError, TypeError, AttributeError, struct.error) as error:
        start = "; it begins like a pointer of Git LFS" if data.startswith(b"version ") else ""
        raise ValueError(
            f"{path} is not a whole frozen TensorFlow graph (GraphDef): {error}{start}"
        ) from error
    if not constants:
        raise ValueError(f"{path} holds no floating-point constants: is it a frozen graph?")
    return constants


def _constant(node: memoryview, limit: SizeLimit) -> tuple[str, np.ndarray] | None:
    name, kind, tensor = "", "", None
    for number, value in _fields(node):
        if number == _NODE_NAME:
            name = _text(value)
        elif number == _NODE_KIND:
            kind = _text(value)
        elif number == _NODE_ATTRIBUTE:
            entry = dict(_fields(value))
            if _text(entry.get(_ENTRY_KEY, memoryview(b""))) == "value":
                tensor = dict(_fields(entry[_ENTRY_VALUE])).get(_VALUE_TENSOR)
    if kind != "Const" or tensor is None:
        return None
    array = _tensor(tensor, limit)
    return None if array is None else (name, array)


def _text(value: int | memoryview) -> str:
    if isinstance(value, int):  # of which `bytes` would make so many zeros
        raise ValueError("a number in the place of a text")
    return bytes(value).decode()


def _tensor(message: memoryview, limit: SizeLimit) -> np.ndarray | None:
    """The tensor of a TensorProto; None if it does not hold floating-point numbers."""
    dtype, shape, values = None, [], []
    limit.count(len(message))
    for number, value in _fields(message):
        if number == _TENSOR_TYPE:
            dtype = _DTYPES.get(value)
        elif number == _TENSOR_SHAPE:
            dimensions = [field for tag, field in _fields(value) if tag == _SHAPE_DIMENSION]
            shape = [dict(_fields(field)).get(_DIMENSION_SIZE, 0) for field in dimensions]
        elif number == _TENSOR_CONTENT:
            values.append(np.frombuffer(value, dtype))
        elif number == _TENSOR_FLOATS:
            packed = value if isinstance(value, memoryview) else struct.pack("<I", value)
            values.append(np.frombuffer(packed, "<f4"))
        elif number == _TENSOR_HALVES:
            bits = list(_varints(value)) if isinstance(value, memoryview) else [value]
            values.append(np.array(bits, np.uint16).view("<f2"))
    if dtype is None:
        return None
    flat = np.concatenate(values).astype(np.float32) if values else np.zeros(1, np.float32)
    size = math.prod(shape)
    limit.count(4 * max(size, 0))
    if len(flat) < size:  # the last value stands for all that follow
        flat = np.concatenate([flat, np.full(size - len(flat), flat[-1])])
    return flat.reshape(shape)


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Field numbers and values: integers, or bytes for what has a length."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, position = _varint(message, position)
        elif wire in (_FIXED_32, _FIXED_64):
            size = 4 if wire == _FIXED_32 else 8
            value = int.from_bytes(_slice(message, position, size), "little")
            position += size
        elif wire == _BYTES:
            size, position = _varint(message, position)
            value = _slice(message, position, size)
            position += size
        else:
            raise ValueError(f"unknown wire type {wire}")
        yield number, value


def _slice(message: memoryview, start: int, size: int) -> memoryview:
    if start + size > len(message):
        raise ValueError(f"{size} bytes expected, {len(message) - start} left")
    return message[start : start + size]


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def _varints(message: memoryview) -> Iterator[int]:
    position = 0
    while position < len(message):
        value, position = _varint(message, position)
        yield value
