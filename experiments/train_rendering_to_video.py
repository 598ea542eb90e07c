"""Trains a person's rendering-to-video network from a reference video.

    python -m experiments.train_rendering_to_video demo --data runs/demo --work-dir runs/demo/video

`demo` is for two CPU cores; `paper` is as published, for a GPU. `--data` is a folder as
make_demo_video writes it: the frames, `frames.npy` (t, h, w, 3) uint8 or `reference.mp4`, and
`attributes.npz`: expression (t, 64), pose (t, 6), blink (t,), identity (80,), texture (80,),
illumination (3, 9), clip_starts where it holds more than one clip, and vertex_texture (n, 3) where
faces are to be rendered with the person's own. The faces are rendered once and kept in the work
folder, with checkpoints, previews (rendered | generated | real), TensorBoard's files and the
network. A training that was stopped, or killed, goes on from its last checkpoint when it is started
again with the same options, and ends with the same numbers.
"""

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import av
import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro

from experiments.training_progress import training_progress
from facial_jax.attributes import Attributes, Identity
from facial_jax.cache import enable_compilation_cache
from facial_jax.compilation import jit
from facial_jax.face.model import face_landmarks, face_shape, person_face_model
from facial_jax.face.procedural import procedural_face_model
from facial_jax.interop.pytorch import load_state_dict, vgg19_features
from facial_jax.losses.rendering_to_video import RenderingToVideoWeights
from facial_jax.networks.rendering_to_video import (
    SMALL_LOCAL_ENHANCER,
    LocalEnhancer,
    MultiscaleDiscriminator,
)
from facial_jax.networks.vgg import VggFeatures, random_features
from facial_jax.rendering.camera import (
    camera_vertices,
    pinhole_camera,
    pose_vertices,
    project_to_pixels,
)
from facial_jax.rendering.render import network_input, render
from facial_jax.subject import save_rendering_to_video
from facial_jax.training.checkpoints import Checkpoints
from facial_jax.training.loop import run_steps
from facial_jax.training.parallel import (
    AXIS,
    check_batch_size,
    data_mesh,
    data_parallel,
    replicate,
    split_batch,
)
from facial_jax.training.rendering_to_video import (
    Objective,
    VideoBatch,
    from_uint8,
    init_video_train_state,
    video_train_step,
    window_indices,
)


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


@dataclass(frozen=True)
class Clip:
    """A reference video and what the network sees of it; images are uint8."""

    frames: np.ndarray
    # (t, h, w, 3) RGB
    pictures: np.ndarray
    # (t, h, w, 4) rendered face and scaled eye attention map
    regions: np.ndarray
    # (t, h, w, 2) how much a pixel belongs to the mouth and to the eyes
    clip_starts: np.ndarray
    # where in the frames a new clip begins, 0 the first


@dataclass(frozen=True)
class Arguments:
    """Trains a person's rendering-to-video network."""

    data: Path
    """Folder with attributes.npz and frames.npy or reference.mp4."""
    work_dir: Path
    """Folder for checkpoints, previews and the trained network."""
    config: VideoTrainingConfig = field(default_factory=VideoTrainingConfig)
    """What is trained and how."""
    output: Path | None = None
    """The trained network is written here too, such as into a subject's folder."""
    preview_every: int = 500
    """Steps between previews, checkpoints and measurements on the held-out part."""
    stop_after: int | None = None
    """Stop at this step, as if interrupted."""


class Reference(NamedTuple):
    """A reference video, and whose it is."""

    frames: np.ndarray
    # (t, h, w, 3) RGB uint8
    attributes: Attributes
    identity: Identity
    clip_starts: np.ndarray
    vertex_texture: np.ndarray | None
    # (n, 3) the person's own, where it is known


def load_reference(folder: Path) -> Reference:
    """What a folder holds."""
    with np.load(folder / "attributes.npz") as arrays:
        attributes = Attributes(
            **{k: arrays[k].astype(np.float32) for k in ("expression", "pose", "blink")}
        )
        identity = Identity(
            **{
                k: jnp.asarray(arrays[k], jnp.float32)
                for k in ("identity", "texture", "illumination")
            }
        )
        clip_starts = arrays["clip_starts"] if "clip_starts" in arrays else np.zeros(1, np.int32)
        texture = arrays.get("vertex_texture")
    if (folder / "frames.npy").is_file():
        frames = np.load(folder / "frames.npy", mmap_mode="r")
    else:
        with av.open(str(folder / "reference.mp4")) as container:
            frames = np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])
    if len(frames) != len(attributes):
        raise ValueError(f"{folder}: {len(frames)} frames, but attributes of {len(attributes)}.")
    return Reference(frames, attributes, identity, clip_starts, texture)


