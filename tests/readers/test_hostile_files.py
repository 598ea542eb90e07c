"""Files made to harm: that run code, fill the memory, or never end."""

import io
import json
import pickle
import shutil
import struct
import zipfile
import zlib

import numpy as np
import pytest

from facial_jax.frame_rate import parse_frame_rate
from facial_jax.interop.tensorflow_graph import read_constants
from facial_jax.interop.torch_checkpoint import read_torch_checkpoint
from facial_jax.models.layers.parameters import load_variables, save_variables
from facial_jax.readers.matlab import read_mat
from facial_jax.readers.npz import map_npy, read_npz
from facial_jax.subject import DESCRIPTION, load_rendering_to_video, load_subject
from facial_jax.tracking.published import read_openface
from tests.audio.test_deepspeech import field, varint
from tests.readers.damage import refuses
from tests.readers.samples import archive_of, mat, numbers, packed_matrix
from tests.subject_folders import KEPT


class Runs:
    """Unpickled, it would run a command."""

    def __init__(self, path):
        self.command = f"touch {path}"

    def __reduce__(self):
        import os

        return os.system, (self.command,)


def header(shape, dtype="<f4", order="False"):
    text = f"{{'descr': '{dtype}', 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
    "entry",
    [
        header((10**12, 71)),
        header((10**18, 10**18)) + bytes(100),
        header((-1, 71)) + bytes(284),
        header((3, 71), "<U1000000000"),
        header((3, 71), "|O") + bytes(100),
        header((3, 71), "<f4', 'x': '" * 10),
        header("(" * 5000 + ")" * 5000),
        header((3, 71)) + bytes(851),
    ],
    ids=["huge", "beyond 64 bits", "negative", "texts", "objects", "fields", "nested", "a byte"],
)
def test_an_array_that_is_not_what_its_header_says_is_refused(tmp_path, entry):
    path = tmp_path / "a.npz"
    path.write_bytes(archive_of("face.npy", entry=entry))
    refuses(read_npz, path)
    path = tmp_path / "a.npy"
    path.write_bytes(entry)
    refuses(map_npy, path)


def test_a_file_of_zeros_does_not_fill_the_memory(tmp_path):
    path = tmp_path / "a.mat"
    tag, count = struct.pack("<II", 14, 300_000_000), 36_000_000
    inside = mat({"coeff": numbers(2, 257)})[136:]
    begin = inside.index(b"coeff") + 8
    start = inside[:16] + struct.pack("<IIii", 5, 8, 1, count) + inside[32:begin]
    packer = zlib.compressobj(1)
    packed = packer.compress(tag + start + struct.pack("<II", 9, 8 * count))
    packed += b"".join(packer.compress(bytes(10**6)) for _ in range(288)) + packer.flush()
    head = mat({"x": numbers(1)})[:128]
    path.write_bytes(head + struct.pack("<II", 15, len(packed)) + packed)
    refuses(lambda p: read_mat(p, ("coeff",)), path, "more than")
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("face.npy", "w", force_zip64=True) as entry,
    ):
        entry.write(header((75_000_000,)))
        for _ in range(300):
            entry.write(bytes(10**6))
    path = tmp_path / "a.npz"
    path.write_bytes(file.getvalue())
    refuses(read_npz, path, "more than")


@pytest.mark.parametrize("length", [10**9, 2**32 - 1])
def test_a_matrix_with_less_than_it_says_is_refused(tmp_path, length):
    path = tmp_path / "a.mat"
    element = mat({"coeff": numbers(2, 257)})[128:]
    place = element.index(b"coeff") + 8
    spoilt = element[:place] + struct.pack("<II", 7, length) + element[place + 8 :]
    for content in (mat({"x": numbers(1)})[:128] + spoilt, packed_matrix(spoilt)):
        path.write_bytes(content)
        refuses(lambda p: read_mat(p, ("coeff",)), path)


def test_matrices_within_matrices_are_refused(tmp_path):
    path = tmp_path / "a.mat"
    for value in ("text", 1j * numbers(2), {"a": numbers(2)}, np.array([[1, "a"]], object)):
        path.write_bytes(mat({"coeff": value}))
        refuses(lambda p: read_mat(p, ("coeff",)), path, "no full matrix of real numbers")


