"""How MouthSync is trained: on clips whose speech and motion are known to belong together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flax.struct
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from facial_jax.audio.mfcc import MEL_BANDS
from facial_jax.compilation import jit
from facial_jax.data.clips import ClipSource
from facial_jax.face.model import FaceModel
from facial_jax.face.procedural import procedural_face_model
from facial_jax.models.sync.losses import shift_loss, shift_scores
from facial_jax.models.sync.motion import CHANNELS, is_still, mouth_distances, mouth_motion
from facial_jax.models.sync.network import CONTEXT, MouthSyncNetwork
from facial_jax.models.sync.speech import FPS, speech_rows
from facial_jax.models.sync.use import MAX_SHIFT, MouthSync, measure_mouth_sync, save_mouth_sync
from facial_jax.provenance import settings, tree_hash
from facial_jax.training.batches import Batches, fits_on_devices
from facial_jax.training.checks import check_columns
from facial_jax.training.fit import fit
from facial_jax.training.processes import copy_result
from facial_jax.training.task import Losses, Report, Task, Variables

NETWORK_FILE = "mouth_sync.safetensors"
_NAME = "mouth_sync"
_CHECKED_CLIPS = 20


@dataclass(frozen=True)
class MouthSyncTrainingConfig:
    """Everything that the result depends on, but the clips."""

    steps: int = 1500
    """Parameter updates."""
    batch: int = 64
    """Windows in a batch."""
    frames: int = 40
    """Frames of a window of the mouth, at 25 per second."""
    learning_rate: float = 2e-3
    """The highest learning rate; it falls to zero along a cosine."""
    weight_decay: float = 1e-2
    """Weight decay of AdamW."""
    noise: float = 0.6
    """Largest standard deviation of the slow and of the fast noise on the mouth's motion: a tracked
    mouth is not as exact as an animated one."""
    gain: float = 0.4
    """Largest change of a channel's size, as a share."""
    dropped: float = 0.15
    """Share of the mouth's channels that are set to zero."""
    unheard: float = 0.25
    """Share of the windows whose phones are set to zero, as for a voice that the recogniser does
    not know; in as many other windows the mel bands are."""
    seed: int = 0
    """Seed of the initial weights and of the batches."""


@flax.struct.dataclass
class SyncBatch:
    """Windows of clips."""

    rows: Float[Array, "b n f"]
    # of speech, from MAX_SHIFT + CONTEXT frames before the window to as many after it
    motion: Float[Array, "b m 4"]
    # of the mouth, from CONTEXT frames before the window to as many after it


class MouthSyncTask(Task):
    """Trains a `MouthSyncNetwork`."""

    def __init__(
        self,
        config: MouthSyncTrainingConfig,
        clips: ClipSource,
        validation: ClipSource,
        *,
        network: MouthSyncNetwork | None = None,
        face_model: FaceModel | None = None,
    ):
        """What is trained on `clips`, at 25 frames per second, and shown `validation`.

        Raises:
            ValueError: the clips have another frame rate, or speech features of different acoustic
                models.
        """
        self.config, self.network = config, network or MouthSyncNetwork()
        self.steps, self.batch_size, self.seed = config.steps, config.batch, config.seed
        model = procedural_face_model() if face_model is None else face_model
        shown, self._validation = (_rows_and_motion(x, model) for x in (clips, validation))
        every = [rows for rows, _ in (*shown, *self._validation)]
        check_columns("features of clips and validation", every)
        rows = np.concatenate([rows for rows, _ in shown])
        self._mean, self._std = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-3)
        self._data = {
            "rows": (rows - self._mean) / self._std,
            "motion": np.concatenate([motion for _, motion in shown]),
        }
        self._firsts = _window_firsts([len(rows) for rows, _ in shown], config.frames)

    @property
    def data_hash(self) -> str:
        """SHA-256 of all that the training reads of the clips."""
        return tree_hash(self._data)

    def init(self, key, batch: SyncBatch) -> Variables:
        """The network with random parameters."""
        return {_NAME: jit(self.network.init)(key, batch.rows, batch.motion)}

    def optimizers(self) -> dict[str, optax.GradientTransformation]:
        """AdamW."""
        schedule = optax.cosine_decay_schedule(self.config.learning_rate, self.steps)
        return {_NAME: optax.adamw(schedule, weight_decay=self.config.weight_decay)}

    def losses(self, variables: Variables, batch: SyncBatch, **_) -> Losses:
        """The cross-entropy of the true shift."""
        speech, mouth, scale = self.network.apply(variables[_NAME], batch.rows, batch.motion)
        scores = shift_scores(speech, mouth)
        loss = shift_loss(scores, scale)
        near = jnp.abs(scores.argmax(axis=1) - MAX_SHIFT) <= 1
        return Losses({_NAME: loss}, {"loss": loss, "within_a_frame": near.mean()})

    def batches(self, mesh: Mesh) -> Batches:
        """Windows drawn at random, their motion disturbed."""
        config, size = self.config, sum(x.nbytes for x in self._data.values())
        around, silence = MAX_SHIFT + CONTEXT, -self._mean / self._std
        sizes = np.array([len(silence) - MEL_BANDS, MEL_BANDS])

        def draw(step: int) -> dict[str, np.ndarray]:
            rng = np.random.default_rng((self.seed, step))
            return {
                "first": rng.choice(self._firsts, config.batch),
                "disturbance": _disturbance(config, rng),
                "gain": _gains(config, rng),
                "audible": _audible(config, rng),
            }

        def cut(data: dict[str, Array], drawn: dict[str, Array]) -> SyncBatch:
            def windows(x, margin):
                frames = jnp.arange(-margin, config.frames + margin)
                return x[drawn["first"][:, None] + frames[None]]

            motion = windows(data["motion"], CONTEXT) + drawn["disturbance"]
            # A recogniser's output in silence is zero before it is standardised.
            audible = jnp.repeat(
                drawn["audible"], sizes, axis=1, total_repeat_length=int(sizes.sum())
            )
            rows = windows(data["rows"], around)
            rows = jnp.where(audible[:, None] > 0, rows, silence[None, None])
            return SyncBatch(rows, motion * drawn["gain"])

        resident = fits_on_devices(size, mesh)
        return Batches(draw, cut, self._data, mesh=mesh, size=config.batch, resident=resident)

    def validate(self, variables: Variables, step: int) -> Report:
        """How many validation clips have no offset, as they are and in parts of five seconds."""
        model, numbers = self._model(variables), {}
        for name, frames in (("clips", None), ("5 s", round(5 * FPS))):
            offsets = [
                measure_mouth_sync(model, motion[:frames], rows[:frames]).sound_delay_frames
                for rows, motion in self._validation[:_CHECKED_CLIPS]
            ]
            numbers[f"exact, {name}"] = float(np.mean(np.equal(offsets, 0)))
        text = ", ".join(f"{name} {value:.2f}" for name, value in numbers.items())
        return Report(numbers, [f"step {step}, validation: {text}"])

    def export(self, variables: Variables, folder: Path) -> None:
        """The network and what its input is standardised by."""
        save_mouth_sync(folder / NETWORK_FILE, self._model(variables))

    def _model(self, variables: Variables) -> MouthSync:
        params = {k: v for k, v in variables[_NAME]["params"].items() if k != "log_scale"}
        return MouthSync({"params": params}, self._mean, self._std, self.network)


