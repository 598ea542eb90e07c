"""What a result was made from: by name, settings and hashes of data and weights.

A provenance is a dictionary of values that JSON can hold. Two results of one provenance are the
same; a checkpoint or a kept stage of another provenance is never continued.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

Provenance = dict[str, Any]


def settings(config: Any, *, without: tuple[str, ...] = ()) -> Provenance:
    """A dataclass of settings, flat: `{"training.seed": 0, …}`.

    A path among them stands for its file's contents.

    Args:
        config: a dataclass, of dataclasses, dictionaries and what JSON can hold.
        without: names of fields on which no result depends.

    Raises:
        FileNotFoundError: there is no file at a path.
    """
    fields = dataclasses.asdict(config)
    return _flat({name: value for name, value in fields.items() if name not in without})


def _flat(values: Mapping[str, Any], prefix: str = "") -> Provenance:
    flat: Provenance = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = file_hash(value) if isinstance(value, Path) else value
    return flat


def prefixed(name: str, provenance: Mapping[str, Any]) -> Provenance:
    """The same under longer names: `{"seed": 0}` becomes `{"NAME.seed": 0}`."""
    return {f"{name}.{key}": value for key, value in provenance.items()}


def file_hash(path: str | os.PathLike) -> str:
    """SHA-256 of a file's contents, in hexadecimal.

    Raises:
        FileNotFoundError: there is no such file.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_hash(tree: Any) -> str:
    """SHA-256 of a tree of arrays, numbers and texts: names, types, shapes and contents."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {np.shape(leaf)}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def as_json(provenance: Mapping[str, Any]) -> Provenance:
    """The provenance as JSON gives it back: tuples are lists.

    Raises:
        TypeError: JSON cannot hold a value.
    """
    return json.loads(json.dumps(provenance))


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Which entries differ, and how: `seed: 0 there, 1 here`."""
    absent = object()
    pairs = {name: (old.get(name, absent), new.get(name, absent)) for name in {**old, **new}}
    return [
        f"{name}: {'nothing' if a is absent else _short(a)} there, "
        f"{'nothing' if b is absent else _short(b)} here"
        for name, (a, b) in sorted(pairs.items())
        if a != b
    ]


def _short(value: Any) -> str:
    text = repr(value)
    # A hash is long, and its first digits tell it from others.
    is_hash = isinstance(value, str) and len(value) == 64 and value.isalnum()
    return f"{value[:12]}…" if is_hash else text