def test_pickles_in_archives_are_not_run(tmp_path):
    path, touched = tmp_path / "a.npz", tmp_path / "touched"
    with path.open("wb") as file:
        np.savez(file, face=np.array([Runs(touched)], object))
    refuses(read_npz, path)
    path = tmp_path / "a.npy"
    np.save(path, np.array([Runs(touched)], object), allow_pickle=True)
    refuses(map_npy, path)
    path = tmp_path / "a.pth"
    for content in (pickle.dumps(Runs(touched)), pickle.dumps([{"a": Runs(touched)}], 2)):
        path.write_bytes(content)
        refuses(read_torch_checkpoint, path)
        path.write_bytes(archive_of("archive/data.pkl", entry=content))
        refuses(read_torch_checkpoint, path, "posix.system, which no state dict needs")
    assert not touched.exists()


def lists(depth):
    """A list of ten times the same list of ten times the same list of …"""
    code = b"\x80\x02]q\x00"
    for i in range(depth):
        code += b"](" + (b"h%c" % i) * 10 + b"eq%c" % (i + 1)
    return code + b"."


@pytest.mark.parametrize(
    "code",
    [
        b"\x80\x02]r\xff\xff\xff\x1f.",  # kept under number 536870911
        b"\x80\x02]p536870911\n.",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"a.",  # bytes
        b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"].",  # a frame
        b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"a.",  # an integer
        lists(12),
        b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
        b"\x80\x02]q\x00h\x00a.",  # a list that holds itself
    ],
    ids=["memo", "memo in text", "bytes", "frame", "integer", "lists", "nested", "itself"],
)
def test_a_few_opcodes_do_not_fill_the_memory_nor_run_for_ever(tmp_path, code):
    path = tmp_path / "a.pth"
    path.write_bytes(archive_of("archive/data.pkl", entry=code))
    refuses(read_torch_checkpoint, path)
    magic = b"\x80\x02\x8a\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little") + b"."
    path.write_bytes(magic + b"\x80\x02M\xe9\x03." + b"\x80\x02}." + code + b"\x80\x02].")
    refuses(read_torch_checkpoint, path)


def test_a_number_in_the_place_of_a_graphs_text_is_refused(tmp_path):
    path = tmp_path / "a.pb"
    for number in (10**9, 2**63):  # as many zeros, for `bytes`
        for tag in (1, 2):
            path.write_bytes(field(1, varint(tag << 3) + varint(number)))
            refuses(read_constants, path, "a number in the place of a text")


def test_a_table_with_a_huge_cell_or_zeros_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    for content in (b"x" * 200_000, b"frame, \0\0", b"\xff\xfe" + b"a\0" * 100, b'"' * 99):
        path.write_bytes(content)
        refuses(read_openface, path)


def test_weights_with_a_strange_configuration_are_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    whole, config = load_variables(KEPT / "format_1" / "rendering_to_video.safetensors")
    for module in (
        {"width": 10**9},
        {"width": [1] * 1000},
        {"width": None},
        {"wide": 1},
        {"kernel_size": {"a": 1}},
        [],
    ):
        save_variables(path, whole, config | {"module": module})
        refuses(load_rendering_to_video, path)
    for half in (0, 10**9, "1", True, None):
        save_variables(path, whole, config | {"window_half": half})
        refuses(load_rendering_to_video, path)
    data = path.read_bytes()
    nested = json.dumps({"__metadata__": {"config": "[" * 10**5}}).encode()
    path.write_bytes(struct.pack("<Q", len(nested)) + nested)
    refuses(load_variables, path, "nested too deeply")
    path.write_bytes(struct.pack("<Q", 2**62) + data[8:])
    refuses(load_variables, path)


@pytest.mark.parametrize("text", ["1e999999999", "1e-999999999", "9" * 10**6, "1/0", "25/1e9", ""])
def test_a_rate_of_a_billion_digits_is_refused_at_once(tmp_path, text):
    with pytest.raises(ValueError, match="fps must be a number"):
        parse_frame_rate(text)
    folder = shutil.copytree(KEPT / "format_1", tmp_path / "kept")
    fields = json.loads((folder / DESCRIPTION).read_text())
    (folder / DESCRIPTION).write_text(json.dumps(fields | {"fps": text}))
    refuses(lambda path: load_subject(path.parent), folder / DESCRIPTION)


def test_a_description_nested_without_end_is_refused(tmp_path):
    folder = shutil.copytree(KEPT / "format_1", tmp_path / "kept")
    for text in ("[" * 10**5, '{"format":' * 10**5, "[]", "3", '"a"', "null"):
        (folder / DESCRIPTION).write_text(text)
        refuses(lambda path: load_subject(path.parent), folder / DESCRIPTION)
