"""How well FACIAL-GAN does on clips it never saw, beside baselines.

L_exp, L_pose and L_eye (Eq. 6) and their motion terms U, per frame and channel, on windows of 128
frames that begin from the true frame before; attributes are standardised by their speaker's
training clips, so that predicting the mean has a V of about 1. The baselines: the speaker's mean
attributes; a window of another clip of the speaker, at random; for each frame the attributes of the
training frame of the speaker whose speech is most alike. And how far the head moves: the standard
deviation of the poses over that of the true ones.
"""

from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from facial_jax.attributes import unpack_attributes
from facial_jax.audio.features import WINDOW_ROWS, context_windows
from facial_jax.compilation import jit
from facial_jax.data.clips import ClipSource
from facial_jax.data.windows import (
    Windows,
    evaluation_windows,
    subject_statistics,
    training_windows,
)
from facial_jax.models.facial_gan.generation import load_facial_gan
from facial_jax.models.facial_gan.losses import FacialWeights, motion_loss, value_loss

Method = Callable[[Windows, str], np.ndarray]
"""From a batch of windows of one subject to its standardised attributes (b, T, 71)."""
NEIGHBOUR_FRAMES = 5000
"""Number of a speaker's training frames, evenly chosen, among which neighbours are sought."""


def measure(
    methods: dict[str, Method], train: ClipSource, test: ClipSource
) -> dict[str, dict[str, float]]:
    """Mean losses of each method over all whole windows of the test clips."""
    statistics = subject_statistics(train)
    losses_of = {name: [] for name in methods}
    for subject in test.subjects:
        clips = test.of_subject(subject)
        for windows in evaluation_windows(clips, batch=16, statistics=statistics):
            whole = windows["valid"].all(axis=1)
            windows = {key: value[whole] for key, value in windows.items()}
            if not whole.any():
                continue
            for name, method in methods.items():
                fake = np.asarray(method(windows, subject), np.float32)
                losses_of[name].append((int(whole.sum()), losses(windows["attributes"], fake)))
    table = {}
    for name, parts in losses_of.items():
        counts = np.array([count for count, _ in parts], float)
        table[name] = {
            key: float(np.average([values[key] for _, values in parts], weights=counts))
            for key in parts[0][1]
        }
    return table


def losses(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    """V + ω₅ U and U of each attribute, per frame and channel, and the head's share of movement."""
    x, y = unpack_attributes(jnp.asarray(real)), unpack_attributes(jnp.asarray(fake))
    pairs = {
        "exp": (x.expression, y.expression),
        "pose": (x.pose, y.pose),
        "eye": (x.blink[..., None], y.blink[..., None]),
    }
    numbers = {}
    for name, (a, b) in pairs.items():
        size = a.shape[1] * a.shape[2]
        value, motion = float(value_loss(a, b)) / size, float(motion_loss(a, b)) / size
        numbers[f"V_{name}"], numbers[f"U_{name}"] = value, motion
        numbers[f"L_{name}"] = value + FacialWeights().motion * motion
    spread = np.asarray(y.pose).std(axis=1).mean() / np.asarray(x.pose).std(axis=1).mean()
    return numbers | {"head_movement": float(spread)}


def model_method(path: Path) -> Method:
    """A trained network, told the true frame before each window."""
    model = load_facial_gan(path)

    @jit
    def generate(variables, rows, initial_state):
        return model.generator.apply(variables, context_windows(rows), initial_state)

    def method(windows: Windows, subject: str) -> np.ndarray:
        del subject
        size, count = len(windows["rows"]), 16
        padded = (
            np.concatenate([x, np.zeros((count - size, *x.shape[1:]), np.float32)])
            for x in (windows["rows"], windows["initial_state"])
        )
        return np.asarray(generate(model.variables, *padded))[:size]

    return method


def baselines(train: ClipSource) -> dict[str, Method]:
    """What a network must be better than."""
    statistics = subject_statistics(train)
    rng = np.random.default_rng(0)

    def mean(windows: Windows, subject: str) -> np.ndarray:
        del subject
        return np.zeros_like(windows["attributes"])

    others: dict[str, np.ndarray] = {}

    def random_clip(windows: Windows, subject: str) -> np.ndarray:
        if subject not in others:
            batches = training_windows(
                train.of_subject(subject), batch=1, seed=0, epochs=1, statistics=statistics
            )
            others[subject] = np.concatenate([x["attributes"] for x in batches if x["valid"].all()])
        return rng.choice(others[subject], len(windows["rows"]))

    known: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def nearest(windows: Windows, subject: str) -> np.ndarray:
        if subject not in known:
            known[subject] = frames_of(train.of_subject(subject), statistics)
        speech, attributes = known[subject]
        asked = speech_of(windows["rows"])
        distance = (speech**2).sum(axis=1) - 2 * asked @ speech.T
        return attributes[distance.argmin(axis=1)].reshape(windows["attributes"].shape)

    return {"mean attributes": mean, "random clip": random_clip, "nearest neighbour": nearest}


def speech_of(rows: np.ndarray) -> np.ndarray:
    """(b · T, 16 · n) the window of speech features of every frame."""
    return context_windows(rows).reshape(-1, WINDOW_ROWS * rows.shape[2])


def frames_of(clips: ClipSource, statistics) -> tuple[np.ndarray, np.ndarray]:
    """Speech windows and attributes of a speaker's frames."""
    speech, attributes = [], []
    for windows in evaluation_windows(clips, batch=16, statistics=statistics):
        valid = windows["valid"].reshape(-1)
        speech.append(speech_of(windows["rows"])[valid])
        attributes.append(windows["attributes"].reshape(len(valid), -1)[valid])
    speech, attributes = np.concatenate(speech), np.concatenate(attributes)
    chosen = np.linspace(0, len(speech) - 1, min(len(speech), NEIGHBOUR_FRAMES)).astype(int)
    return speech[chosen], attributes[chosen]


def text_table(table: dict[str, dict[str, float]]) -> str:
    """One line for each method."""
    names = list(next(iter(table.values())))
    lines = [f"{'':24s}" + "".join(f"{name:>14s}" for name in names)]
    for method, values in table.items():
        lines.append(f"{method:24s}" + "".join(f"{values[name]:14.4f}" for name in names))
    return "\n".join(lines)
