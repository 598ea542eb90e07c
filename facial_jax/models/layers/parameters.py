"""Variables of a network and its configuration in one safetensors file."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from facial_jax.files import write_bytes
from facial_jax.readers.json_object import json_object

_MOST_LAYERS, _LARGEST = 64, 1 << 16


def module_config(module) -> dict[str, Any]:
    """A Linen module's fields as a dictionary that JSON can hold."""
    return {
        field.name: value
        for field in dataclasses.fields(module)
        if field.name not in ("parent", "name")
        and (value := getattr(module, field.name)) is not None
    }


def module_from_config(module_class: type, config: dict[str, Any]):
    """The module of that class with these fields; the inverse of `module_config`.

    Raises ValueError if the configuration has a field that the class has not, or a value that
    no network of this project has.
    """
    known = {field.name for field in dataclasses.fields(module_class)}
    if unknown := sorted(set(config) - known):
        raise ValueError(
            f"{module_class.__name__} has no fields {unknown}; it has {sorted(known)}."
        )
    for name, value in config.items():
        if not _is_option(value):
            raise ValueError(f"{module_class.__name__} cannot have {name} = {value!r:.100}.")
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
    return module_class(**fields)


def _is_option(value: Any) -> bool:
    """Whether a value is one that a configuration has: a few numbers or a name."""
    if isinstance(value, list | tuple):
        return len(value) <= _MOST_LAYERS and all(
            _is_option(x) and not isinstance(x, list | tuple) for x in value
        )
    if isinstance(value, int | float):
        return -_LARGEST <= value <= _LARGEST
    return isinstance(value, str)


def save_variables(
    path: str | Path,
    variables: dict[str, Any],
    config: dict[str, Any],
    *,
    half_precision: bool = False,
) -> None:
    """Writes a variable tree and its configuration, replacing the file only when it is whole.

    Tensors are called `params/…`, `batch_stats/…` and so on; the configuration is JSON in the
    file's metadata.  With `half_precision`, float32 tensors are stored as float16 (11 significant
    bits) and become float32 again on loading.
    """
    tensors = {}
    for name, value in flatten_dict(variables, sep="/").items():
        array = np.ascontiguousarray(value)
        if half_precision and array.dtype == np.float32:
            array = array.astype(np.float16)
        tensors[name] = array
    write_bytes(path, save(tensors, metadata={"config": json.dumps(config)}))


def load_variables(path: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The variable tree (NumPy arrays, float16 made float32) and the configuration of a file.

    Raises FileNotFoundError if there is no such file, and ValueError, with the file's name,
    if it is cut short, damaged or not written by `save_variables`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"No weights file at {path}.")
    try:
        with safe_open(path, framework="np") as file:
            config = json_object((file.metadata() or {})["config"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError, OSError, TypeError, AttributeError) as error:
        raise ValueError(
            f"The weights file {path} is damaged or not one of this project's ({error}). "
            "Get it again (bundled files: reinstall facial_jax), or make it again with the script "
            "in experiments/ that trains it."
        ) from error
    for name, array in tensors.items():
        if array.dtype == np.float16:
            tensors[name] = array.astype(np.float32)
        if not np.isfinite(tensors[name]).all():
            raise ValueError(f"The weights file {path} is damaged: {name} has values not finite.")
    return unflatten_dict(tensors, sep="/"), config


def check_weights(
    variables: dict[str, Any], module: nn.Module, *inputs: Any, source: str | Path
) -> None:
    """Raises ValueError if `variables` are not those of `module` for inputs of these shapes.

    `inputs`: arrays or `jax.ShapeDtypeStruct`s; `source`: see `check_variables`.
    """
    try:
        expected = jax.eval_shape(module.init, jax.random.key(0), *inputs)
    except Exception as error:  # whatever the numbers of a damaged file lead to
        raise ValueError(
            f"{source}: its configuration describes no network ({str(error)[:200]})"
        ) from error
    check_variables(variables, expected, source)


def check_variables(
    variables: dict[str, Any], expected: dict[str, Any], source: str | Path
) -> None:
    """Raises ValueError if `variables` has not the names and shapes of `expected`.

    `expected`: arrays or `jax.ShapeDtypeStruct`s, such as `jax.eval_shape` of the module's `init`;
    `source`: what the message calls the variables, such as a file's path.
    """
    got = {k: np.shape(v) for k, v in flatten_dict(variables, sep="/").items()}
    want = {k: tuple(v.shape) for k, v in flatten_dict(expected, sep="/").items()}
    problems = [f"{name} is missing" for name in sorted(want.keys() - got.keys())]
    problems += [f"{name} is not expected" for name in sorted(got.keys() - want.keys())]
    problems += [
        f"{name}: expected shape {want[name]}, got {got[name]}"
        for name in sorted(want.keys() & got.keys())
        if want[name] != got[name]
    ]
    if problems:
        shown = "; ".join(problems[:5]) + ("; …" if len(problems) > 5 else "")
        raise ValueError(f"{source} does not fit the network ({len(problems)} problems): {shown}.")
