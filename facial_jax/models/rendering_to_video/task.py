"""How a person's rendering-to-video network is trained from a reference video.

The faces are rendered once and kept in the run's folder (`renders`), beside checkpoints, previews
(rendered | generated | real), TensorBoard's files and, in the end, the network.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from tqdm.auto import tqdm

from facial_jax.appearance import Appearance
from facial_jax.compilation import jit
from facial_jax.models.rendering_to_video.augmentation import varied_batch
from facial_jax.models.rendering_to_video.batch import VideoBatch, from_uint8
from facial_jax.models.rendering_to_video.config import (
    RenderingToVideoTrainingConfig,
    networks,
    optimizers,
)
from facial_jax.models.rendering_to_video.losses import (
    ADVERSARIAL_FORMS,
    feature_matching_loss,
    gradient_loss,
    halve,
    perceptual_loss,
    weighted_l1_loss,
)
from facial_jax.models.rendering_to_video.perceptual import perceptual_network
from facial_jax.models.rendering_to_video.reference import (
    Reference,
    RenderedClip,
    joined_clips,
    load_reference,
    render_clip,
    unit_range_to_uint8,
)
from facial_jax.models.rendering_to_video.reference_clip import cut_video_batch
from facial_jax.models.rendering_to_video.sampling import (
    reference_clip,
    sample_frames,
    sample_places,
    step_count,
)
from facial_jax.models.rendering_to_video.validation import held_out_frames, measure
from facial_jax.pose_limits import PoseLimits, shown_limits
from facial_jax.provenance import settings, tree_hash
from facial_jax.subject import RENDERING_TO_VIDEO, save_rendering_to_video
from facial_jax.training.batches import Batches, fits_on_devices
from facial_jax.training.checks import check_shape
from facial_jax.training.fit import fit
from facial_jax.training.layout import keep_gradients_layout
from facial_jax.training.parallel import check_batch_size, data_mesh
from facial_jax.training.processes import copy_result, first_before_others
from facial_jax.training.progress import silent
from facial_jax.training.task import Losses, Report, Task, Variables

RENDERS = "renders"
AVERAGE_DECAY = 0.999
"""Of the running average of the generator's parameters, which is the one to use."""
_GENERATOR, _AVERAGE, _DISCRIMINATOR = "generator", "average", "discriminator"
_RECONSTRUCTION, _ADVERSARIAL = "reconstruction", "adversarial"


