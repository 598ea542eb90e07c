"""A face as a binary glTF 2.0 file, with its expressions as morph targets.

https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html
"""

import json
import struct
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

_FLOAT, _UINT32 = 5126, 5125
_ARRAY_BUFFER, _ELEMENT_ARRAY_BUFFER = 34962, 34963
_METRES_PER_DECIMETRE = 0.1


def encode_glb(
    vertices: Float[np.ndarray, "n 3"],
    normals: Float[np.ndarray, "n 3"],
    colors: Float[np.ndarray, "n 3"],
    triangles: Int[np.ndarray, "f 3"],
    *,
    targets: Float[np.ndarray, "k n 3"],
    target_names: Sequence[str],
    target_weights: Float[np.ndarray, "k"],
) -> bytes:
    """A .glb of one mesh with vertex colours, normals and named morph targets.

    Args:
        vertices: the face at rest in decimetres, y up; metres in the file, as glTF wants.
        normals: unit normals.
        colors: RGB as shown on a screen (sRGB), clipped to [0, 1]; linear in the file.
        triangles: vertex indices, counter-clockwise from outside.
        targets: displacements in decimetres that a weight of one adds.
        target_names: one for each.
        target_weights: the weights in which the file is first seen.

    Raises:
        ValueError: if names and targets differ in number.
    """
    if not len(targets) == len(target_names) == len(target_weights):
        raise ValueError(
            f"target_names, target_weights: expected one for each of the {len(targets)} targets, "
            f"got {len(target_names)} and {len(target_weights)}"
        )
    accessors, views, chunks = [], [], []

    def add(array: np.ndarray, kind: str, component: int, *, bounds: bool = False) -> int:
        data = np.ascontiguousarray(array, "<u4" if component == _UINT32 else "<f4")
        offset = sum(map(len, chunks))  # all data are of four bytes: always aligned
        views.append({"buffer": 0, "byteOffset": offset, "byteLength": data.nbytes})
        views[-1]["target"] = _ELEMENT_ARRAY_BUFFER if kind == "SCALAR" else _ARRAY_BUFFER
        chunks.append(data.tobytes())
        accessor = {"bufferView": len(views) - 1, "componentType": component, "type": kind}
        accessor["count"] = len(data)
        if bounds:
            accessor["min"], accessor["max"] = data.min(0).tolist(), data.max(0).tolist()
        accessors.append(accessor)
        return len(accessors) - 1

    primitive = {
        "attributes": {
            "POSITION": add(vertices * _METRES_PER_DECIMETRE, "VEC3", _FLOAT, bounds=True),
            "NORMAL": add(normals, "VEC3", _FLOAT),
            "COLOR_0": add(linear_from_srgb(colors), "VEC3", _FLOAT),
        },
        "indices": add(triangles.reshape(-1), "SCALAR", _UINT32),
        "material": 0,
        "targets": [
            {"POSITION": add(target * _METRES_PER_DECIMETRE, "VEC3", _FLOAT, bounds=True)}
            for target in targets
        ],
    }
    binary = b"".join(chunks)
    document = {
        "asset": {"version": "2.0", "generator": "facial_jax"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "face"}],
        "meshes": [
            {
                "name": "face",
                "primitives": [primitive],
                "weights": [float(weight) for weight in target_weights],
                "extras": {"targetNames": list(target_names)},
            }
        ],
        "materials": [
            {
                "name": "skin",
                "doubleSided": True,
                "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.7},
            }
        ],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(binary)}],
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    parts = struct.pack("<I4s", len(text), b"JSON") + text
    parts += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(parts)) + parts


def linear_from_srgb(colors: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """Light intensities of sRGB colours (IEC 61966-2-1), both in [0, 1]."""
    colors = np.clip(colors, 0.0, 1.0)
    return np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
