"""How FACIAL-GAN is trained on clips, of many people or of one."""

import contextlib
import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import optax
from jax.sharding import Mesh

from facial_jax.attributes import (
    AttributeStatistics,
    pack_attributes,
    standardize,
    unstandardize,
)
from facial_jax.compilation import jit
from facial_jax.data.clips import ClipSource
from facial_jax.data.resident_windows import (
    WindowPlaces,
    cut_resident_windows,
    resident_bytes,
    resident_clips,
    resident_places,
)
from facial_jax.data.windows import (
    Draw,
    Perturbation,
    WindowCutter,
    Windows,
    cut_windows,
    evaluation_windows,
    steps_per_epoch,
    training_draws,
)
from facial_jax.files import whole_or_nothing
from facial_jax.models.facial_gan.blinking import learn_blink_habits
from facial_jax.models.facial_gan.calibration import calibrate_movement
from facial_jax.models.facial_gan.curves import draw_curves
from facial_jax.models.facial_gan.generation import (
    FacialGan,
    generate_attributes,
    load_facial_gan,
    save_facial_gan,
)
from facial_jax.models.facial_gan.losses import (
    FacialObjective,
    FacialWeights,
    paper_objective,
    published_code_objective,
)
from facial_jax.models.facial_gan.network import (
    SMALL_DISCRIMINATOR,
    FacialDiscriminator,
    FacialGenerator,
)
from facial_jax.models.facial_gan.step import (
    FacialBatch,
    facial_evaluation_step,
    facial_train_step,
    init_facial_train_state,
)
from facial_jax.models.layers.parameters import (
    load_variables,
    module_config,
    module_from_config,
    save_variables,
)
from facial_jax.training.batches import Batches, fits_on_devices
from facial_jax.training.checkpoints import Checkpoints
from facial_jax.training.loop import Training, run_steps
from facial_jax.training.parallel import (
    AXIS,
    check_batch_size,
    data_mesh,
    data_parallel,
    local_copy,
    replicate,
)
from facial_jax.training.processes import is_first
from facial_jax.training.progress import training_progress

GENERATOR_FILE = "facial_gan.safetensors"
DISCRIMINATOR_FILE = "discriminator.safetensors"
NO_PERTURBATION = Perturbation(pose=0.0, blink=0.0, expression=0.0, start_share=0.0)
DRAWN_CLIPS = 2
EVALUATION_BATCH = 16


@dataclass(frozen=True)
class TrainingConfig:
    """How FACIAL-GAN is trained, and for how long. The defaults are the paper's (Sec. 5.1)."""

    seed: int = 0
    batch: int = 64
    """Windows of 128 frames, over all devices."""
    stride: int = 5
    """Frames from one window's beginning to the next one's."""
    epochs: float = 50.0
    max_steps: int | None = None
    """Fewer than the epochs have, if given."""
    learning_rate: float = 1e-4
    final_learning_rate: float = 1e-4
    """Reached along half a cosine; the paper's stays as it is."""
    objective: Literal["paper", "published_code"] = "paper"
    """Eqs. 4 to 8, or least squares and the weights of the published code."""
    weights: FacialWeights = field(default_factory=FacialWeights)
    """Of the paper's objective."""
    perturbation: Perturbation = NO_PERTURBATION
    """Noise on the windows' initial states."""
    checkpoint_steps: int = 1000
    """Steps between checkpoints."""

    @property
    def losses(self) -> FacialObjective:
        """The objective with its weights."""
        if self.objective == "paper":
            return paper_objective(self.weights)
        return published_code_objective()


PERSONALIZATION = TrainingConfig(
    batch=16,
    epochs=10.0,
    # As the bundled general network was trained.
    weights=FacialWeights(initial_state=100.0),
    perturbation=Perturbation(),
    checkpoint_steps=100,
)
"""How a general network is fine-tuned on one person (Sec. 5.1)."""


@dataclass(frozen=True)
class Networks:
    """Both networks, and trained variables to begin from, if any."""

    generator: FacialGenerator
    discriminator: FacialDiscriminator
    generator_variables: Any = None
    discriminator_variables: Any = None


def load_networks(path: Path) -> Networks:
    """The general FACIAL-GAN's generator, and its discriminator where that lies beside it."""
    model = load_facial_gan(path)
    beside = path.with_name(DISCRIMINATOR_FILE)
    if beside.is_file():
        variables, description = load_variables(beside)
        discriminator = module_from_config(FacialDiscriminator, description)
    else:
        variables = None
        small = model.generator != type(model.generator)()
        discriminator = FacialDiscriminator(**(SMALL_DISCRIMINATOR if small else {}))
    return Networks(model.generator, discriminator, model.variables, variables)