def render_clip(reference: Reference, cache: Path) -> Clip:
    """Renders every frame's face, or reads what an earlier run rendered."""
    frames, attributes, identity, clip_starts, texture = reference
    pictures_file, regions_file = cache / "pictures.npy", cache / "regions.npy"
    if not regions_file.is_file():
        size, camera = frames.shape[1:3], pinhole_camera(frames.shape[1:3])
        model, identity = person_face_model(procedural_face_model(), identity, texture)

        @jit
        def render_batch(attributes):
            rendered = render(model, identity, attributes, camera, size)
            vertices = pose_vertices(
                face_shape(model, identity.identity, attributes.expression), attributes
            )
            landmarks = face_landmarks(model, vertices)
            pixels = project_to_pixels(camera, camera_vertices(camera, landmarks))
            mouth = blob(pixels[:, 48:68], size)
            eyes = blob(pixels[:, 36:42], size) + blob(pixels[:, 42:48], size)
            regions = jnp.stack([mouth, jnp.minimum(eyes, 1.0)], axis=-1)
            pictures = network_input(rendered, attributes.blink)
            return to_uint8(pictures), to_uint8(regions)

        batches, n = [], len(attributes)
        for start in range(0, n, 16):
            index = np.minimum(np.arange(start, start + 16), n - 1)
            batches.append(jax.tree.map(np.asarray, render_batch(attributes[index])))
            print(f"\rrendering {min(start + 16, n)}/{n}", end="", flush=True)
        print()
        pictures, regions = (np.concatenate(x)[:n] for x in zip(*batches, strict=True))
        for path, array in ((pictures_file, pictures), (regions_file, regions)):
            partial = path.with_name("partial.npy")
            np.save(partial, array)
            partial.replace(path)
    return Clip(np.asarray(frames), np.load(pictures_file), np.load(regions_file), clip_starts)


def to_uint8(x):
    """[0, 1] as 0 to 255."""
    return jnp.round(jnp.clip(x, 0.0, 1.0) * 255.0).astype(jnp.uint8)


def blob(points, size):
    """A soft ellipse over 2-D landmarks (t, n, 2): 1 inside, fading out around them."""
    middle = (points.max(axis=1) + points.min(axis=1)) / 2
    extent = jnp.maximum((points.max(axis=1) - points.min(axis=1)) / 2, size[1] / 30)
    x = (jnp.arange(0.5, size[1])[None] - middle[:, :1]) / (1.2 * extent[:, :1])
    y = (jnp.arange(0.5, size[0])[None] - middle[:, 1:]) / (1.2 * extent[:, 1:])
    return jnp.exp(-2 * (jnp.square(x)[:, None, :] + jnp.square(y)[:, :, None]) ** 2)


def make_batch(clip: Clip, frames: np.ndarray, held: np.ndarray, config) -> VideoBatch:
    """Windows, real frames and pixel weights of the frames with these numbers."""
    number = np.searchsorted(clip.clip_starts, frames, side="right") - 1
    first = clip.clip_starts[number]
    end = np.append(clip.clip_starts[1:], len(clip.frames))[number]
    index = window_indices(frames, first, end, config.window_half, held)
    b, n = index.shape
    pictures = clip.pictures[index]
    h, w = pictures.shape[2:4]
    condition = pictures.transpose(0, 2, 3, 1, 4).reshape(b, h, w, n * 4)
    region = clip.regions[frames].astype(np.float32) / 255
    weight = 1 + region @ np.array([config.mouth_weight, config.eye_weight], np.float32)
    return VideoBatch(condition=condition, frame=clip.frames[frames], weight=weight[..., None])


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


def sample_batch(clip: Clip, step: int, config: VideoTrainingConfig) -> VideoBatch:
    """The batch of a step; depends on nothing but the seed and the step's number."""
    rng, p = np.random.default_rng((config.seed, 1, step)), config.held_probability
    held = rng.choice([-1, 0, 1], config.batch_size, p=[p, 1 - 2 * p, p])
    return make_batch(clip, sample_frames(clip, step, config), held, config)


class StepBatch(NamedTuple):
    """A training step's batch, and its number (0 the first)."""

    step: int
    batch: VideoBatch


class Batches:
    """The batches of all steps, from the one that comes next."""

    def __init__(self, clip: Clip, config: VideoTrainingConfig, step: int):
        self._clip, self._config, self._step = clip, config, step

    def __iter__(self):
        return self

    def __next__(self) -> StepBatch:
        step, self._step = self._step, self._step + 1
        return StepBatch(step, sample_batch(self._clip, step, self._config))

    def get_state(self) -> dict[str, int]:
        """The number of the next step."""
        return {"step": self._step}


def held_out_count(clip: Clip, config: VideoTrainingConfig) -> int:
    """How many frames at the end are never trained on; at least one."""
    return max(1, round(len(clip.frames) * config.held_out_fraction))


