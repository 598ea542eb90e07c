"""How PoseGAN is trained on clips, of one person or of many (CVM, Sec. 4.1 and 5)."""

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from facial_jax.attributes import POSE_SIZE
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
from facial_jax.files import write_text
from facial_jax.models.facial_gan.batch import facial_batch
from facial_jax.models.layers.adversarial import log_gan_loss, log_generator_loss
from facial_jax.models.layers.parameters import load_variables, module_config, save_variables
from facial_jax.models.pose_gan.batch import PoseBatch, generate_valid, pose_batch
from facial_jax.models.pose_gan.config import PoseGanTrainingConfig
from facial_jax.models.pose_gan.generation import (
    GENERATOR_FILE,
    WINDOW_FRAMES,
    PoseGan,
    load_pose_gan,
    save_pose_gan,
)
from facial_jax.models.pose_gan.losses import regression_losses
from facial_jax.models.pose_gan.network import PoseDiscriminator, PoseGenerator
from facial_jax.models.pose_gan.rest_frame import (
    pose_statistics,
    resting_pose,
    standardized_poses,
)
from facial_jax.models.pose_gan.validation import draw_curves, make_evaluation, pose_windows
from facial_jax.provenance import prefixed, settings
from facial_jax.training.batches import Batches, fits_on_devices
from facial_jax.training.checks import check_features, check_shape
from facial_jax.training.fit import fit
from facial_jax.training.layout import keep_gradients_layout
from facial_jax.training.parallel import AXIS
from facial_jax.training.task import Losses, Report, Task, Variables

BEST_FILE = "best.safetensors"
CURVES_FILE = "curves.html"
_GENERATOR, _DISCRIMINATOR = "generator", "discriminator"


