"""Arrays of numbers from MATLAB's .mat files of versions 5 to 7 ("Level 5 MAT-files").

SciPy reads all that such files may hold: cells within cells, objects, and matrices that unpack to
any size. Here only full, real matrices of numbers are read, as they are stored, one at a time.
"""

import io
import math
import os
import struct
import zlib
from collections.abc import Collection
from pathlib import Path

import numpy as np

from facial_jax.readers.size_limit import SizeLimit

_HEADER_BYTES = 128
_MATRIX, _COMPRESSED, _INT32, _UINT32, _INT8 = 14, 15, 5, 6, 1
_NUMBERS = {
    **{1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4"},
    **{7: "f4", 9: "f8", 12: "i8", 13: "u8"},
}
_NUMERIC_CLASSES = range(6, 16)  # double, single, and integers of 8 to 64 bits
_COMPLEX = 0x08
_AT_LEAST = 64 << 20  # coefficients that are all zero are packed tightly
_LONGEST_NAME = 4096
_MOST_AXES = 32
_PIECE = 1 << 16


def read_mat(path: str | os.PathLike, names: Collection[str]) -> dict[str, np.ndarray]:
    """Those of these matrices that a file holds, of the type that they are stored as.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such file, is damaged, one of these is no full matrix of real numbers,
            or they would take much more memory than the file is long.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with path.open("rb") as file:
            return dict(_matrices(file, names))
    except (ValueError, zlib.error, struct.error, OSError) as error:
        raise ValueError(f"{path} cannot be read as a .mat file of version 5 to 7: {error}") from (
            error
        )


def _matrices(file: io.BufferedIOBase, names: Collection[str]):
    """(name, array) of the wanted ones."""
    size = os.fstat(file.fileno()).st_size
    header = file.read(_HEADER_BYTES)
    order = {b"IM": "<", b"MI": ">"}.get(header[126:128])
    if order is None or header[124:126] not in (b"\x00\x01", b"\x01\x00"):
        raise ValueError("it begins otherwise")
    limit = SizeLimit(size, at_least=_AT_LEAST)
    position = _HEADER_BYTES
    while position < size:
        file.seek(position)
        tag = file.read(8)
        if len(tag) < 8:
            raise ValueError("it is cut off")
        kind, length = struct.unpack(order + "II", tag)
        position += 8 + length
        if position > size:
            raise ValueError("it is cut off")
        if kind == _COMPRESSED:
            stream = _Inflated(file, length)
            kind, length = struct.unpack(order + "II", stream.read(8))
        else:
            stream = _Plain(file, length)
        if kind == _MATRIX:
            yield from _Matrix(stream, order, limit).read(names)


class _Plain:
    """The next `length` bytes of a file."""

    def __init__(self, file: io.BufferedIOBase, length: int):
        self._file, self._left = file, length

    def read(self, count: int) -> bytearray:
        """Exactly so many bytes."""
        if count > self._left:
            raise ValueError("a matrix ends before its numbers do")
        self._left -= count
        data = bytearray(count)
        if self._file.readinto(data) != count:
            raise ValueError("it is cut off")
        return data


class _Inflated:
    """What the next `length` bytes of a file unpack to, unpacked only as far as it is read."""

    def __init__(self, file: io.BufferedIOBase, length: int):
        self._packed, self._inflater = _Plain(file, length), zlib.decompressobj()
        self._left = length

    def read(self, count: int) -> bytearray:
        """Exactly so many bytes."""
        data = bytearray()
        while len(data) < count:
            piece = self._inflater.unconsumed_tail
            if not piece:
                size = min(_PIECE, self._left)
                self._left -= size
                piece = self._packed.read(size)
            got = self._inflater.decompress(piece, count - len(data))
            if not got and not self._left and not self._inflater.unconsumed_tail:
                raise ValueError("a matrix ends before its numbers do")
            data += got
        return data


class _Matrix:
    """One matrix: its flags, dimensions and name, and its numbers."""

    def __init__(self, stream: _Plain | _Inflated, order: str, limit: SizeLimit):
        self._stream, self._order, self._limit = stream, order, limit

    def read(self, names: Collection[str]):
        """(name, array), unless it has another name than these."""
        kind, flags = self._element(at_most=8)
        if kind != _UINT32 or len(flags) != 8:
            raise ValueError("a matrix has no flags")
        (flags,) = struct.unpack(self._order + "I", flags[:4])
        kind, dimensions = self._element(at_most=4 * _MOST_AXES)
        if kind != _INT32 or len(dimensions) < 8 or len(dimensions) % 4:
            raise ValueError("a matrix has no dimensions")
        shape = struct.unpack(f"{self._order}{len(dimensions) // 4}i", dimensions)
        kind, name = self._element(at_most=_LONGEST_NAME)
        if kind != _INT8:
            raise ValueError("a matrix has no name")
        name = name.decode("ascii", "replace")
        if name not in names:
            return
        if flags & 0xFF not in _NUMERIC_CLASSES or (flags >> 8) & _COMPLEX:
            raise ValueError(f"{name} is no full matrix of real numbers")
        count = math.prod(shape)
        if min(shape) < 0:
            raise ValueError(f"{name} has the dimensions {shape}")
        kind, data = self._element(at_most=8 * count)
        if kind not in _NUMBERS:
            raise ValueError(f"{name} is stored as numbers of the unknown type {kind}")
        dtype = np.dtype(_NUMBERS[kind]).newbyteorder(self._order)
        if len(data) != count * dtype.itemsize:
            raise ValueError(f"{name} says that it is {shape}, but has {len(data)} bytes")
        array = np.frombuffer(data, dtype).astype(dtype.newbyteorder("="), copy=False)
        yield name, array.reshape(shape, order="F")

    def _element(self, *, at_most: int) -> tuple[int, bytearray]:
        """Type and bytes of the next part of the matrix."""
        tag = self._stream.read(8)
        (first,) = struct.unpack(self._order + "I", tag[:4])
        if first >> 16:  # up to four bytes, within the tag
            kind, length = first & 0xFFFF, first >> 16
            if length > 4:
                raise ValueError(f"{length} bytes in four")
            return kind, tag[4 : 4 + length]
        (length,) = struct.unpack(self._order + "I", tag[4:])
        if length > at_most:
            raise ValueError(f"{length} bytes: expected at most {at_most}")
        self._limit.count(length)
        data = self._stream.read(length)
        self._stream.read(-length % 8)
        return first, data