def _rows_and_motion(clips: ClipSource, model: FaceModel) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows of speech and the mouth's motion of every clip in which somebody speaks."""
    pairs = []
    for clip in (clips[i] for i in range(len(clips))):
        if clip.frame_rate != FPS:
            raise ValueError(
                f"clips: expected {FPS} frames per second, got {clip.fps} in {clip.clip}"
            )
        distances = mouth_distances(model, clip.expression)
        if is_still(distances):
            continue
        samples = clip.waveform.astype(np.float32) / np.float32(32768)
        pairs.append((speech_rows(clip.features, [samples]), mouth_motion(distances, float(FPS))))
    if not pairs:
        raise ValueError("clips: expected somebody who speaks in at least one, found nobody")
    return pairs


def _window_firsts(lengths: Sequence[int], frames: int) -> Int[np.ndarray, "n"]:
    """First frames, over all clips, of the windows that have their margins in their clip."""
    margin, firsts, begin = MAX_SHIFT + CONTEXT, [], 0
    for length in lengths:
        firsts.append(np.arange(begin + margin, begin + length - margin - frames + 1))
        begin += length
    firsts = np.concatenate(firsts).astype(np.int32)
    if not len(firsts):
        needed = frames + 2 * margin
        raise ValueError(f"clips: expected one of at least {needed} frames, got none")
    return firsts


def _disturbance(config: MouthSyncTrainingConfig, rng: np.random.Generator) -> np.ndarray:
    """Noise on a batch's motion: fast, and slow as a tracker's smoothed errors are."""
    shape = (config.batch, config.frames + 2 * CONTEXT, len(CHANNELS))
    white = rng.standard_normal((2, *shape), np.float32)
    slow = np.cumsum(white[1], axis=1)
    slow[:, 4:] -= slow[:, :-4].copy()  # a moving sum over four frames
    level = rng.uniform(0, config.noise, (2, config.batch, 1, 1)).astype(np.float32)
    return level[0] * white[0] / 2 + level[1] * slow / 2


def _gains(config: MouthSyncTrainingConfig, rng: np.random.Generator) -> np.ndarray:
    shape = (config.batch, 1, len(CHANNELS))
    gain = rng.uniform(1 - config.gain, 1 + config.gain, shape)
    return np.where(rng.random(shape) < config.dropped, 0, gain).astype(np.float32)


def _audible(config: MouthSyncTrainingConfig, rng: np.random.Generator) -> np.ndarray:
    """Of each window, whether its phones and whether its mel bands are kept."""
    chance = rng.random(config.batch)
    unheard = np.stack([chance < config.unheard, chance > 1 - config.unheard], axis=1)
    return (~unheard).astype(np.float32)


def train_mouth_sync(
    config: MouthSyncTrainingConfig,
    clips: ClipSource,
    validation: ClipSource,
    folder: Path,
    *,
    network: Path | None = None,
    **options: Any,
) -> None:
    """Trains, and writes `mouth_sync.safetensors` into the run's folder.

    Args:
        config: how.
        clips: to train on, with the features of the acoustic model `phonemes`.
        validation: to measure it on.
        folder: of the run.
        network: the trained network is written here too.
        options: of `facial_jax.training.fit.fit`: `devices`, `stop_after`, `progress`, `say`.
    """
    task = MouthSyncTask(config, clips, validation)
    provenance = settings(config) | {"windows": task.data_hash}
    fit(task, folder=folder, provenance=provenance, **options)
    copy_result(folder / NETWORK_FILE, network)
