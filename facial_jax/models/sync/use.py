"""How far the sound is off the mouth, by the trained MouthSync.

Not SyncNet, which sees pictures and is in `facial_jax.models.syncnet`: distances and confidences of
the two have different scales and are never put together.
"""

import functools
from pathlib import Path
from typing import Any

import flax.struct
import jax
import numpy as np
from jaxtyping import Array, Float

from facial_jax.compilation import jit
from facial_jax.metrics.shifts import MAX_SHIFT as MAX_SHIFT
from facial_jax.metrics.shifts import Shift, nearest_shift, shift_distances
from facial_jax.models.layers.parameters import (
    check_variables,
    load_variables,
    module_config,
    module_from_config,
    save_variables,
)
from facial_jax.models.sync.motion import CHANNELS
from facial_jax.models.sync.network import CONTEXT, MouthSyncNetwork
from facial_jax.models.sync.speech import FPS as FPS

MOUTH_SYNC_WEIGHTS = Path(__file__).parents[2] / "assets" / "mouth_sync.safetensors"
"""The bundled network, trained by `experiments/train_mouth_sync.py`; it listens with `phonemes`."""
_BUCKET_FRAMES = 256


@flax.struct.dataclass
class MouthSync:
    """The trained network and what rows of speech are standardised by."""

    variables: Any
    # params of both encoders
    mean: Float[Array | np.ndarray, "f"]
    # of the rows of speech that it was trained on
    std: Float[Array | np.ndarray, "f"]
    # their deviation
    network: MouthSyncNetwork = flax.struct.field(pytree_node=False)


def save_mouth_sync(path: str | Path, model: MouthSync) -> None:
    """Writes the network in half precision."""
    arrays = {
        **jax.tree.map(np.asarray, dict(model.variables)),
        "speech": {"mean": np.asarray(model.mean), "std": np.asarray(model.std)},
    }
    save_variables(path, arrays, module_config(model.network), half_precision=True)


@functools.cache
def load_mouth_sync(path: Path = MOUTH_SYNC_WEIGHTS) -> MouthSync:
    """Reads what `save_mouth_sync` wrote; by default the bundled network.

    Raises:
        FileNotFoundError, ValueError: there is no such file, or it is damaged or another's.
    """
    arrays, config = load_variables(path)
    try:
        speech = arrays.pop("speech")
        mean, std = speech["mean"], speech["std"]
    except KeyError as error:
        raise ValueError(f"The weights file {path} is not one of MouthSync's.") from error
    network = module_from_config(MouthSyncNetwork, config)
    shapes = [
        jax.ShapeDtypeStruct((1, 2 * CONTEXT + 1, size), np.float32)
        for size in (len(mean), len(CHANNELS))
    ]
    expected = jax.eval_shape(network.init, jax.random.key(0), *shapes)
    del expected["params"]["log_scale"]
    check_variables(arrays, expected, path)
    return MouthSync(arrays, mean, std, network)


def measure_mouth_sync(
    model: MouthSync, motion: Float[np.ndarray, "t 4"], rows: Float[np.ndarray, "t f"]
) -> Shift:
    """Where speech and mouth are nearest; positive: the sound comes later than the mouth.

    Args:
        model: from `load_mouth_sync`.
        motion: of the mouth, from `mouth_motion`, at 25 frames per second.
        rows: what is heard in the same frames, from `speech_rows`.

    Raises:
        ValueError: fewer than 16 frames, or not as many of one as of the other.
    """
    speech = np.asarray((rows - model.mean) / model.std, np.float32)
    vectors = [
        _encode(model.network, model.variables, x, which)
        for which, x in (("mouth", np.asarray(motion, np.float32)), ("speech", speech))
    ]
    return nearest_shift(shift_distances(*vectors))


def _encode(network, variables, x: np.ndarray, which: str) -> np.ndarray:
    """Vectors of every frame, in pieces of one shape; beyond the ends the end frames are held."""
    count = len(x)
    padding = CONTEXT + (-count) % _BUCKET_FRAMES
    x = np.pad(x, ((CONTEXT, padding), (0, 0)), mode="edge")
    pieces = [
        _encode_piece(network, variables, x[None, i : i + _BUCKET_FRAMES + 2 * CONTEXT], which)
        for i in range(0, count, _BUCKET_FRAMES)
    ]
    return np.concatenate([np.asarray(piece[0]) for piece in pieces])[:count]


@functools.partial(jit, static_argnums=(0, 3))
def _encode_piece(network, variables, x, which):
    def encode(module, x):
        return module.speech(x) if which == "speech" else module.mouth(x)

    params = {**variables["params"], "log_scale": np.zeros((), np.float32)}
    return network.apply({"params": params}, x, method=encode)
