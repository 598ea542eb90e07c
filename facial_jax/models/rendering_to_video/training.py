"""How a person's rendering-to-video network is trained from a reference video.

The faces are rendered once and kept in the work folder, with checkpoints, previews (rendered |
generated | real), TensorBoard's files and the network. A training that was stopped, or killed, goes
on from its last checkpoint when it is started again with the same options, and ends with the same
numbers.
"""

import contextlib
import functools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from tqdm.auto import tqdm

from facial_jax.compilation import jit
from facial_jax.interop.pytorch import load_state_dict, vgg19_features
from facial_jax.models.layers.vgg import VggFeatures, random_features
from facial_jax.models.rendering_to_video.losses import RenderingToVideoWeights
from facial_jax.models.rendering_to_video.network import (
    SMALL_LOCAL_ENHANCER,
    LocalEnhancer,
    MultiscaleDiscriminator,
)
from facial_jax.models.rendering_to_video.reference import (
    Clip,
    load_reference,
    render_clip,
    to_uint8,
)
from facial_jax.models.rendering_to_video.reference_clip import (
    FramePlaces,
    ReferenceClip,
    cut_video_batch,
    frame_places,
    pixel_weights,
)
from facial_jax.models.rendering_to_video.step import (
    Objective,
    VideoBatch,
    from_uint8,
    init_video_train_state,
    video_train_step,
)
from facial_jax.pictures import save_png
from facial_jax.subject import save_rendering_to_video
from facial_jax.training.batches import Batches, StepBatch, fits_on_devices
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
from facial_jax.training.processes import first_before_others, is_first
from facial_jax.training.progress import Progress, silent, training_progress


