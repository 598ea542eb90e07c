"""How FACIAL-GAN is trained on clips, of many people or of one (FACIAL, Sec. 3.2 and 5.1)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from facial_jax.attributes import ATTRIBUTE_SIZE, AttributeStatistics
from facial_jax.audio.features import WINDOW_ROWS, context_windows
from facial_jax.data.clips import ClipSource, clips_hash
from facial_jax.data.resident_windows import (
    WindowPlaces,
    cut_resident_windows,
    resident_bytes,
    resident_clips,
    resident_places,
)
from facial_jax.data.windows import (
    Draw,
    WindowCutter,
    cut_windows,
    steps_per_epoch,
    training_draws,
)
from facial_jax.face.model import FaceModel
from facial_jax.models.facial_gan.batch import FacialBatch, facial_batch
from facial_jax.models.facial_gan.config import NO_PERTURBATION, FacialGanTrainingConfig
from facial_jax.models.facial_gan.generation import FacialGan, save_facial_gan
from facial_jax.models.facial_gan.initialization import DISCRIMINATOR_FILE, FacialGanNetworks
from facial_jax.models.facial_gan.lips import lip_places
from facial_jax.models.facial_gan.losses import facial_loss
from facial_jax.models.facial_gan.statistics import mean_statistics, resting_state
from facial_jax.models.facial_gan.validation import draw_clip, generate_valid, make_evaluation
from facial_jax.models.layers.parameters import module_config, save_variables
from facial_jax.provenance import settings, tree_hash
from facial_jax.training.batches import Batches, fits_on_devices
from facial_jax.training.checks import check_features, check_shape
from facial_jax.training.fit import fit
from facial_jax.training.layout import keep_gradients_layout
from facial_jax.training.parallel import AXIS
from facial_jax.training.task import Losses, Report, Task, Variables

GENERATOR_FILE = "facial_gan.safetensors"
DRAWN_CLIPS = 2
_GENERATOR, _DISCRIMINATOR = "generator", "discriminator"


class FacialGanTask(Task):
    """arg min_G max_D L_facial (Eqs. 7 and 8): generator and discriminator step at once."""

    gradient_norms = True

    def __init__(
        self,
        config: FacialGanTrainingConfig,
        networks: FacialGanNetworks,
        clips: ClipSource,
        validation: ClipSource,
        statistics: Mapping[str, AttributeStatistics],
        face_model: FaceModel | None = None,
    ):
        """What is trained on `clips`; arguments as `train_facial_gan`'s.

        Raises:
            ValueError: the statistics are not of 71 attributes, or the clips' speech features are
                of different acoustic models.
        """
        check_features(clips, validation)
        for subject, one in statistics.items():
            check_shape(f"statistics[{subject!r}].mean", one.mean, (ATTRIBUTE_SIZE,))
            check_shape(f"statistics[{subject!r}].std", one.std, (ATTRIBUTE_SIZE,))
        places = None
        if config.weights.lips and face_model is not None:
            places = lip_places(face_model, mean_statistics(statistics))
        self.config, self.networks = config, networks
        self._clips, self._validation, self._statistics = clips, validation, statistics
        self._generator = networks.generator.clone(axis_name=AXIS)
        self._discriminator = networks.discriminator.clone(axis_name=AXIS)
        self._objective = config.losses(places)
        self._epoch = steps_per_epoch(clips, batch=config.batch, stride=config.stride)
        steps = round(config.epochs * self._epoch)
        self.steps = steps if config.max_steps is None else min(steps, config.max_steps)
        self.seed, self.batch_size = config.seed, config.batch
        self.save_every, self.validate_every = config.checkpoint_steps, self._epoch
        unperturbed = config.perturbation == NO_PERTURBATION
        self._perturbation = None if unperturbed else config.perturbation
        self._draws = training_draws(
            clips,
            batch=config.batch,
            seed=config.seed,
            stride=config.stride,
            perturbation=self._perturbation,
        )
        self._evaluate = make_evaluation(
            networks.generator, self._objective, validation, statistics
        )

    def init(self, key, batch: FacialBatch) -> Variables:
        """Both networks, from where they begin."""
        check_shape("attributes", batch.attributes, (1, None, ATTRIBUTE_SIZE))
        frames = batch.attributes.shape[1]
        check_shape("rows", batch.rows, (1, frames + WINDOW_ROWS - 1, None))
        check_shape("initial_state", batch.initial_state, (1, ATTRIBUTE_SIZE))
        check_shape("valid", batch.valid, (1, frames))
        generator, discriminator = self.networks.init(key, batch)
        return {_GENERATOR: generator, _DISCRIMINATOR: discriminator}

    def optimizers(self) -> dict[str, optax.GradientTransformation]:
        """Adam for both networks."""
        rate, final = self.config.learning_rate, self.config.final_learning_rate
        adam = optax.adam(optax.cosine_decay_schedule(rate, self.steps, final / rate))
        return {_GENERATOR: adam, _DISCRIMINATOR: adam}

    def losses(self, variables: Variables, batch: FacialBatch, **_) -> Losses:
        """L_facial for the generator, L_F-GAN for the discriminator (Eqs. 4 to 8).

        What the discriminator computes of the generated windows serves both.
        """
        objective, real = self._objective, jnp.asarray(batch.attributes)
        g, d = (
            {**variables[name], "params": keep_gradients_layout(variables[name]["params"])}
            for name in (_GENERATOR, _DISCRIMINATOR)
        )
        audio = context_windows(jnp.asarray(batch.rows))
        fake, g_updates = self._generator.apply(
            g, audio, jnp.asarray(batch.initial_state), train=True, mutable=["batch_stats"]
        )
        fake = generate_valid(fake, batch)
        real_logits, d_updates = self._judge(d, real)
        fake_logits, d_updates = self._judge({**d, **d_updates}, fake)
        regression, gan = objective.regression(real, fake), objective.generator(fake_logits)
        objectives = {
            _GENERATOR: facial_loss(gan, regression.total, objective.gan_weight),
            _DISCRIMINATOR: objective.discriminator(real_logits, fake_logits),
        }
        metrics = {
            "expression": regression.expression,
            "pose": regression.pose,
            "eye": regression.eye,
            "initial_state": regression.initial_state,
            "lips": regression.lips,
            "gan": gan,
        }
        updates = {_GENERATOR: g_updates, _DISCRIMINATOR: d_updates}
        return Losses(objectives, metrics | objectives, updates)

    def _judge(self, variables: Any, attributes: Any) -> tuple[Any, Any]:
        return self._discriminator.apply(variables, attributes, train=True, mutable=["batch_stats"])

    def batches(self, mesh: Mesh) -> Batches:
        """Windows, cut on the devices if the clips fit there."""
        cutter = WindowCutter(self._clips, statistics=self._statistics)
        perturbation, draws = self._perturbation, self._draws
        if fits_on_devices(resident_bytes(self._clips), mesh):
            data, begins = resident_clips(cutter, perturbation)
            cut, resident = cut_resident_windows, True

            def draw(step: int) -> WindowPlaces:
                return resident_places(draws[step], begins)
        else:
            data, draw, resident = None, draws.__getitem__, False

            def cut(data: None, draw: Draw) -> FacialBatch:
                return facial_batch(cut_windows(cutter, perturbation, draw))

        return Batches(draw, cut, data, mesh=mesh, size=self.batch_size, resident=resident)

    def describe(self, step: int) -> str:
        """Which clips a batch's windows are from, and where each begins."""
        places = self._draws[step]["places"][:, :2].tolist()
        names = [entry.clip for entry in self._clips.entries]
        return ", ".join(f"{names[clip]} from frame {first}" for clip, first in places)

    def validate(self, variables: Variables, step: int) -> Report:
        """The losses on the clips that are not trained on, and curves of some of them."""
        numbers = self._evaluate(variables[_GENERATOR])
        shown = ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())
        figures = {
            f"curves_{number}": draw_clip(
                self.networks.generator,
                variables[_GENERATOR],
                self._validation,
                number,
                self._statistics,
            )
            for number in range(min(DRAWN_CLIPS, len(self._validation)))
        }
        return Report(numbers, [f"epoch {step / self._epoch:.1f}, validation: {shown}"], figures)

    def model(self, variables: Variables) -> FacialGan:
        """The trained FACIAL-GAN; its statistics are the subjects' mean ones."""
        return FacialGan(
            variables=variables[_GENERATOR],
            statistics=mean_statistics(self._statistics),
            initial_state=resting_state(self._clips, self._statistics),
            generator=self.networks.generator,
        )

    def export(self, variables: Variables, folder: Path) -> None:
        """Both networks, in half precision."""
        save_facial_gan(folder / GENERATOR_FILE, self.model(variables), half_precision=True)
        save_variables(
            folder / DISCRIMINATOR_FILE,
            variables[_DISCRIMINATOR],
            module_config(self.networks.discriminator),
            half_precision=True,
        )


def train_facial_gan(
    config: FacialGanTrainingConfig,
    networks: FacialGanNetworks,
    clips: ClipSource,
    validation: ClipSource,
    statistics: Mapping[str, AttributeStatistics],
    folder: Path,
    *,
    face_model: FaceModel | None = None,
    **options: Any,
) -> FacialGan:
    """Trains, or goes on from the folder's last checkpoint, and writes both networks there.

    Args:
        config: how.
        networks: what is trained, and from which variables.
        clips: to train on.
        validation: measured after each epoch, never trained on.
        statistics: what each subject's attributes are standardised by.
        folder: of the run.
        face_model: whose expressions the clips have; needed where the lips have a weight.
        options: of `facial_jax.training.fit.fit`: `devices`, `stop_after`, `progress`, `say`.
    """
    task = FacialGanTask(config, networks, clips, validation, statistics, face_model)
    provenance = {
        **settings(config, without=("checkpoint_steps",)),
        **networks.provenance,
        "clips": clips_hash(clips),
        "statistics": tree_hash([statistics[subject] for subject in clips.subjects]),
    }
    if config.weights.lips and face_model is not None:
        provenance["face_model"] = tree_hash(face_model)
    return task.model(fit(task, folder=folder, provenance=provenance, **options))
