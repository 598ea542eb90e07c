"""Piper voices: neural networks (VITS) that speak what espeak-ng writes in the IPA.

A voice is a file `NAME.onnx` with `NAME.onnx.json` beside it, as Piper's users share them.
"""

import json
import os
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

_BEGIN, _END, _EMPTY = "^", "$", "_"


class PiperVoice:
    """A voice that is ready to speak."""

    def __init__(self, model: bytes, config: Mapping[str, Any]):
        """Checks what is needed of the config.

        Raises:
            ImportError: onnxruntime is not installed.
            ValueError: the config is not one of a voice that reads espeak-ng's phonemes.
        """
        try:
            if config.get("phoneme_type", "espeak") != "espeak":
                raise ValueError(
                    f"it reads {config['phoneme_type']!r}; expected a voice that reads espeak-ng's "
                    "phonemes"
                )
            self.sample_rate = int(config["audio"]["sample_rate"])
            self.language = str(config["espeak"]["voice"])
            numbers = {sign: int(ids[0]) for sign, ids in config["phoneme_id_map"].items()}
            self._begin, self._end, self._empty = (numbers[x] for x in (_BEGIN, _END, _EMPTY))
            inference = config.get("inference", {})
            self._sound_noise = float(inference.get("noise_scale", 0.667))
            self._length = float(inference.get("length_scale", 1.0))
            self._duration_noise = float(inference.get("noise_w", 0.8))
            self._speakers = int(config.get("num_speakers", 1))
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ValueError(f"it is not the config of a Piper voice ({error!r})") from error
        self._numbers = numbers
        self._session = onnx_session(model)

    def say(self, ipa: str, *, rate: float = 1.0) -> Float[np.ndarray, "n"]:
        """Samples in [-1, 1] of phonemes in the IPA, with their stress and punctuation.

        Signs that the voice does not know are left out. A voice never says the same twice in a
        process; a new one that says the same things in the same order gives the same samples.
        """
        signs = unicodedata.normalize("NFD", ipa)
        sounds = [self._numbers[sign] for sign in signs if sign in self._numbers]
        # As Piper does: an empty one after each but the last.
        tokens = [self._begin, self._empty, *(x for s in sounds for x in (s, self._empty))]
        tokens.append(self._end)
        scales = [self._sound_noise, self._length / rate, self._duration_noise]
        inputs = {
            "input": np.array([tokens], np.int64),
            "input_lengths": np.array([len(tokens)], np.int64),
            "scales": np.array(scales, np.float32),
        }
        if self._speakers > 1:
            inputs["sid"] = np.zeros(1, np.int64)
        (samples, *_) = self._session.run(None, inputs)
        return np.clip(samples.ravel(), -1, 1).astype(np.float32)


def load_piper_voice(path: str | os.PathLike) -> PiperVoice:
    """The voice in a file `NAME.onnx`, whose config is `NAME.onnx.json` beside it.

    Raises:
        FileNotFoundError: one of the two is missing.
        ValueError: one of them is not what it should be.
        ImportError: onnxruntime is not installed.
    """
    path = Path(path)
    config = path.with_name(f"{path.name}.json")
    for file in (path, config):
        if not file.is_file():
            raise FileNotFoundError(
                f"voice: there is no file {file}; a Piper voice is NAME.onnx and NAME.onnx.json"
            )
    try:
        return PiperVoice(path.read_bytes(), json.loads(config.read_text(encoding="utf-8")))
    except ImportError:
        raise
    except Exception as error:  # onnxruntime's are of many kinds
        raise ValueError(f"voice: {path} cannot be used: {error}") from error


def onnx_session(model: bytes) -> Any:
    """A network for onnxruntime, on one thread; its random numbers begin anew.

    Raises:
        ImportError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            "voice: a Piper voice needs onnxruntime; install it with "
            "`pip install 'facial_jax[piper]'`"
        ) from error
    options = onnxruntime.SessionOptions()
    # One thread: a corpus's clips are made in several processes.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    onnxruntime.set_seed(0)  # what the noise comes from, drawn when the session is made
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