def train_facial_gan(
    config: TrainingConfig,
    networks: Networks,
    clips: ClipSource,
    validation: ClipSource,
    statistics: Mapping[str, AttributeStatistics],
    output: Path,
    *,
    resolved_config: dict[str, Any],
    devices: list[jax.Device] | None = None,
    progress: bool = True,
) -> FacialGan:
    """Trains, or goes on from the folder's last checkpoint, and writes both networks to `output`.

    Args:
        config: how.
        networks: what, and from where.
        clips: to train on.
        validation: looked at after each epoch, never trained on.
        statistics: what each subject's attributes are standardised by.
        output: the run's folder.
        resolved_config: all that the result depends on, as JSON can hold it; kept in the
            checkpoints.
        devices: to train on; all if None.
        progress: show a progress bar.

    Returns:
        The trained FACIAL-GAN; its statistics are the subjects' mean ones.
    """
    mesh = data_mesh(devices)
    check_batch_size(config.batch, mesh.size)
    output.mkdir(parents=True, exist_ok=True)
    training = facial_gan_training(config, networks, clips, statistics, mesh)
    checkpoints = Checkpoints(output / "checkpoints", resolved_config)
    restored = checkpoints.restore(training.state)
    state = training.state if restored is None else restored
    training = training._replace(state=None)  # nothing holds what a step may use up
    first, epoch = int(state.step), _epoch_steps(config, clips)
    evaluate = make_evaluation(networks.generator, config.losses, validation, statistics)
    with (
        contextlib.closing(checkpoints),
        training_progress(
            output / "tensorboard", first=first, steps=training.steps, shown=progress
        ) as (say, board, look),
    ):

        def validate(done: int, state) -> None:
            variables = local_copy(state.generator)
            losses = evaluate(variables)
            for name, value in losses.items():
                board.add_scalar(f"validation/{name}", value, done)
            say(
                f"epoch {done / epoch:.1f}, validation: "
                + ", ".join(f"{name} {value:.4g}" for name, value in losses.items())
            )
            drawn = min(DRAWN_CLIPS, len(validation)) if is_first() else 0
            for number in range(drawn):
                figure = draw_clip(networks.generator, variables, validation, number, statistics)
                with whole_or_nothing(output / f"curves_{number}.png") as partial:
                    figure.savefig(partial, dpi=60)
                board.add_figure(f"curves/{number}", figure, done, close=True)

        state = run_steps(
            training.step,
            state,
            training.batches.between(first, training.steps),
            first=first,
            last=training.steps,
            checkpoints=checkpoints,
            save_every=config.checkpoint_steps,
            look_every=20,
            look=look,
            describe=training.describe,
            validate_every=epoch,
            validate=validate,
        )
    model = FacialGan(
        variables=jax.device_get(local_copy(state.generator)),
        statistics=mean_statistics(statistics),
        initial_state=resting_state(clips, statistics),
        generator=networks.generator,
    )
    if is_first():
        save_facial_gan(output / GENERATOR_FILE, model, half_precision=True)
        save_variables(
            output / DISCRIMINATOR_FILE,
            jax.device_get(local_copy(state.discriminator)),
            module_config(networks.discriminator),
            half_precision=True,
        )
    return model


def facial_gan_training(
    config: TrainingConfig,
    networks: Networks,
    clips: ClipSource,
    statistics: Mapping[str, AttributeStatistics],
    mesh: Mesh,
) -> Training:
    """The networks at step 0, the step and the batches; arguments as `train_facial_gan`'s."""
    epoch = _epoch_steps(config, clips)
    steps = min(round(config.epochs * epoch), config.max_steps or round(config.epochs * epoch))
    optimizer = optax.adam(
        optax.cosine_decay_schedule(
            config.learning_rate, steps, config.final_learning_rate / config.learning_rate
        )
    )
    perturbation = None if config.perturbation == NO_PERTURBATION else config.perturbation
    draws = training_draws(
        clips,
        batch=config.batch,
        seed=config.seed,
        stride=config.stride,
        perturbation=perturbation,
    )
    cutter = WindowCutter(clips, statistics=statistics)
    state = init_facial_train_state(
        jax.random.key(config.seed),
        facial_batch(cutter.cut(draws[0]["places"][:1])),
        networks.generator,
        networks.discriminator,
        optimizer,
        generator_variables=networks.generator_variables,
        discriminator_variables=networks.discriminator_variables,
    )

    def device_step(state, batch):
        return facial_train_step(
            state,
            batch,
            generator=networks.generator.clone(axis_name=AXIS),
            discriminator=networks.discriminator.clone(axis_name=AXIS),
            optimizer=optimizer,
            objective=config.losses,
            axis_name=AXIS,
        )

    mapped = data_parallel(device_step, mesh)
    if fits_on_devices(resident_bytes(clips), mesh):
        data, begins = resident_clips(cutter, perturbation)
        cut, resident = cut_resident_windows, True

        def draw(step: int) -> WindowPlaces:
            return resident_places(draws[step], begins)
    else:
        data, draw, resident = None, draws.__getitem__, False

        def cut(data: None, draw: Draw) -> FacialBatch:
            return facial_batch(cut_windows(cutter, perturbation, draw))

    return Training(
        state=replicate(state, mesh),
        step=lambda state, drawn: mapped(state, drawn.batch),
        batches=Batches(draw, cut, data, mesh=mesh, size=config.batch, resident=resident),
        steps=steps,
        describe=lambda step: describe_windows(draws[step], clips),
    )


