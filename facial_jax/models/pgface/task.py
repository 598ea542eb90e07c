"""How PGFace is trained on the clips of one person (personalized pose dynamics, Sec. 4.2)."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from facial_jax.attributes import EXPRESSION_SIZE, IDENTITY_SIZE, POSE_SIZE
from facial_jax.audio.features import WINDOW_ROWS
from facial_jax.data.clips import ClipSource, clips_hash
from facial_jax.face.model import FaceModel
from facial_jax.metrics.face_shape import generated_errors
from facial_jax.models.layers.parameters import module_config
from facial_jax.models.pgface.batch import (
    PgFaceBatch,
    clip_frames,
    cut_runs,
    frame_bytes,
    run_places,
    training_places,
)
from facial_jax.models.pgface.config import PgFaceTrainingConfig
from facial_jax.models.pgface.generation import PgFace, face_of, save_pgface
from facial_jax.models.pgface.losses import face_loss_factor, pgface_loss
from facial_jax.models.pgface.network import PgFaceGenerator
from facial_jax.models.pgface.statistics import PgFaceStatistics
from facial_jax.provenance import prefixed, settings, tree_hash
from facial_jax.training.batches import Batches, fits_on_devices
from facial_jax.training.checks import check_features, check_shape
from facial_jax.training.fit import fit
from facial_jax.training.task import Losses, Report, Task, Variables

FILE = "pgface.safetensors"
_GENERATOR = "generator"


class PgFaceTask(Task):
    """arg min_G L_PGFace (Eq. 8)."""

    def __init__(
        self,
        config: PgFaceTrainingConfig,
        generator: PgFaceGenerator,
        face_model: FaceModel,
        clips: ClipSource,
        validation: ClipSource,
        statistics: PgFaceStatistics,
    ):
        """What is trained on `clips`; arguments as `train_pgface`'s.

        Raises:
            ValueError: the statistics have other shapes than the clips' arrays, or the clips'
                speech features are of different acoustic models.
        """
        check_features(clips, validation)
        columns = {
            "features": clips[0].features.shape[1],
            "pose": POSE_SIZE,
            "face": IDENTITY_SIZE + EXPRESSION_SIZE,
        }
        for name, count in columns.items():
            one = getattr(statistics, name)
            check_shape(f"statistics.{name}.mean", one.mean, (count,))
            check_shape(f"statistics.{name}.std", one.std, (count,))
        self.config, self.generator, self._statistics = config, generator, statistics
        self._entries, self._validation = clips.entries, validation
        self._face_model = face_model
        self._frames = clip_frames(clips)
        self.factor = face_loss_factor(face_model, config.weights.lower_face).astype(np.float32)
        lengths = [len(clips[index]) for index in range(len(clips))]
        places = run_places(clips.entries, lengths, config.frames)
        self._places = training_places(places, batch=config.batch, seed=config.seed)
        self._epoch = max(1, len(places) // config.batch)
        steps = round(config.epochs * self._epoch)
        self.steps = steps if config.max_steps is None else min(steps, config.max_steps)
        self.seed, self.batch_size = config.seed, config.batch
        self.save_every = config.checkpoint_steps
        # Five of these in a training: an epoch of one person's clips is short.
        self.validate_every = max(self._epoch, self.steps // 5)

    @property
    def fixed(self) -> Any:
        """The root of the weighed Gram matrix, and the statistics."""
        return {"factor": self.factor, "statistics": self._statistics}

    def init(self, key, batch: PgFaceBatch) -> Variables:
        """The network anew."""
        frames = self.config.frames
        check_shape("rows", batch.rows, (1, frames + WINDOW_ROWS - 1, None))
        check_shape("pose", batch.pose, (1, frames, POSE_SIZE))
        check_shape("face", batch.face, (1, frames, IDENTITY_SIZE + EXPRESSION_SIZE))
        windows = jnp.zeros((1, WINDOW_ROWS, batch.rows.shape[-1]))
        return {_GENERATOR: self.generator.init(key, windows, jnp.zeros((1, POSE_SIZE)))}

    def optimizers(self) -> dict[str, optax.GradientTransformation]:
        """Adam."""
        rate, final = self.config.learning_rate, self.config.final_learning_rate
        return {_GENERATOR: optax.adam(optax.cosine_decay_schedule(rate, self.steps, final / rate))}

    def losses(self, variables: Variables, batch: PgFaceBatch, *, fixed: Any, **_) -> Losses:
        """L_PGFace of runs of neighbouring frames (Eqs. 7 and 8)."""
        model = PgFace(variables[_GENERATOR], fixed["statistics"], self.generator)
        fake = face_of(model, jnp.asarray(batch.rows), jnp.asarray(batch.pose))
        real = jnp.asarray(batch.face)
        terms = pgface_loss(real, fake, fixed["factor"], self.config.weights)
        return Losses({_GENERATOR: terms.total}, dict(vars(terms)))

    def batches(self, mesh: Mesh) -> Batches:
        """Runs of frames, cut on the devices if the clips fit there."""
        frames, places = self.config.frames, self._places

        def draw(step: int) -> Any:
            return places[step][:, 2]

        def cut(data: Any, first: Any) -> PgFaceBatch:
            return cut_runs(data, first, frames)

        resident = fits_on_devices(frame_bytes(self._frames), mesh)
        return Batches(draw, cut, self._frames, mesh=mesh, size=self.batch_size, resident=resident)

    def describe(self, step: int) -> str:
        """Which clips a batch's runs are from, and where each begins."""
        runs = self._places[step][:, :2].tolist()
        return ", ".join(f"{self._entries[clip].clip} from frame {first}" for clip, first in runs)

    def validate(self, variables: Variables, step: int) -> Report:
        """Vertex errors on the clips that are not trained on."""
        errors = generated_errors(self.model(variables), self._validation, self._face_model)
        numbers = {name: float(value) for name, value in vars(errors).items()}
        shown = ", ".join(f"{name} {value:.3f}" for name, value in numbers.items())
        return Report(numbers, [f"epoch {step / self._epoch:.1f}, validation in mm: {shown}"])

    def model(self, variables: Variables) -> PgFace:
        """The trained PGFace."""
        return PgFace(variables[_GENERATOR], self._statistics, self.generator)

    def export(self, variables: Variables, folder: Path) -> None:
        """The network, in half precision."""
        save_pgface(folder / FILE, self.model(variables))


def train_pgface(
    config: PgFaceTrainingConfig,
    generator: PgFaceGenerator,
    face_model: FaceModel,
    clips: ClipSource,
    validation: ClipSource,
    statistics: PgFaceStatistics,
    folder: Path,
    **options: Any,
) -> PgFace:
    """Trains, or goes on from the folder's last checkpoint, and writes the network there.

    Args:
        config: how.
        generator: what.
        face_model: of the clips' coefficients: the vertex losses are its vertices'.
        clips: to train on, of one person.
        validation: measured now and then, never trained on.
        statistics: what the network's inputs and outputs are standardised by.
        folder: of the run.
        options: of `facial_jax.training.fit.fit`: `devices`, `stop_after`, `progress`, `say`.
    """
    task = PgFaceTask(config, generator, face_model, clips, validation, statistics)
    provenance = {
        **settings(config, without=("checkpoint_steps",)),
        **prefixed("generator", module_config(generator)),
        "clips": clips_hash(clips),
        "vertex_losses": tree_hash(task.factor),
        "statistics": tree_hash(jax.tree.map(np.asarray, statistics)),
    }
    return task.model(fit(task, folder=folder, provenance=provenance, **options))
