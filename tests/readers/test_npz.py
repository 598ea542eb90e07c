"""NumPy's own files come back as they were."""

import numpy as np
import pytest

from facial_jax.readers.npz import map_npy, npz_names, read_npz

ARRAYS = {
    "rows": np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32),
    "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "flags": np.array([True, False]),
    "big_endian": np.arange(3, dtype=">i4"),
    "text": np.array("someone"),
    "number": np.array(3),
    "none": np.zeros((0, 5), np.int16),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back(tmp_path, save):
    path = tmp_path / "a.npz"
    save(path, **ARRAYS)
    read = read_npz(path)
    assert list(read) == npz_names(path) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(read[name], array)
        assert (read[name].shape, read[name].dtype) == (array.shape, array.dtype)
    read["rows"][0] = 0  # it can be changed
    assert list(read_npz(path, ("text", "absent"))) == ["text"]


def test_a_mapped_array_is_the_array(tmp_path):
    for name, array in ARRAYS.items():
        np.save(tmp_path / f"{name}.npy", array)
        mapped = map_npy(tmp_path / f"{name}.npy")
        np.testing.assert_array_equal(mapped, array)
        assert (mapped.shape, mapped.dtype) == (array.shape, array.dtype)


def test_a_missing_file_is_named(tmp_path):
    for read in (read_npz, npz_names, map_npy):
        with pytest.raises(FileNotFoundError, match="nothing"):
            read(tmp_path / "nothing")