class RenderingToVideoTask(Task):
    """Eq. 10 of FACIAL: first the generator alone, and then against the discriminator."""

    def __init__(
        self,
        config: RenderingToVideoTrainingConfig,
        clip: RenderedClip,
        *,
        perceptual: nn.Module | None = None,
        perceptual_variables: Any = None,
        appearance: Appearance | None = None,
        pose_limits: PoseLimits | None = None,
        validate_every: int | None = None,
    ):
        """What is trained on a clip.

        Args:
            config: how.
            clip: the reference video and its rendered faces.
            perceptual: network of the perceptual term; None leaves the term out.
            perceptual_variables: its variables, which no step changes.
            appearance: of the rendered faces, kept with the network.
            pose_limits: between which the faces are seen, kept with the network too.
            validate_every: steps between validations and checkpoints; a tenth of all if None, but
                at least 500.

        Raises:
            ValueError: frames, rendered pictures and regions differ in number or size.
        """
        shape = clip.frames.shape[:3]
        for name, channels in (("frames", 3), ("pictures", 4), ("regions", 2)):
            check_shape(f"clip.{name}", getattr(clip, name), (*shape, channels))
        check_shape("clip.clip_starts", clip.clip_starts, (None,))
        self.config, self._clip = config, clip
        self.steps, self.seed = step_count(clip, config), config.seed
        self.batch_size = config.batch_size
        every = max(500, self.steps // 10) if validate_every is None else validate_every
        self.save_every = self.validate_every = every
        self._generator, self._discriminator = networks(config)
        self._perceptual = perceptual
        self._appearance = Appearance() if appearance is None else appearance
        self._pose_limits = pose_limits
        self._perceptual_variables = perceptual_variables
        self._dtype = jnp.dtype(config.compute_dtype)

    @property
    def fixed(self) -> Any:
        """The perceptual network's variables."""
        return {} if self._perceptual is None else self._perceptual_variables

    def init(self, key, batch: VideoBatch) -> Variables:
        """Both networks anew, and the average of the generator's parameters."""
        generator_key, discriminator_key = jax.random.split(key)
        condition, frame = jnp.asarray(batch.condition), jnp.asarray(batch.frame)
        pair = jnp.concatenate([condition, frame], axis=-1).astype(jnp.float32)
        condition = condition.astype(jnp.float32)
        generator = jax.jit(self._generator.init)(generator_key, condition)
        return {
            _GENERATOR: generator,
            _AVERAGE: jax.tree.map(jnp.copy, generator),
            _DISCRIMINATOR: jax.jit(self._discriminator.init)(discriminator_key, pair),
        }

    def optimizers(self) -> dict[str, optax.GradientTransformation]:
        """Adam for both networks, each with its own learning rates."""
        generator, discriminator = optimizers(self.config, self.steps)
        return {_GENERATOR: generator, _DISCRIMINATOR: discriminator}

    def phase(self, step: int) -> str:
        """The first steps leave the discriminator out, and with it more than half of the work."""
        return _RECONSTRUCTION if step < self.config.reconstruction_steps else _ADVERSARIAL

    def losses(
        self, variables: Variables, batch: VideoBatch, *, fixed: Any, phase: str, **_
    ) -> Losses:
        """Both objectives; the metrics are their terms before their weights.

        What the discriminator computes of a frame serves both.
        """
        weights, form = self.config.weights, ADVERSARIAL_FORMS[self.config.objective]
        if self.config.augmentation:
            condition, frame, weight = varied_batch(batch)
        else:
            condition, frame = from_uint8(batch)
            weight = jnp.asarray(batch.weight)
        generator = self._generator.clone(remat=self.config.remat)
        params = keep_gradients_layout(self._compute(variables[_GENERATOR]["params"]))
        fake = generator.apply({"params": params}, self._compute(condition)).astype(jnp.float32)
        terms, objectives = {}, {}
        if phase == _ADVERSARIAL:
            judge = functools.partial(self._judge, variables[_DISCRIMINATOR]["params"], condition)
            real_maps, fake_maps = judge(frame), judge(fake)
            terms["gan"] = form.generator(fake_maps)
            terms["feature_matching"] = feature_matching_loss(real_maps, fake_maps)
            objectives[_DISCRIMINATOR] = form.discriminator(real_maps, fake_maps)
        terms["l1"] = weighted_l1_loss(frame, fake, weight)
        if self._perceptual is not None and weights.perceptual:
            maps = [self._perceive(fixed, image) for image in (frame, fake)]
            terms["perceptual"] = perceptual_loss(*maps)
        if weights.gradient:
            terms["gradient"] = gradient_loss(frame, fake, weight)
        metrics = terms | objectives
        objectives[_GENERATOR] = sum(getattr(weights, name) * term for name, term in terms.items())
        return Losses(objectives, metrics)

    def _judge(self, params: Any, condition: Any, image: Any) -> Any:
        params = keep_gradients_layout(self._compute(params))
        pair = self._compute(jnp.concatenate([condition, image], axis=-1))
        maps = self._discriminator.apply({"params": params}, pair)
        return jax.tree.map(lambda x: x.astype(jnp.float32), maps)

    def _perceive(self, variables: Any, image: Any) -> Any:
        for _ in range(self.config.perceptual_halvings):
            image = halve(image)
        maps = self._perceptual.apply(self._compute(variables), self._compute(image))
        return jax.tree.map(lambda x: x.astype(jnp.float32), maps)

    def _compute(self, tree: Any) -> Any:
        """In the dtype in which the networks compute; losses and optimizers are float32."""
        return jax.tree.map(lambda x: x.astype(self._dtype), tree)

    def after_step(self, before: Variables, after: Variables, step: Any) -> Variables:
        """The running average follows the generator."""
        # Quickly at first: a long memory of random weights helps nobody.
        step = step.astype(jnp.float32)
        decay = jnp.minimum(AVERAGE_DECAY, (1 + step) / (10 + step))
        average = jax.tree.map(
            lambda a, p: decay * a + (1 - decay) * p, before[_AVERAGE], after[_GENERATOR]
        )
        return {**after, _AVERAGE: average}

    def batches(self, mesh: Mesh) -> Batches:
        """Windows of frames, cut on the devices if the clip fits there."""
        data = reference_clip(self._clip, self.config)
        size_bytes = sum(x.nbytes for x in jax.tree.leaves(data))
        return Batches(
            lambda step: sample_places(self._clip, step, self.config),
            cut_video_batch,
            data,
            mesh=mesh,
            size=self.batch_size,
            resident=fits_on_devices(size_bytes, mesh),
        )

    def describe(self, step: int) -> str:
        """The batch's frames."""
        return f"frames {sample_frames(self._clip, step, self.config).tolist()}"

    def validate(self, variables: Variables, step: int) -> Report:
        """PSNR of held-out frames, and a picture of some of them."""
        params = variables[_AVERAGE]["params"]
        psnr, mouth_psnr, preview = measure(self._held_out, self._generate, params)
        return Report(
            numbers={"psnr_db": psnr, "mouth_psnr_db": mouth_psnr},
            lines=[f"step {step}, held out: PSNR {psnr:.2f} dB, mouth {mouth_psnr:.2f} dB"],
            pictures={"preview": preview},
        )

    @functools.cached_property
    def _held_out(self) -> Any:
        return held_out_frames(self._clip, self.config)

    @functools.cached_property
    def _generate(self) -> Callable[[Any, VideoBatch], Any]:
        @jit
        def generate(params, batch):
            image = self._generator.apply({"params": params}, from_uint8(batch)[0])
            return unit_range_to_uint8((image + 1) / 2)

        return generate

    def export(self, variables: Variables, folder: Path) -> None:
        """The generator of averaged parameters."""
        save_rendering_to_video(
            folder / RENDERING_TO_VIDEO,
            self._generator,
            variables[_AVERAGE]["params"],
            window_half=self.config.window_half,
            appearance=self._appearance,
            pose_limits=self._pose_limits,
        )


def shown_poses(reference: Reference, config: RenderingToVideoTrainingConfig) -> PoseLimits | None:
    """Between which poses a video of a person shows them.

    None if the reference has no surroundings: it was drawn, and its network knows all poses.
    """
    if reference.appearance.surroundings is None:
        return None
    poses = np.asarray(reference.attributes.pose)
    trained = poses[: max(1, round(len(poses) * (1 - config.held_out_fraction)))]
    return shown_limits(trained)


def train_rendering_to_video(
    config: RenderingToVideoTrainingConfig,
    data: Path,
    folder: Path,
    *,
    further: Sequence[Path] = (),
    network: Path | None = None,
    validate_every: int | None = None,
    say: Callable[[str], None] = silent,
    progress: bool = True,
    **options: Any,
) -> None:
    """Trains until the last step, from the last checkpoint if there is one.

    Args:
        config: how.
        data: folder with attributes.npz and frames.npy or reference.mp4.
        folder: of the run.
        further: folders of other videos of the person, each with their own surroundings, all of
            whose frames are trained on; what is kept with the network is that of `data`.
        network: the trained network is written here too, such as into a subject's folder.
        validate_every: steps between validations and checkpoints; see `RenderingToVideoTask`.
        say: is given a line of text on what is used.
        progress: show progress bars.
        options: of `facial_jax.training.fit.fit`: `devices`, `stop_after`.
    """
    check_batch_size(config.batch_size, data_mesh(options.get("devices")).size)
    perceptual, perceptual_variables, said = perceptual_network(config)
    say(f"perceptual term: {said}")
    reference = load_reference(data)
    with first_before_others("rendering"):
        bar = functools.partial(tqdm, desc="rendering", unit="batch", disable=not progress)
        clips = [
            render_clip(other, folder / f"{RENDERS}_{number}", progress=bar)
            for number, other in enumerate(map(load_reference, further), start=2)
        ]
        # What is held out is at the end.
        clip = joined_clips(*clips, render_clip(reference, folder / RENDERS, progress=bar))
    task = RenderingToVideoTask(
        config,
        clip,
        perceptual=perceptual,
        perceptual_variables=perceptual_variables,
        appearance=reference.appearance,
        pose_limits=shown_poses(reference, config),
        validate_every=validate_every,
    )
    provenance = settings(config) | {"reference": tree_hash(reference._asdict())}
    if further:
        provenance["further"] = [tree_hash(load_reference(path)._asdict()) for path in further]
    fit(task, folder=folder, provenance=provenance, progress=progress, **options)
    copy_result(folder / RENDERING_TO_VIDEO, network)