@dataclass(frozen=True)
class VideoTrainingConfig:
    """Everything that the result depends on. The defaults are the demo preset."""

    generator: dict[str, int] = field(default_factory=lambda: dict(SMALL_LOCAL_ENHANCER))
    """Fields of LocalEnhancer; the published ones where they are not given."""
    discriminator: dict[str, int] = field(
        default_factory=lambda: {"width": 16, "layers": 3, "scales": 2}
    )
    """Fields of MultiscaleDiscriminator, likewise."""
    weights: RenderingToVideoWeights = field(
        default_factory=lambda: RenderingToVideoWeights(perceptual=0.0, gradient=10.0)
    )
    """λ of Eq. 10. Without VGG-19 our gradient term in place of the perceptual one gives pictures
    that are nearer to the real ones than with the random network, if a little softer."""
    objective: Objective = "least_squares"
    """The form of the adversarial term: that of the published code, or the paper's log."""
    vgg: Path | None = None
    """torchvision's `vgg19` weights (.pth or .safetensors), for the perceptual term. Without them
    it uses `random_features`, a narrow network of the same layers with fixed random weights."""
    perceptual_halvings: int = 1
    """How many times pictures are halved before the perceptual network sees them; 0 in the
    paper."""
    window_half: int = 1
    """N_w; 5 in the paper."""
    batch_size: int = 4
    """Frames, over all devices."""
    steps: int | None = 4000
    """Parameter updates; None: as many as the epochs have."""
    epochs: float = 50.0
    """How often every frame is seen, where steps is None."""
    reconstruction_steps: int = 2400
    """The first steps, which are without the discriminator; none in the paper."""
    learning_rate: float = 5e-4
    """Of these first steps: warmed up, then along half a cosine to the next one."""
    adversarial_learning_rate: float = 2e-4
    """Of the rest, for both networks."""
    decay_share: float = 0.5
    """Of the rest, how much at the end is spent falling linearly to zero."""
    mouth_weight: float = 6.0
    """How much more a pixel at the mouth counts in L1; 0 in the paper."""
    eye_weight: float = 6.0
    """Likewise at the eyes."""
    held_probability: float = 0.15
    """How often a window looks like the clip's beginning, and how often like its end; 0 in the
    paper."""
    held_out_fraction: float = 0.05
    """The clip's last part, only measured."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """In which the networks compute; bfloat16 is faster on GPUs and TPUs, slower on CPUs. Weights,
    losses and optimizers are float32."""
    remat: bool = False
    """The generator's activations are computed again in the backward pass: more time, and less
    memory, though not on CPUs, where XLA computes them too early."""
    seed: int = 0
    """Of the first weights and of the batches."""


PRESETS = {
    "demo": VideoTrainingConfig(),
    "paper": VideoTrainingConfig(
        generator={},
        discriminator={},
        weights=RenderingToVideoWeights(),
        perceptual_halvings=0,
        window_half=5,
        batch_size=1,
        steps=None,
        reconstruction_steps=0,
        adversarial_learning_rate=1e-4,
        decay_share=30 / 50,
        mouth_weight=0.0,
        eye_weight=0.0,
        held_probability=0.05,
        compute_dtype="bfloat16",
    ),
}
"""For two CPU cores; and as published, but that windows sometimes look like the clip's ends, which
synthesis shows the network too, and that a running average of the weights is what is kept."""


def reference_clip(clip: Clip, config: VideoTrainingConfig) -> ReferenceClip:
    """The clip as batches are cut of it."""
    return ReferenceClip(
        *map(np.asarray, (clip.frames, clip.pictures, clip.regions)),
        pixel_weights=pixel_weights(config.mouth_weight, config.eye_weight),
    )


def make_batch(clip: Clip, frames: np.ndarray, held: np.ndarray, config) -> VideoBatch:
    """Windows, real frames and pixel weights of the frames with these numbers."""
    places = frame_places(frames, held, clip.clip_starts, len(clip.frames), config.window_half)
    return cut_video_batch(reference_clip(clip, config), places)


def sample_frames(clip: Clip, step: int, config: VideoTrainingConfig) -> np.ndarray:
    """The numbers of a step's frames: every epoch shows each one once, in an order of its own."""
    count = len(clip.frames) - held_out_count(clip, config)
    places = np.arange(step * config.batch_size, (step + 1) * config.batch_size)
    orders = {
        e: _order(config.seed, e, count) for e in range(places[0] // count, places[-1] // count + 1)
    }
    return np.array([orders[place // count][place % count] for place in places])


@functools.lru_cache(maxsize=4)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(count)


def sample_places(clip: Clip, step: int, config: VideoTrainingConfig) -> FramePlaces:
    """What a step's batch is made of; depends on nothing but the seed and the step's number."""
    rng, p = np.random.default_rng((config.seed, 1, step)), config.held_probability
    held = rng.choice([-1, 0, 1], config.batch_size, p=[p, 1 - 2 * p, p])
    frames = sample_frames(clip, step, config)
    return frame_places(frames, held, clip.clip_starts, len(clip.frames), config.window_half)


def held_out_count(clip: Clip, config: VideoTrainingConfig) -> int:
    """How many frames at the end are never trained on; at least one."""
    return max(1, round(len(clip.frames) * config.held_out_fraction))


class HeldOut(NamedTuple):
    """Up to eight of the frames that are never trained on."""

    batch: VideoBatch
    # on a device
    frames: np.ndarray
    # (n, h, w, 3)
    mouth: np.ndarray
    # (n, h, w) float32, 1 at the mouth
    rendered: np.ndarray
    # (n, h, w, 3)


def held_out_frames(clip: Clip, config: VideoTrainingConfig) -> HeldOut:
    """Frames of the held-out part, evenly spread."""
    count = len(clip.frames)
    first = count - held_out_count(clip, config)
    numbers = np.unique(np.linspace(first, count - 1, 8).astype(int))
    batch = make_batch(clip, numbers, np.zeros_like(numbers), config)
    return HeldOut(
        batch=jax.tree.map(jnp.asarray, batch),
        frames=clip.frames[numbers],
        mouth=clip.regions[numbers, ..., 0].astype(np.float32) / 255,
        rendered=clip.pictures[numbers, ..., :3],
    )


def measure(held_out: HeldOut, generate, params) -> tuple[float, float, np.ndarray]:
    """PSNR in dB and mouth PSNR on held-out frames, and a preview: rendered | generated | real."""
    images = np.asarray(generate(params, held_out.batch))
    errors = np.square((images.astype(np.float32) - held_out.frames) / 255).mean(-1)
    psnr = -10 * np.log10(np.mean(errors))
    mouth_psnr = -10 * np.log10((errors * held_out.mouth).sum() / held_out.mouth.sum())
    rows = np.concatenate([held_out.rendered, images, held_out.frames], axis=2)
    preview = np.concatenate(rows[:: max(1, len(rows) // 3)][:3])
    return float(psnr), float(mouth_psnr), preview


def step_count(clip: Clip, config: VideoTrainingConfig) -> int:
    """Parameter updates in all."""
    if config.steps is not None:
        return config.steps
    frames = len(clip.frames) - held_out_count(clip, config)
    return max(1, round(config.epochs * frames / config.batch_size))


def optimizers(config: VideoTrainingConfig, steps: int):
    """Adam for both networks (β₁ = 0.5), the learning rates as functions of the step."""
    first, rate = config.reconstruction_steps, config.adversarial_learning_rate
    rest = max(0, steps - first)
    decay = max(1, round(config.decay_share * rest))
    adversarial = optax.join_schedules(
        [optax.constant_schedule(rate), optax.linear_schedule(rate, 0.0, decay)], [rest - decay]
    )
    schedule = adversarial
    if first:
        reconstruction = optax.warmup_cosine_decay_schedule(
            1e-5, config.learning_rate, 200, max(201, first), rate
        )
        schedule = optax.join_schedules([reconstruction, adversarial], [first])
    return optax.adam(schedule, b1=0.5), optax.adam(adversarial, b1=0.5)


def perceptual_network(config: VideoTrainingConfig) -> tuple[VggFeatures | None, Any, str]:
    """The network of the perceptual term, its variables, and what is to be said about it."""
    if not config.weights.perceptual:
        if config.vgg is not None:
            raise ValueError(
                f"vgg: expected a weight of the perceptual term beside {config.vgg}, got "
                "weights.perceptual 0; give it one, such as 10, or no vgg"
            )
        return None, None, "left out: weights.perceptual is 0"
    if config.vgg is None:
        said = "a fixed network of random weights (config.vgg names no weights of VGG-19)"
        return *random_features(), said
    return *vgg19_features(load_state_dict(config.vgg)), f"VGG-19 of {config.vgg}"


def networks(config: VideoTrainingConfig) -> tuple[LocalEnhancer, MultiscaleDiscriminator]:
    """The generator and the discriminator."""
    return LocalEnhancer(**config.generator), MultiscaleDiscriminator(**config.discriminator)


def video_training(
    config: VideoTrainingConfig,
    clip: Clip,
    mesh: Mesh,
    perceptual: nn.Module | None,
    perceptual_variables: Any,
) -> Training:
    """The networks at step 0, the step and the batches."""
    steps = step_count(clip, config)
    generator, discriminator = networks(config)
    optimizer, discriminator_optimizer = optimizers(config, steps)
    state = init_video_train_state(
        jax.random.key(config.seed),
        make_batch(clip, np.zeros(1, int), np.zeros(1, int), config),
        generator,
        discriminator,
        optimizer,
        discriminator_optimizer,
        perceptual_variables,
    )

    def mapped(adversarial: bool) -> Callable:
        step = functools.partial(
            video_train_step,
            generator=generator.clone(remat=config.remat),
            discriminator=discriminator,
            optimizer=optimizer,
            discriminator_optimizer=discriminator_optimizer,
            weights=config.weights,
            perceptual=perceptual,
            perceptual_halvings=config.perceptual_halvings,
            objective=config.objective,
            adversarial=adversarial,
            compute_dtype=jnp.dtype(config.compute_dtype),
            axis_name=AXIS,
        )
        return data_parallel(step, mesh)

    reconstruction_step, adversarial_step = mapped(False), mapped(True)

    def train_step(state, drawn: StepBatch):
        adversarial = drawn.step >= config.reconstruction_steps
        step = adversarial_step if adversarial else reconstruction_step
        return step(state, drawn.batch)

    state, data = replicate(state, mesh), reference_clip(clip, config)
    batches = Batches(
        lambda step: sample_places(clip, step, config),
        cut_video_batch,
        data,
        mesh=mesh,
        size=config.batch_size,
        resident=fits_on_devices(sum(x.nbytes for x in jax.tree.leaves(data)), mesh),
    )
    return Training(
        state=state,
        step=train_step,
        batches=batches,
        steps=steps,
        describe=lambda step: f"frames {sample_frames(clip, step, config).tolist()}",
    )


def train_rendering_to_video(
    config: VideoTrainingConfig,
    data: Path,
    work: Path,
    *,
    output: Path | None = None,
    preview_every: int | None = None,
    stop_after: int | None = None,
    devices: Sequence[jax.Device] | None = None,
    say: Callable[[str], None] = silent,
    progress: bool = True,
) -> None:
    """Trains until the last step, from the last checkpoint if there is one.

    Args:
        config: how.
        data: folder with attributes.npz and frames.npy or reference.mp4.
        work: folder for checkpoints, previews and the trained network.
        output: the trained network is written here too, such as into a subject's folder.
        preview_every: steps between previews, checkpoints and measurements on the held-out part; a
            tenth of all where it is not given, but at least 500.
        stop_after: stop at this step, as if interrupted.
        devices: over which batches are split; all if None.
        say: is given a line of text on what is used.
        progress: show progress bars.
    """
    mesh = data_mesh(devices)
    check_batch_size(config.batch_size, mesh.size)
    work.mkdir(parents=True, exist_ok=True)
    perceptual, perceptual_variables, said = perceptual_network(config)
    say(f"perceptual term: {said}")
    reference = load_reference(data)
    with first_before_others("rendering"):
        bar = functools.partial(tqdm, desc="rendering", unit="batch", disable=not progress)
        clip = render_clip(reference, work, progress=bar)
    training = video_training(config, clip, mesh, perceptual, perceptual_variables)
    held_out = held_out_frames(clip, config)
    checkpoints = Checkpoints(work / "checkpoints", asdict(config))
    state = checkpoints.restore(training.state)
    state = training.state if state is None else state
    training = training._replace(state=None)  # the first step uses it up
    first, last = int(state.step), min(training.steps, stop_after or training.steps)
    every = preview_every or max(500, training.steps // 10)
    generator, _ = networks(config)

    @jit
    def generate(params, batch):
        image = generator.apply({"params": params}, from_uint8(batch)[0])
        return to_uint8((image + 1) / 2)

    def save_network(params) -> None:
        for path in (work / "rendering_to_video.safetensors", output):
            if path is not None and is_first():
                path.parent.mkdir(parents=True, exist_ok=True)
                save_rendering_to_video(
                    path,
                    generator,
                    params,
                    window_half=config.window_half,
                    vertex_texture=reference.vertex_texture,
                )

    with (
        contextlib.closing(checkpoints),
        training_progress(
            work / "tensorboard", first=first, steps=training.steps, shown=progress
        ) as shown,
    ):

        def validate(done: int, state) -> None:
            average = local_copy(state.average)
            show_preview(shown, work, done, *measure(held_out, generate, average))
            save_network(jax.device_get(average))

        run_steps(
            training.step,
            state,
            training.batches.between(first, last),
            first=first,
            last=last,
            checkpoints=checkpoints,
            save_every=every,
            look_every=20,
            look=shown.look,
            describe=training.describe,
            validate_every=every,
            validate=validate,
        )


def show_preview(
    progress: Progress, work: Path, done: int, psnr: float, mouth_psnr: float, preview: np.ndarray
) -> None:
    """Says how good the network is on held-out frames, and keeps the picture."""
    say, board, _ = progress
    say(f"step {done}, held out: PSNR {psnr:.2f} dB, mouth {mouth_psnr:.2f} dB")
    board.add_scalar("validation/psnr_db", psnr, done)
    board.add_scalar("validation/mouth_psnr_db", mouth_psnr, done)
    board.add_image("rendered_generated_real", preview, done, dataformats="HWC")
    if is_first():
        save_png(work / f"preview_{done:06d}.png", preview)
