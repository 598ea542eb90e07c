"""Speech features to attributes with a trained FACIAL-GAN, 128 frames at a time.

Each window starts from the last frame of the one before (FACIAL, Sec. 3.2), so speech of any length
becomes one continuous motion. What L_s (Eq. 5) leaves of a jump of the head between two windows is
spread over the first frames of the later one. Where the windows lie depends on the frame numbers
alone.
"""

import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from facial_jax.attributes import (
    ATTRIBUTE_SIZE,
    MAX_BLINK,
    Attributes,
    AttributeStatistics,
    pack_attributes,
    standardize,
    unpack_attributes,
    unstandardize,
)
from facial_jax.audio.features import ROWS_BEFORE, WINDOW_ROWS, context_windows
from facial_jax.compilation import jit
from facial_jax.models.facial_gan.blinking import BlinkHabits, blink_by_habit
from facial_jax.models.facial_gan.network import FacialGenerator, speech_feature_count
from facial_jax.models.layers.parameters import (
    check_weights,
    load_variables,
    module_config,
    module_from_config,
    save_variables,
)
from facial_jax.models.layers.seams import continue_motion

WINDOW_FRAMES = 128
"""T: how many frames the generator makes at once."""
BLINK_DUE_S = (5.0, 8.0)
"""Shortest and longest time after which open eyes blink, whatever the speech."""
_BLINK_PHASES_S = (0.09, 0.04, 0.17)  # closing, closed, opening
_BLINK_PEAK = 4.8
_CLOSED = 2.5


@flax.struct.dataclass
class FacialGan:
    """A trained generator and what it needs to speak in real units."""

    variables: Any
    # params and batch_stats of `generator`
    statistics: AttributeStatistics
    # of the attributes that it was trained on
    initial_state: Float[Array | np.ndarray, "71"]
    # packed attributes of a face at rest, from which the first window starts
    generator: FacialGenerator = flax.struct.field(pytree_node=False)
    # the network
    blink_habits: BlinkHabits | None = None
    # of the person who was learnt; None: the blinks are the network's curve

    @property
    def speech_features(self) -> int:
        """How many speech features a row has for this network."""
        return speech_feature_count(self.variables)


def with_statistics(model: FacialGan, statistics: AttributeStatistics) -> FacialGan:
    """The same network in the units of these statistics; in its own it begins where it did."""
    begin = standardize(np.asarray(model.initial_state), model.statistics)
    begin = np.asarray(unstandardize(begin, statistics))
    return model.replace(statistics=statistics, initial_state=begin)


def save_facial_gan(path: str | Path, model: FacialGan, *, half_precision: bool = False) -> None:
    """Writes the network, `statistics/…` and, if the person's are known, `blink_habits/…`."""
    arrays = {
        **jax.tree.map(np.asarray, dict(model.variables)),
        "statistics": {
            "mean": np.asarray(model.statistics.mean),
            "std": np.asarray(model.statistics.std),
            "initial_state": np.asarray(model.initial_state),
        },
    }
    if model.blink_habits is not None:
        arrays["blink_habits"] = jax.tree.map(np.asarray, vars(model.blink_habits))
    save_variables(path, arrays, module_config(model.generator), half_precision=half_precision)


def load_facial_gan(path: str | Path) -> FacialGan:
    """Reads what `save_facial_gan` wrote.

    Raises FileNotFoundError if there is no such file, ValueError if it is damaged or holds
    another network.
    """
    arrays, config = load_variables(path)
    try:
        statistics = arrays.pop("statistics")
        mean, std, initial_state = (
            jnp.asarray(np.reshape(statistics[name], ATTRIBUTE_SIZE), jnp.float32)
            for name in ("mean", "std", "initial_state")
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"The weights file {path} holds no attribute statistics.") from error
    habits = arrays.pop("blink_habits", None)
    if habits is not None:
        # The file keeps a number as an array of one.
        try:
            numbers = {name: np.reshape(habits[name], ()) for name in ("rest", "level")}
            habits = BlinkHabits(**{**habits, **numbers})
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ValueError(
                f"The weights file {path} holds other blink habits than this version's ({error}); "
                "personalize again."
            ) from error
    generator = module_from_config(FacialGenerator, config)
    try:
        features = speech_feature_count(arrays)
    except (KeyError, IndexError, AttributeError, TypeError) as error:
        raise ValueError(f"The weights file {path} lacks the layer {error}.") from error
    check_weights(
        arrays,
        generator,
        jax.ShapeDtypeStruct((1, WINDOW_FRAMES, WINDOW_ROWS, features), jnp.float32),
        jax.ShapeDtypeStruct((1, ATTRIBUTE_SIZE), jnp.float32),
        source=path,
    )
    return FacialGan(
        variables=jax.tree.map(jnp.asarray, arrays),
        statistics=AttributeStatistics(mean=mean, std=std),
        initial_state=initial_state,
        generator=generator,
        blink_habits=habits,
    )