def measure(clip: Clip, generate, params, config) -> tuple[float, float, np.ndarray]:
    """PSNR in dB and mouth PSNR on held-out frames, and a preview: rendered | generated | real."""
    held_out = held_out_count(clip, config)
    first = len(clip.frames) - held_out
    numbers = np.unique(np.linspace(first, len(clip.frames) - 1, 8).astype(int))
    errors, mouth_errors, mouth_weights, rows = [], [], [], []
    for number in numbers:
        batch = make_batch(clip, np.array([number]), np.array([0]), config)
        image = np.asarray(generate(params, batch))[0]
        error = np.square((image.astype(np.float32) - clip.frames[number]) / 255).mean(-1)
        mouth = clip.regions[number, ..., 0].astype(np.float32) / 255
        errors.append(error.mean())
        mouth_errors.append((error * mouth).sum())
        mouth_weights.append(mouth.sum())
        rendered = clip.pictures[number, ..., :3]
        rows.append(np.concatenate([rendered, image, clip.frames[number]], axis=1))
    psnr = -10 * np.log10(np.mean(errors))
    mouth_psnr = -10 * np.log10(np.sum(mouth_errors) / np.sum(mouth_weights))
    return float(psnr), float(mouth_psnr), np.concatenate(rows[:: max(1, len(rows) // 3)][:3])


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


def main(arguments: Arguments, *, devices: Sequence[jax.Device] | None = None) -> None:
    """Trains until the last step, from the last checkpoint if there is one.

    `devices`: over which batches are split; all if None.
    """
    from matplotlib import image as png

    config, work = arguments.config, arguments.work_dir
    mesh = data_mesh(devices)
    check_batch_size(config.batch_size, mesh.size)
    work.mkdir(parents=True, exist_ok=True)
    perceptual, perceptual_variables, said = perceptual_network(config)
    print(f"perceptual term: {said}", flush=True)
    reference = load_reference(arguments.data)
    clip = render_clip(reference, work)
    steps = step_count(clip, config)
    generator = LocalEnhancer(**config.generator)
    discriminator = MultiscaleDiscriminator(**config.discriminator)
    optimizer, discriminator_optimizer = optimizers(config, steps)

    state = init_video_train_state(
        jax.random.key(config.seed),
        sample_batch(clip, 0, config),
        generator,
        discriminator,
        optimizer,
        discriminator_optimizer,
        perceptual_variables,
    )
    state = replicate(state, mesh)
    checkpoints = Checkpoints(work / "checkpoints", asdict(config))
    state, _ = checkpoints.restore(state) or (state, None)
    first = int(state.step)

    def mapped(adversarial: bool):
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
        return step(state, split_batch(drawn.batch, mesh))

    @jit
    def generate(params, batch):
        image = generator.apply({"params": params}, from_uint8(batch)[0])
        return to_uint8((image + 1) / 2)

    with training_progress(work / "tensorboard", first=first, steps=steps) as progress:
        bar, board, look = progress

        def validate(done: int, state) -> None:
            average = jax.device_get(state.average)
            psnr, mouth_psnr, preview = measure(clip, generate, average, config)
            bar.write(f"step {done}, held out: PSNR {psnr:.2f} dB, mouth {mouth_psnr:.2f} dB")
            board.add_scalar("validation/psnr_db", psnr, done)
            board.add_scalar("validation/mouth_psnr_db", mouth_psnr, done)
            board.add_image("rendered_generated_real", preview, done, dataformats="HWC")
            png.imsave(work / f"preview_{done:06d}.png", preview)
            for path in (work / "rendering_to_video.safetensors", arguments.output):
                if path is not None:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    save_rendering_to_video(
                        path,
                        generator,
                        average,
                        window_half=config.window_half,
                        vertex_texture=reference.vertex_texture,
                    )

        run_steps(
            train_step,
            state,
            Batches(clip, config, first),
            first=first,
            last=min(steps, arguments.stop_after or steps),
            checkpoints=checkpoints,
            save_every=arguments.preview_every,
            look_every=20,
            look=look,
            describe=lambda drawn: f"frames {sample_frames(clip, drawn.step, config).tolist()}",
            validate_every=arguments.preview_every,
            validate=validate,
        )
    checkpoints.close()


def preset_arguments(name: str) -> Arguments:
    """The arguments of a preset, the folders being those of the demo person."""
    return Arguments(Path("runs/demo"), Path("runs/demo/video"), config=PRESETS[name])


if __name__ == "__main__":
    enable_compilation_cache()
    main(
        tyro.extras.overridable_config_cli(
            {
                "demo": ("For two CPU cores: about half an hour.", preset_arguments("demo")),
                "paper": ("As published.", preset_arguments("paper")),
            }
        )
    )
