"""MATLAB's files as SciPy writes them, in every numeric type, byte order and packing."""

import struct

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from facial_jax.readers.matlab import read_mat
from tests.readers.samples import mat

TYPES = ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]


@pytest.mark.parametrize("packed", [False, True])
def test_matrices_are_those_that_scipy_reads(tmp_path, packed):
    rng = np.random.default_rng(0)
    arrays = {f"m_{t}": rng.integers(0, 100, (3, 5)).astype(t) for t in TYPES}
    arrays |= {"three": rng.normal(size=(2, 3, 4)), "none": np.zeros((0, 3)), "n": np.float32(3)}
    path = tmp_path / "a.mat"
    savemat(path, arrays | {"a_text": "text", "cells": {"b": 1}}, do_compression=packed)
    read, expected = read_mat(path, list(arrays)), loadmat(path)
    assert list(read) == list(arrays)
    for name in arrays:
        np.testing.assert_array_equal(read[name], expected[name])
        assert read[name].shape == expected[name].shape
        assert read[name].dtype == expected[name].dtype
    assert list(read_mat(path, ("three", "absent"))) == ["three"]


def test_the_other_byte_order_is_read(tmp_path):
    numbers = np.array([[1.5, -2.0, 3.25]])
    element = (
        struct.pack(">II", 6, 8)
        + struct.pack(">II", 6, 0)  # a matrix of doubles
        + struct.pack(">IIii", 5, 8, 1, 3)
        + struct.pack(">HH", 1, 1)  # one byte, within the tag
        + b"x\0\0\0"
        + struct.pack(">II", 9, 24)
        + numbers.astype(">f8").tobytes()
    )
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI"
    path = tmp_path / "a.mat"
    path.write_bytes(head + struct.pack(">II", 14, len(element)) + element)
    np.testing.assert_array_equal(read_mat(path, ("x",))["x"], numbers)
    np.testing.assert_array_equal(loadmat(path)["x"], numbers)


def test_other_files_are_named(tmp_path):
    path = tmp_path / "a.mat"
    with pytest.raises(FileNotFoundError, match=r"a\.mat"):
        read_mat(path, ("x",))
    for content in (b"", b"no matrices", mat({"x": 1})[:150], b"\x89HDF\r\n\x1a\n" + bytes(200)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.mat cannot be read as a \.mat file"):
            read_mat(path, ("x",))