def generate_attributes(
    model: FacialGan,
    features: Float[Array | np.ndarray, "t features"],
    *,
    initial_state: Attributes | None = None,
    blink_draw: np.random.Generator | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
) -> Attributes:
    """What the face does while this speech sounds.

    Args:
        model: the trained FACIAL-GAN.
        features: (t, n) float32 speech features, one row per video frame, t ≥ 1, of the acoustic
            model that FACIAL-GAN was trained with. Before and after them there is nothing: rows of
            zeros, as in training.
        initial_state: the attributes of the frame before the first, a single frame; by default
            the model's face at rest.
        blink_draw: draws which of the possible blinks come (see `blink_by_habit`).
        progress: wraps the iteration over the windows, such as a progress bar.

    Returns:
        t frames of attributes, in radians, decimetres and AU45 units, the blink within 0 to 5: by
        the person's habits if the model knows them, otherwise as the network generated it.

    Raises:
        ValueError: there is no frame, or n is not the network's.
    """
    if not len(features):
        raise ValueError("features: expected at least one frame, got none")
    if features.shape[1] != model.speech_features:
        raise ValueError(
            f"features: this FACIAL-GAN was trained with {model.speech_features} speech features "
            f"a frame, got {features.shape[1]}; use the acoustic model that it was trained with"
        )
    state = model.initial_state if initial_state is None else pack_attributes(initial_state)
    state = jnp.asarray(state).reshape(ATTRIBUTE_SIZE)
    count = len(features)
    windows = -(-count // WINDOW_FRAMES)
    padded = np.zeros((windows * WINDOW_FRAMES + WINDOW_ROWS - 1, features.shape[1]), np.float32)
    padded[ROWS_BEFORE : ROWS_BEFORE + count] = np.asarray(features)
    generate = _generate_window(model.generator)
    packed = []
    for start in progress(range(0, windows * WINDOW_FRAMES, WINDOW_FRAMES)):
        rows = padded[start : start + WINDOW_FRAMES + WINDOW_ROWS - 1]
        window, state = generate(model.variables, model.statistics, rows, state)
        packed.append(np.asarray(window))
    attributes = unpack_attributes(np.concatenate(packed)[:count])
    blink = attributes.blink.clip(0.0, MAX_BLINK)
    if model.blink_habits is not None:
        blink = blink_by_habit(blink, model.blink_habits, draw=blink_draw)
    return attributes.replace(blink=blink)


def continue_pose(window: Float[Array, "t 71"], before: Float[Array, "71"]) -> Float[Array, "t 71"]:
    """The window, its head continuing from the pose of the frame before.

    See `continue_motion`.
    """
    attributes, last = unpack_attributes(window), unpack_attributes(before)
    return pack_attributes(attributes.replace(pose=continue_motion(attributes.pose, last.pose)))


def blink_when_due(
    blink: Float[np.ndarray, "t"], fps: float, *, first: int = 0
) -> Float[np.ndarray, "t"]:
    """Adds a blink wherever the eyes would stay open for longer than people's do.

    FACIAL-GAN blinks by the speech, which silence lacks. A blink is due 5 to 8 s
    after the last one, at intervals that vary but are the same for the same frames.

    `first` is the index of the first interval in their endless sequence.
    """
    knots = np.cumsum((0.0, *_BLINK_PHASES_S))
    time = np.arange(int(np.ceil(knots[-1] * fps)) + 1) / fps
    level = np.interp(time, knots, (0.0, 1.0, 1.0, 0.0))
    shape = _BLINK_PEAK * level * level * (3 - 2 * level)
    result = blink.copy()
    last, added = 0, first
    for frame in range(len(blink)):
        if result[frame] > _CLOSED:
            last = frame
        # Multiples of the golden section spread evenly over the interval, and never repeat.
        share = (added * 0.618034) % 1.0
        if (frame - last) / fps > BLINK_DUE_S[0] + share * (BLINK_DUE_S[1] - BLINK_DUE_S[0]):
            part = result[frame : frame + len(shape)]
            np.maximum(part, shape[: len(part)], out=part)
            last, added = frame + 1, added + 1
    return result


@functools.lru_cache(maxsize=4)
def _generate_window(generator: FacialGenerator):
    """One window and the state that it ends in, compiled once for its one shape."""

    def generate(variables, statistics, rows, state):
        audio = context_windows(rows[None])
        fake = generator.apply(variables, audio, standardize(state, statistics)[None], train=False)
        window = continue_pose(unstandardize(fake[0], statistics), state)
        return window, window[-1]

    return jit(generate)
