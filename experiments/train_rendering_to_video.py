"""Train a subject's rendering-to-video network from its reference video.

    python -m experiments.train_rendering_to_video --data runs/demo --work-dir runs/demo/video

`--data` is a folder as make_demo_video writes it: `attributes.npz` (expression (t, 64), pose
(t, 6), blink (t,), identity (80,), texture (80,), illumination (3, 9), and clip_starts where it
holds more than one clip) and the frames, `frames.npy` (t, h, w, 3) uint8 or `reference.mp4`. The
faces are rendered once and kept in the work folder. First L1 and gradients only, then the
discriminator joins (Eq. 10). An interrupted training goes on from its last checkpoint, to the same
numbers.
"""

import functools
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import av
import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro

from facial_jax.attributes import Attributes, Identity
from facial_jax.compilation import cpu_compiler_options
from facial_jax.face.model import face_landmarks, face_shape
from facial_jax.face.procedural import procedural_face_model
from facial_jax.losses.rendering_to_video import RenderingToVideoWeights
from facial_jax.networks.parameters import module_config, save_variables
from facial_jax.networks.rendering_to_video import (
    SMALL_LOCAL_ENHANCER,
    LocalEnhancer,
    MultiscaleDiscriminator,
)
from facial_jax.rendering.camera import (
    camera_vertices,
    pinhole_camera,
    pose_vertices,
    project_to_pixels,
)
from facial_jax.rendering.render import network_input, render
from facial_jax.training.checkpoints import Checkpoints
from facial_jax.training.rendering_to_video import (
    VideoBatch,
    from_uint8,
    init_video_train_state,
    video_train_step,
    window_indices,
)


@dataclass(frozen=True)
class VideoTrainingConfig:
    """Everything that the result depends on."""

    generator: dict = field(default_factory=lambda: dict(SMALL_LOCAL_ENHANCER))
    # fields of LocalEnhancer
    discriminator: dict = field(default_factory=lambda: {"width": 16, "layers": 3, "scales": 2})
    # fields of MultiscaleDiscriminator
    weights: RenderingToVideoWeights = field(default_factory=RenderingToVideoWeights)
    # λ of Eq. 10
    window_half: int = 1
    # N_w; 5 in the paper
    batch_size: int = 4
    # frames
    steps: int = 4400
    # parameter updates
    reconstruction_steps: int = 3700
    # of these, the first ones are without the discriminator
    learning_rate: float = 5e-4
    # of the first steps
    adversarial_learning_rate: float = 2e-4
    # of the rest, for both networks; falls to zero over the last half of them
    mouth_weight: float = 6.0
    # how much more a pixel at the mouth counts in L1
    eye_weight: float = 6.0
    # likewise at the eyes
    held_probability: float = 0.15
    # how often a window looks like the clip's beginning, and how often like its end
    held_out_fraction: float = 0.05
    # the clip's last part, only measured
    seed: int = 0
    # of the first weights and of the batches


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
    """Train a subject's rendering-to-video network."""

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


def load_reference(folder: Path) -> tuple[np.ndarray, Attributes, Identity, np.ndarray]:
    """The frames, attributes, identity and clip starts of a reference video."""
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
    if (folder / "frames.npy").is_file():
        frames = np.load(folder / "frames.npy", mmap_mode="r")
    else:
        with av.open(str(folder / "reference.mp4")) as container:
            frames = np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])
    if len(frames) != len(attributes):
        raise ValueError(f"{folder}: {len(frames)} frames, but attributes of {len(attributes)}.")
    return frames, attributes, identity, clip_starts


def render_clip(folder: Path, cache: Path) -> Clip:
    """Renders every frame's face, or reads what an earlier run rendered."""
    frames, attributes, identity, clip_starts = load_reference(folder)
    pictures_file, regions_file = cache / "pictures.npy", cache / "regions.npy"
    if not regions_file.is_file():
        size, model = frames.shape[1:3], procedural_face_model()
        camera = pinhole_camera(size)

        @functools.partial(jax.jit, compiler_options=cpu_compiler_options())
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
        np.save(pictures_file, pictures)
        np.save(regions_file, regions)
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


