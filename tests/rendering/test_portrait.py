"""The face's glTF file, read back by hand, and the script's parameters."""

import json
import struct

import numpy as np
import pytest

from facial_jax.face.gltf import encode_glb, linear_from_srgb
from facial_jax.rendering.portrait import SHAPES, random_parameters, read_parameters

VERTICES = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
TRIANGLES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
TARGETS = np.random.default_rng(0).normal(size=(2, 4, 3))
COLORS = np.array([[0, 0, 0], [1, 1, 1], [0.5, 0.5, 0.5], [2, -1, 0.04]])


def read_glb(data):
    """The document and a function from an accessor's number to its array."""
    magic, version, length, json_length, json_type = struct.unpack("<4sIII4s", data[:20])
    assert (magic, version, length, json_type) == (b"glTF", 2, len(data), b"JSON")
    assert json_length % 4 == 0
    document = json.loads(data[20 : 20 + json_length])
    binary_length, binary_type = struct.unpack_from("<I4s", data, 20 + json_length)
    assert binary_type == b"BIN\0"
    binary = data[28 + json_length :]
    assert binary_length == len(binary) == document["buffers"][0]["byteLength"]

    def accessor(number):
        described = document["accessors"][number]
        view = document["bufferViews"][described["bufferView"]]
        raw = binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
        types = {5126: "<f4", 5125: "<u4", 5123: "<u2"}
        array = np.frombuffer(raw, types[described["componentType"]])
        array = array.reshape(-1, {"SCALAR": 1, "VEC3": 3}[described["type"]])
        assert len(array) == described["count"]
        return array

    return document, accessor


@pytest.fixture(scope="module")
def glb():
    return encode_glb(
        VERTICES,
        VERTICES,
        COLORS,
        TRIANGLES,
        targets=TARGETS,
        target_names=["jaw_open", "lip_press"],
        target_weights=np.array([0.5, 0.0], np.float32),
    )


def test_a_glb_read_back_is_the_mesh_in_metres_with_its_named_targets(glb):
    document, accessor = read_glb(glb)
    (mesh,) = document["meshes"]
    (primitive,) = mesh["primitives"]
    attributes = primitive["attributes"]
    np.testing.assert_allclose(accessor(attributes["POSITION"]), 0.1 * VERTICES, rtol=1e-6)
    np.testing.assert_allclose(accessor(attributes["NORMAL"]), VERTICES)
    np.testing.assert_array_equal(accessor(primitive["indices"]).reshape(-1, 3), TRIANGLES)
    for target, expected in zip(primitive["targets"], TARGETS, strict=True):
        np.testing.assert_allclose(accessor(target["POSITION"]), 0.1 * expected, rtol=1e-6)
    assert mesh["extras"]["targetNames"] == ["jaw_open", "lip_press"]
    assert mesh["weights"] == [0.5, 0.0]


def test_position_accessors_have_the_bounds_that_the_format_demands(glb):
    document, accessor = read_glb(glb)
    (primitive,) = document["meshes"][0]["primitives"]
    for owner in (primitive["attributes"], *primitive["targets"]):
        described = document["accessors"][owner["POSITION"]]
        points = accessor(owner["POSITION"])
        np.testing.assert_allclose(described["min"], points.min(axis=0))
        np.testing.assert_allclose(described["max"], points.max(axis=0))


def test_colours_are_linear_and_clipped(glb):
    document, accessor = read_glb(glb)
    colors = accessor(document["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"])
    np.testing.assert_allclose(colors[:2], [[0, 0, 0], [1, 1, 1]])
    np.testing.assert_allclose(colors[2], 0.21404, rtol=1e-4)  # the tables' value of mid grey
    np.testing.assert_allclose(colors[3], [1, 0, 0.04 / 12.92], rtol=1e-5)
    assert (
        np.diff(linear_from_srgb(np.linspace(0, 1, 300)[:, None] * np.ones(3)), axis=0) > 0
    ).all()


def test_each_target_needs_a_name_and_a_weight():
    with pytest.raises(ValueError, match="target_names"):
        encode_glb(
            VERTICES, VERTICES, COLORS, TRIANGLES,
            targets=TARGETS, target_names=["a"], target_weights=np.zeros(2),
        )  # fmt: skip


def test_parameters_come_back_from_both_kinds_of_file(tmp_path):
    parameters = random_parameters(1)
    np.savez(tmp_path / "face.npz", **parameters)
    lists = {name: array.tolist() for name, array in parameters.items() if name != "pose"}
    (tmp_path / "face.json").write_text(json.dumps(lists | {"name": "somebody"}))
    for file, stored in (("face.npz", parameters), ("face.json", lists)):
        found = read_parameters(tmp_path / file)
        assert set(found) == set(SHAPES)
        for name, shape in SHAPES.items():
            np.testing.assert_allclose(found[name], stored.get(name, np.zeros(shape)))


def test_unusable_parameters_are_named(tmp_path):
    np.savez(tmp_path / "face.npz", identity=np.zeros(79))
    with pytest.raises(ValueError, match=r"identity: expected shape \(80,\), got \(79,\)"):
        read_parameters(tmp_path / "face.npz")
    np.savez(tmp_path / "other.npz", something=np.zeros(3))
    with pytest.raises(ValueError, match="expected some of identity"):
        read_parameters(tmp_path / "other.npz")
    with pytest.raises(ValueError, match=r"expected a \.npz or \.json"):
        read_parameters(tmp_path / "face.txt")
