"""DeepSpeech 0.1.0's frozen graph to this project's variables."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from facial_jax.audio.deepspeech import DeepSpeechConfig
from facial_jax.audio.mfcc import INPUT_SIZE

_DENSE = ("h1", "h2", "h3", "h5", "h6")
_DIRECTIONS = {"forward": "bidirectional_rnn/fw/", "backward": "bidirectional_rnn/bw/"}


def deepspeech_variables(
    constants: Mapping[str, np.ndarray],
) -> tuple[DeepSpeechConfig, dict[str, Any]]:
    """The network's sizes and variables from the graph's constants (`read_constants`).

    Dense layers are called h1 b1, h2 b2, h3 b3, h5 b5 and h6 b6; the LSTM's tensors, by the version
    of TensorFlow, kernel and bias or weights and biases under bidirectional_rnn/fw and …/bw.

    Raises:
        ValueError: a tensor is missing, or the sizes do not fit together: which, and how.
    """
    params = {}
    for layer in _DENSE:
        params[layer] = {
            "kernel": _take(constants, layer),
            "bias": _take(constants, layer.replace("h", "b")),
        }
    for direction, prefix in _DIRECTIONS.items():
        params[direction] = {
            "kernel": _find(constants, prefix, ("kernel", "weights")),
            "bias": _find(constants, prefix, ("bias", "biases")),
        }
    hidden = tuple(params[layer]["bias"].size for layer in ("h1", "h2", "h3"))
    config = DeepSpeechConfig(
        hidden=hidden,
        cell=params["forward"]["bias"].size // 4,
        after=params["h5"]["bias"].size,
        outputs=params["h6"]["bias"].size,
    )
    cell = config.cell
    inputs = {
        "h1": INPUT_SIZE,
        "h2": hidden[0],
        "h3": hidden[1],
        "h5": 2 * cell,
        "h6": config.after,
    }
    outputs = dict(zip(_DENSE, (*hidden, config.after, config.outputs), strict=True))
    expected = {layer: (inputs[layer], outputs[layer]) for layer in _DENSE}
    expected |= dict.fromkeys(_DIRECTIONS, (hidden[2] + cell, 4 * cell))
    for layer, shape in expected.items():
        got = (params[layer]["kernel"].shape, params[layer]["bias"].shape)
        if got != (shape, shape[1:]):
            raise ValueError(
                f"DeepSpeech's graph: {layer} should have weights {shape} and biases {shape[1:]}, "
                f"it has {got[0]} and {got[1]}; is this DeepSpeech 0.1.0?"
            )
    return config, {"params": params}


def _take(constants: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    if name not in constants:
        raise ValueError(
            f"DeepSpeech's graph: the tensor {name} is missing; there are "
            f"{', '.join(sorted(constants)[:20])}. It must be output_graph.pb of DeepSpeech 0.1.0"
        )
    return np.asarray(constants[name])


def _find(constants: Mapping[str, np.ndarray], prefix: str, endings: tuple[str, ...]) -> np.ndarray:
    names = [n for n in constants if n.startswith(prefix) and n.rsplit("/", 1)[-1] in endings]
    if len(names) != 1:
        raise ValueError(
            f"DeepSpeech's graph: expected one tensor {prefix}…/{' or '.join(endings)}, got "
            f"{names or 'none'}. It must be output_graph.pb of DeepSpeech 0.1.0"
        )
    return np.asarray(constants[names[0]])
