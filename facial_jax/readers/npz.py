"""Arrays of NumPy's .npz and .npy files, as `np.savez` and `np.save` write them, without pickles.

`np.load` takes the size of an array from its header before it looks whether the file has as much,
and what a file of zeros unpacks to is a thousand times as large.
"""

import io
import math
import os
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from facial_jax.readers.size_limit import SizeLimit

_TIMES, _AT_LEAST = 16, 64 << 20  # digital silence and zeros are packed tightly
_ENDING, _HEADER_BYTES = ".npy", 1 << 16
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ERRORS = (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error, RuntimeError)


def npz_names(path: str | os.PathLike) -> list[str]:
    """The names of the arrays in a file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such file, or damaged.
    """
    with _opened(path) as (archive, _):
        return [name.removesuffix(_ENDING) for name in archive.namelist()]


def read_npz(
    path: str | os.PathLike, names: Collection[str] | None = None
) -> dict[str, np.ndarray]:
    """Those of these arrays that a file holds; all of them if None.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such file, is damaged, holds other things than numbers and texts, or
            would take much more memory than it is long.
    """
    arrays = {}
    with _opened(path) as (archive, limit):
        for entry in archive.infolist():
            name = entry.filename.removesuffix(_ENDING)
            if names is None or name in names:
                arrays[name] = _read(archive, entry, limit)
    return arrays


@contextmanager
def _opened(path: str | os.PathLike) -> Iterator[tuple[zipfile.ZipFile, SizeLimit]]:
    """The archive and its limit; what goes wrong inside becomes a ValueError with the path."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            size = path.stat().st_size
            yield archive, SizeLimit(size, times=_TIMES, at_least=_AT_LEAST)
    except _ERRORS as error:
        reason = str(error) or type(error).__name__
        raise ValueError(f"{path} is no whole .npz file: {reason}") from error


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limit: SizeLimit) -> np.ndarray:
    if entry.compress_type not in _PACKED:
        raise ValueError(f"{entry.filename} is packed as np.savez does not")
    limit.count(entry.file_size)
    data = bytearray(entry.file_size)
    with archive.open(entry) as stream, memoryview(data) as view:
        filled = 0
        while got := stream.readinto(view[filled:]):
            filled += got
    if filled < len(data):
        raise ValueError(f"{entry.filename} is cut off")
    start, shape, order, dtype = _header(io.BytesIO(bytes(data[:_HEADER_BYTES])), len(data))
    if start == len(data):
        return np.zeros(shape, dtype, order)
    return np.frombuffer(data, dtype, offset=start).reshape(shape, order=order)


def map_npy(path: str | os.PathLike) -> np.ndarray:
    """The array of an .npy file, of which only what is looked at is read.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such file, is damaged, or holds other things than numbers and texts.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with path.open("rb") as file:
            start, shape, order, dtype = _header(file, path.stat().st_size)
    except _ERRORS as error:
        raise ValueError(f"{path} is no whole .npy file: {error}") from error
    if 0 in shape:
        return np.zeros(shape, dtype, order)
    return np.memmap(path, dtype, "r", start, shape, order)


def _header(file: io.BufferedIOBase, size: int) -> tuple[int, tuple[int, ...], str, np.dtype]:
    """Where in a file of this size an array's numbers begin, its shape, order and type."""
    try:
        version = npy.read_magic(file)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, fortran, dtype = read(file)
    except Exception as error:  # the header is Python: errors of its parser are among them
        raise ValueError(f"an array's header cannot be read ({error})") from error
    if dtype.kind not in "biufU":
        raise ValueError(f"an array holds neither numbers nor texts but {dtype}")
    start = file.tell()
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != size - start:
        raise ValueError(
            f"an array says that it is {dtype} of shape {shape}, but has {size - start} bytes"
        )
    return start, shape, "F" if fortran else "C", dtype