class PoseGanTask(Task):
    """arg min_G max_D of Eq. 6; without an adversarial term, the generator alone."""

    gradient_norms = True

    def __init__(
        self,
        config: PoseGanTrainingConfig,
        generator: PoseGenerator,
        discriminator: PoseDiscriminator,
        clips: ClipSource,
        validation: ClipSource,
        folder: Path,
    ):
        """What is trained on `clips`; arguments as `train_pose_gan`'s.

        Raises:
            ValueError: the clips' speech features are of different acoustic models.
        """
        check_features(clips, validation)
        self.config, self.generator, self._folder = config, generator, folder
        self._clips, self._validation = clips, validation
        self._with_generator = generator.clone(axis_name=AXIS)
        self.discriminator = discriminator
        self._adversarial = config.weights.gan > 0
        self.statistics = pose_statistics(clips, config.smoothing_frames)
        self._rest = resting_pose(clips)
        options = {"batch": config.batch, "frames": WINDOW_FRAMES, "stride": config.stride}
        self._epoch = steps_per_epoch(clips, **options)
        steps = round(config.epochs * self._epoch)
        self.steps = steps if config.max_steps is None else min(steps, config.max_steps)
        self.seed, self.batch_size = config.seed, config.batch
        self.save_every = self.validate_every = max(1, self.steps // config.validations)
        self._draws = training_draws(clips, seed=config.seed, **options)

        @functools.cache
        def windows():
            return pose_windows(
                validation, self.statistics, smoothing_frames=config.smoothing_frames
            )

        self._evaluate = make_evaluation(generator, config.weights, windows)

    def init(self, key, batch: PoseBatch) -> Variables:
        """The networks anew."""
        check_shape("poses", batch.poses, (1, None, POSE_SIZE))
        frames = batch.poses.shape[1]
        check_shape("rows", batch.rows, (1, frames, None))
        check_shape("initial_pose", batch.initial_pose, (1, POSE_SIZE))
        check_shape("valid", batch.valid, (1, frames))
        generator_key, discriminator_key = jax.random.split(key)
        networks = {_GENERATOR: self.generator.begin(generator_key, batch.rows, batch.initial_pose)}
        if self._adversarial:
            networks[_DISCRIMINATOR] = jax.jit(self.discriminator.init)(
                discriminator_key, batch.poses, batch.rows, batch.initial_pose
            )
        return networks

    def optimizers(self) -> dict[str, optax.GradientTransformation]:
        """Adam for both networks."""
        config = self.config
        rates = {_GENERATOR: config.learning_rate}
        if self._adversarial:
            rates[_DISCRIMINATOR] = config.discriminator_learning_rate
        return {
            name: optax.adam(
                optax.cosine_decay_schedule(rate, self.steps, config.final_learning_rates)
            )
            for name, rate in rates.items()
        }

    def losses(self, variables: Variables, batch: PoseBatch, **_) -> Losses:
        """Eq. 6 for the generator, the other side of Eq. 5 for the discriminator."""
        weights = self.config.weights
        rows, real = jnp.asarray(batch.rows), jnp.asarray(batch.poses)
        initial = jnp.asarray(batch.initial_pose)
        g = variables[_GENERATOR]
        g = {**g, "params": keep_gradients_layout(g["params"])}
        fake, updates = self._with_generator.apply(
            g, rows, initial, train=True, mutable=["batch_stats"]
        )
        fake = generate_valid(fake, batch)
        terms = regression_losses(real, fake, initial, weights)
        objectives = {_GENERATOR: terms.regression}
        metrics = {"pose": terms.pose, "motion": terms.motion}
        if self._adversarial:
            judge = functools.partial(self.discriminator.apply, variables[_DISCRIMINATOR])
            real_logits, fake_logits = judge(real, rows, initial), judge(fake, rows, initial)
            gan = log_generator_loss(fake_logits)
            objectives = {
                _GENERATOR: terms.regression + weights.gan * gan,
                _DISCRIMINATOR: log_gan_loss(real_logits, fake_logits),
            }
            metrics["gan"] = gan
        return Losses(objectives, metrics | objectives, {_GENERATOR: updates})

    def batches(self, mesh: Mesh) -> Batches:
        """Windows, cut on the devices if the clips fit there."""
        learnt = functools.partial(
            standardized_poses,
            statistics=self.statistics,
            smoothing_frames=self.config.smoothing_frames,
        )
        cutter = WindowCutter(self._clips, frames=WINDOW_FRAMES, learnt=learnt)
        draws = self._draws
        if fits_on_devices(resident_bytes(self._clips), mesh):
            data, begins = resident_clips(cutter, None)
            resident = True

            def draw(step: int) -> WindowPlaces:
                return resident_places(draws[step], begins, POSE_SIZE)

            def cut(data, places: WindowPlaces) -> PoseBatch:
                return pose_batch(cut_resident_windows(data, places))
        else:
            data, draw, resident = None, draws.__getitem__, False

            def cut(data: None, draw: Draw) -> PoseBatch:
                return pose_batch(facial_batch(cut_windows(cutter, None, draw)))

        return Batches(draw, cut, data, mesh=mesh, size=self.batch_size, resident=resident)

    def describe(self, step: int) -> str:
        """Which clips a batch's windows are from, and where each begins."""
        places = self._draws[step]["places"][:, :2].tolist()
        names = [entry.clip for entry in self._clips.entries]
        return ", ".join(f"{names[clip]} from frame {first}" for clip, first in places)

    def validate(self, variables: Variables, step: int) -> Report:
        """The losses on the clips that are not trained on; the best generator so far is kept.

        The best one has the least of Eq. 6 without its adversarial term, which is measured by a
        discriminator that changes. The folder keeps it, so that a training that was stopped knows
        it.
        """
        generator = variables[_GENERATOR]
        numbers = self._evaluate(generator)
        if numbers["regression"] < self._best()[1]:
            record = {"regression": numbers["regression"], "step": step}
            save_variables(self._folder / BEST_FILE, generator, record)
        write_text(
            self._folder / CURVES_FILE, draw_curves(self.model(generator), self._validation, 0)
        )
        shown = ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())
        return Report(numbers, [f"epoch {step / self._epoch:.1f}, validation: {shown}"])

    def _best(self) -> tuple[Any, float]:
        """The best generator so far and its loss."""
        path = self._folder / BEST_FILE
        if not path.is_file():
            return None, float("inf")
        variables, record = load_variables(path)
        return variables, record["regression"]

    def model(self, generator: Any) -> PoseGan:
        """A PoseGAN with these variables of the generator."""
        return PoseGan(
            variables=generator,
            statistics=self.statistics,
            rest_pose=self._rest,
            generator=self.generator,
        )

    def export(self, variables: Variables, folder: Path) -> None:
        """The generator that did best on the validation clips, in half precision."""
        best = self._best()[0]
        save_pose_gan(folder / GENERATOR_FILE, self.model(best), half_precision=True)


def train_pose_gan(
    config: PoseGanTrainingConfig,
    generator: PoseGenerator,
    discriminator: PoseDiscriminator,
    clips: ClipSource,
    validation: ClipSource,
    folder: Path,
    **options: Any,
) -> PoseGan | None:
    """Trains, or goes on from the folder's last checkpoint, and writes the best generator there.

    Args:
        config: how.
        generator: what is trained.
        discriminator: against what, unless the adversarial term's weight is 0.
        clips: to train on.
        validation: measured now and then, never trained on.
        folder: of the run.
        options: of `facial_jax.training.fit.fit`: `devices`, `stop_after`, `progress`, `say`.

    Returns:
        The trained PoseGAN, as it is in the folder; None if the training was stopped before.
    """
    folder.mkdir(parents=True, exist_ok=True)
    task = PoseGanTask(config, generator, discriminator, clips, validation, folder)
    provenance = {
        **settings(config),
        **prefixed("generator", module_config(generator)),
        **prefixed("discriminator", module_config(discriminator)),
        "clips": clips_hash(clips),
        "validation": clips_hash(validation),
    }
    fit(task, folder=folder, provenance=provenance, **options)
    path = folder / GENERATOR_FILE
    return load_pose_gan(path) if path.is_file() else None