def _epoch_steps(config: TrainingConfig, clips: ClipSource) -> int:
    return steps_per_epoch(clips, batch=config.batch, stride=config.stride)


def learn_habits(model: FacialGan, clips: ClipSource, others: ClipSource) -> FacialGan:
    """One person's model with their range of movement and their habits of blinking.

    Args:
        model: trained on `clips`.
        clips: all of one person.
        others: of the same person, not trained on; only their speech is used.
    """
    known, speech = ([s[i].features for i in range(len(s))] for s in (clips, others))
    model = calibrate_movement(model, speech)
    blinks = [
        clips[i].blink[begin:end]
        for i, entry in enumerate(clips.entries)
        for begin, end in entry.segments
    ]
    # Blinks are rare: all of the speech tells better how often the network asks for them.
    made = [np.asarray(generate_attributes(model, rows).blink) for rows in known + speech]
    return model.replace(blink_habits=learn_blink_habits(blinks, made))


def facial_batch(windows: Windows) -> FacialBatch:
    """What the training step sees of a batch of windows."""
    return FacialBatch(
        rows=windows["rows"],
        initial_state=windows["initial_state"],
        attributes=windows["attributes"],
        valid=windows["valid"],
    )


def describe_windows(draw: Draw, clips: ClipSource) -> str:
    """Which clips a batch's windows are from, and where each begins."""
    places = draw["places"][:, :2].tolist()
    return ", ".join(f"{clips.entries[clip].clip} from frame {first}" for clip, first in places)


def make_evaluation(
    generator: FacialGenerator,
    objective: FacialObjective,
    clips: ClipSource,
    statistics: Mapping[str, AttributeStatistics],
):
    """A function of the generator's variables: the mean losses over all windows of the clips."""

    @jit
    def losses_of(variables, batch):
        return facial_evaluation_step(variables, batch, generator=generator, objective=objective)

    @functools.cache
    def batches() -> list[FacialBatch]:
        windows = evaluation_windows(clips, batch=EVALUATION_BATCH, statistics=statistics)
        return [facial_batch(batch) for batch in windows]

    def evaluate(variables) -> dict[str, float]:
        sizes = [len(batch.rows) for batch in batches()]
        # All are begun before the first is waited for.
        losses = jax.device_get([losses_of(variables, batch) for batch in batches()])
        return {
            loss.name: sum(
                size * float(getattr(one, loss.name))
                for size, one in zip(sizes, losses, strict=True)
            )
            / sum(sizes)
            for loss in dataclasses.fields(losses[0])
        }

    return evaluate


def draw_clip(generator, variables, clips: ClipSource, number: int, statistics):
    """A figure of one clip's curves and what is generated for its speech."""
    clip = clips[number]
    model = FacialGan(
        variables=variables,
        statistics=statistics[clip.subject],
        initial_state=np.asarray(pack_attributes(clip.attributes))[0],
        generator=generator,
    )
    fake = generate_attributes(model, clip.features)
    return draw_curves(fake, clip.attributes, fps=float(clip.frame_rate))


def mean_statistics(statistics: Mapping[str, AttributeStatistics]) -> AttributeStatistics:
    """Mean and deviation of a speaker in the middle of these."""
    mean, std = (
        np.mean([getattr(one, name) for one in statistics.values()], axis=0, dtype=np.float64)
        for name in ("mean", "std")
    )
    return AttributeStatistics(mean=mean.astype(np.float32), std=std.astype(np.float32))


def resting_state(clips: ClipSource, statistics: Mapping[str, AttributeStatistics]) -> np.ndarray:
    """(71,) packed attributes before a recording begins: the clips' median first valid frame.

    Taken among standardised frames, and given in the units of the subjects' mean statistics.
    """
    firsts = []
    for index, entry in enumerate(clips.entries):
        clip = clips[index]
        packed = np.asarray(pack_attributes(clip.attributes))[int(np.argmax(clip.valid))]
        firsts.append(np.asarray(standardize(packed, statistics[entry.subject])))
    middle = np.median(firsts, axis=0).astype(np.float32)
    return np.asarray(unstandardize(middle, mean_statistics(statistics)))
