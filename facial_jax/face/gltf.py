"""A face as a binary glTF 2.0 file: morph targets, and how they and the head move over time.

https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

_FLOAT, _UINT32, _UINT16 = 5126, 5125, 5123
_DTYPES = {_FLOAT: "<f4", _UINT32: "<u4", _UINT16: "<u2"}
_ARRAY_BUFFER, _ELEMENT_ARRAY_BUFFER = 34962, 34963
_METRES_PER_DECIMETRE = 0.1
_ALIGNMENT = 4
# A displacement that is smaller everywhere in a vertex is none, in metres.
_NOT_MOVED_M = 1e-6


@dataclass(frozen=True)
class HeadAnimation:
    """What moves in a file: t keyframes, linear in between."""

    times_s: Float[np.ndarray, "t"]
    # of the keyframes, rising
    weights: Float[np.ndarray, "t k"]
    # of the morph targets
    rotation: Float[np.ndarray, "t 4"]
    # of the head: unit quaternions x, y, z, w
    translation: Float[np.ndarray, "t 3"]
    # of the head, in decimetres


def encode_glb(
    vertices: Float[np.ndarray, "n 3"],
    normals: Float[np.ndarray, "n 3"],
    colors: Float[np.ndarray, "n 3"],
    triangles: Int[np.ndarray, "f 3"],
    *,
    targets: Float[np.ndarray, "k n 3"],
    target_names: Sequence[str],
    target_weights: Float[np.ndarray, "k"],
    animation: HeadAnimation | None = None,
    comment: str = "",
) -> bytes:
    """A .glb of one mesh with vertex colours, normals and named morph targets.

    Targets that move few of the vertices are stored as sparse accessors: of the built-in face's
    expressions, two thirds of the bytes are spared.

    Args:
        vertices: the face at rest in decimetres, y up; metres in the file, as glTF wants.
        normals: unit normals.
        colors: RGB as shown on a screen (sRGB), clipped to [0, 1]; linear in the file.
        triangles: vertex indices, counter-clockwise from outside.
        targets: displacements in decimetres that a weight of one adds.
        target_names: one for each.
        target_weights: the weights in which the file is first seen.
        animation: plays as the file's one animation.
        comment: what else is to be known of the file (`asset.extras.comment`).

    Raises:
        ValueError: names, weights or keyframes do not fit the targets in number.
    """
    if not len(targets) == len(target_names) == len(target_weights):
        raise ValueError(
            f"target_names, target_weights: expected one for each of the {len(targets)} targets, "
            f"got {len(target_names)} and {len(target_weights)}"
        )
    file = _Buffer()
    small = len(vertices) < 2**16 - 1  # the largest number is none of a vertex
    index_type = _UINT16 if small else _UINT32
    mesh = {
        "name": "face",
        "primitives": [
            {
                "attributes": {
                    "POSITION": file.add(
                        vertices * _METRES_PER_DECIMETRE, "VEC3", _ARRAY_BUFFER, bounds=True
                    ),
                    "NORMAL": file.add(normals, "VEC3", _ARRAY_BUFFER),
                    "COLOR_0": file.add(linear_from_srgb(colors), "VEC3", _ARRAY_BUFFER),
                },
                "indices": file.add(
                    triangles.reshape(-1), "SCALAR", _ELEMENT_ARRAY_BUFFER, component=index_type
                ),
                "material": 0,
                "targets": [
                    {"POSITION": file.add_target(target * _METRES_PER_DECIMETRE, index_type)}
                    for target in targets
                ],
            }
        ],
        "weights": [float(weight) for weight in target_weights],
        "extras": {"targetNames": list(target_names)},
    }
    if not len(targets):  # the format has no empty lists
        del mesh["weights"], mesh["extras"], mesh["primitives"][0]["targets"]
    document = {
        "asset": {"version": "2.0", "generator": "facial_jax"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "head"}],
        "meshes": [mesh],
        "materials": [
            {
                "name": "skin",
                "doubleSided": True,
                "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.7},
            }
        ],
    }
    if comment:
        document["asset"]["extras"] = {"comment": comment}
    if animation is not None:
        document["animations"] = [_animation(file, animation, len(targets))]
        translation = animation.translation[0] * _METRES_PER_DECIMETRE
        document["nodes"][0] |= {
            "rotation": animation.rotation[0].tolist(),
            "translation": translation.tolist(),
        }
    return file.to_glb(document)


def _animation(file: "_Buffer", animation: HeadAnimation, target_count: int) -> dict:
    """The animation of node 0, its numbers added to the file."""
    count = len(animation.times_s)
    expected = (count, target_count), (count, 4), (count, 3)
    shapes = animation.weights.shape, animation.rotation.shape, animation.translation.shape
    if shapes != expected or not count:
        raise ValueError(
            f"animation: expected weights, rotation and translation of shapes {expected} for "
            f"{count} keyframes, at least one, got {shapes}"
        )
    times = file.add(animation.times_s, "SCALAR", bounds=True)
    translation = animation.translation * _METRES_PER_DECIMETRE
    outputs = {
        "rotation": file.add(animation.rotation, "VEC4"),
        "translation": file.add(translation, "VEC3"),
    }
    if target_count:
        outputs["weights"] = file.add(animation.weights.reshape(-1), "SCALAR")
    return {
        "name": "speech",
        "samplers": [
            {"input": times, "output": output, "interpolation": "LINEAR"}
            for output in outputs.values()
        ],
        "channels": [
            {"sampler": sampler, "target": {"node": 0, "path": path}}
            for sampler, path in enumerate(outputs)
        ],
    }


class _Buffer:
    """The binary part of a file, with the views and accessors that describe it."""

    def __init__(self):
        self._accessors, self._views = [], []
        self._chunks, self._length = [], 0

    def add(
        self,
        array: np.ndarray,
        kind: str,
        target: int | None = None,
        *,
        component: int = _FLOAT,
        bounds: bool = False,
    ) -> int:
        """Adds numbers, (n) or (n, c), and gives their accessor; `bounds`: of each column."""
        data = np.ascontiguousarray(array, _DTYPES[component])
        accessor = {
            "bufferView": self._view(data, target),
            "componentType": component,
            "type": kind,
            "count": len(data),
        }
        if bounds:
            accessor |= _bounds(data)
        self._accessors.append(accessor)
        return len(self._accessors) - 1

    def add_target(self, displacements_m: Float[np.ndarray, "n 3"], index_type: int) -> int:
        """Adds a morph target, only its vertices that move if that is shorter."""
        moved = np.flatnonzero(np.abs(displacements_m).max(axis=1) > _NOT_MOVED_M)
        index_bytes = np.dtype(_DTYPES[index_type]).itemsize
        if not len(moved):
            moved = np.zeros(1, np.int64)  # the format has no sparse accessor without values
        if len(moved) * (12 + index_bytes) >= 12 * len(displacements_m):
            return self.add(displacements_m, "VEC3", _ARRAY_BUFFER, bounds=True)
        values = np.ascontiguousarray(displacements_m[moved], _DTYPES[_FLOAT])
        # All the other vertices have zeros.
        bounds = _bounds(np.concatenate([values, np.zeros((1, 3), values.dtype)]))
        indices = np.ascontiguousarray(moved, _DTYPES[index_type])
        self._accessors.append(
            {
                "componentType": _FLOAT,
                "type": "VEC3",
                "count": len(displacements_m),
                **bounds,
                "sparse": {
                    "count": len(moved),
                    "indices": {"bufferView": self._view(indices), "componentType": index_type},
                    "values": {"bufferView": self._view(values)},
                },
            }
        )
        return len(self._accessors) - 1

    def _view(self, data: np.ndarray, target: int | None = None) -> int:
        view = {"buffer": 0, "byteOffset": self._length, "byteLength": data.nbytes}
        self._views.append(view if target is None else view | {"target": target})
        self._append(data.tobytes())
        self._append(bytes(-self._length % _ALIGNMENT))
        return len(self._views) - 1

    def _append(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._length += len(chunk)

    def to_glb(self, document: dict) -> bytes:
        """The file."""
        document = document | {
            "accessors": self._accessors,
            "bufferViews": self._views,
            "buffers": [{"byteLength": self._length}],
        }
        text = json.dumps(document, separators=(",", ":")).encode()
        text += b" " * (-len(text) % _ALIGNMENT)
        length = 12 + 8 + len(text) + 8 + self._length
        return b"".join(
            [
                struct.pack("<4sII", b"glTF", 2, length),
                struct.pack("<I4s", len(text), b"JSON") + text,
                struct.pack("<I4s", self._length, b"BIN\0"),
                *self._chunks,
            ]
        )


def _bounds(data: np.ndarray) -> dict[str, list[float]]:
    rows = data.reshape(len(data), -1)
    return {"min": rows.min(axis=0).tolist(), "max": rows.max(axis=0).tolist()}


def linear_from_srgb(colors: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """Light intensities of sRGB colours (IEC 61966-2-1), both in [0, 1]."""
    colors = np.clip(colors, 0.0, 1.0)
    return np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