def sample_batch(clip: Clip, step: int, config: VideoTrainingConfig) -> VideoBatch:
    """The batch of a step; depends on nothing but the seed and the step's number."""
    rng = np.random.default_rng((config.seed, step))
    count = len(clip.frames) - held_out_count(clip, config)
    frames = rng.integers(0, count, config.batch_size)
    p = config.held_probability
    held = rng.choice([-1, 0, 1], config.batch_size, p=[p, 1 - 2 * p, p])
    return make_batch(clip, frames, held, config)


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


def optimizers(config: VideoTrainingConfig):
    """Adam for both networks (β₁ = 0.5), the learning rates as functions of the step."""
    first, rest = config.reconstruction_steps, config.steps - config.reconstruction_steps
    adversarial = optax.join_schedules(
        [
            optax.constant_schedule(config.adversarial_learning_rate),
            optax.linear_schedule(config.adversarial_learning_rate, 0.0, max(1, rest - rest // 2)),
        ],
        [rest // 2],
    )
    reconstruction = optax.warmup_cosine_decay_schedule(
        1e-5, config.learning_rate, 200, max(201, first), config.adversarial_learning_rate
    )
    schedule = optax.join_schedules([reconstruction, adversarial], [first])
    return optax.adam(schedule, b1=0.5), optax.adam(adversarial, b1=0.5)


def main(arguments: Arguments) -> None:
    """Trains until the last step, from the last checkpoint if there is one."""
    from matplotlib import image as png

    config, work = arguments.config, arguments.work_dir
    work.mkdir(parents=True, exist_ok=True)
    clip = render_clip(arguments.data, work)
    generator = LocalEnhancer(**config.generator)
    discriminator = MultiscaleDiscriminator(**config.discriminator)
    optimizer, discriminator_optimizer = optimizers(config)
    options = cpu_compiler_options()

    state = init_video_train_state(
        jax.random.key(config.seed),
        sample_batch(clip, 0, config),
        generator,
        discriminator,
        optimizer,
        discriminator_optimizer,
    )
    checkpoints = Checkpoints(work / "checkpoints", asdict(config))
    if (found := checkpoints.restore(state)) is not None:
        state, _ = found
        print(f"going on from step {int(state.step)}")

    @functools.partial(
        jax.jit, static_argnames="adversarial", donate_argnums=0, compiler_options=options
    )
    def train_step(state, batch, *, adversarial):
        return video_train_step(
            state,
            batch,
            generator=generator,
            discriminator=discriminator,
            optimizer=optimizer,
            discriminator_optimizer=discriminator_optimizer,
            weights=config.weights,
            adversarial=adversarial,
        )

    @functools.partial(jax.jit, compiler_options=options)
    def generate(params, batch):
        image = generator.apply({"params": params}, from_uint8(batch)[0])
        return to_uint8((image + 1) / 2)

    last = min(config.steps, arguments.stop_after or config.steps)
    start, began, sums = int(state.step), time.perf_counter(), {}
    for step in range(start, last):
        batch = sample_batch(clip, step, config)
        state, losses = train_step(state, batch, adversarial=step >= config.reconstruction_steps)
        for name, loss in losses.items():
            sums.setdefault(name, []).append(loss)
        done = step + 1
        if done % 50 == 0 or done == last:
            means = {name: float(np.mean(jax.device_get(values))) for name, values in sums.items()}
            sums = {}
            rate = (done - start) / (time.perf_counter() - began)
            text = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
            print(f"step {done}/{config.steps}  {rate:.2f} steps/s  {text}", flush=True)
        if done % arguments.preview_every == 0 or done == last:
            psnr, mouth_psnr, preview = measure(clip, generate, state.average, config)
            print(f"held out: PSNR {psnr:.2f} dB, mouth {mouth_psnr:.2f} dB", flush=True)
            png.imsave(work / f"preview_{done:06d}.png", preview)
            # A step's batch follows from the step and the seed: there is no other position.
            checkpoints.save(done, state, {})
            description = {
                "class": type(generator).__name__,
                "module": module_config(generator),
                "window_half": config.window_half,
            }
            for path in (work / "rendering_to_video.safetensors", arguments.output):
                if path is not None:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    save_variables(
                        path, {"params": state.average}, description, half_precision=True
                    )


if __name__ == "__main__":
    main(tyro.cli(Arguments))
