"""Trains FACIAL-GAN: python -m experiments.general_train demo --output runs/facial_gan.

Makes a corpus of made-up speakers (or reads the one it made before), trains generator and
discriminator on windows of 128 frames, validates on clips that were kept apart, draws the curves
beside the truth, and writes the model that `make_demo_subject` puts in a subject's folder. A run
that was stopped goes on where its last checkpoint left it.
"""

import dataclasses
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from tqdm.auto import tqdm

from data_specs.synthetic_talking_head.animation import animate, silence
from data_specs.synthetic_talking_head.corpus import make_clip
from data_specs.synthetic_talking_head.style import DEMO_STYLE
from facial_jax.attributes import (
    ATTRIBUTE_SIZE,
    AttributeStatistics,
    attribute_statistics,
    pack_attributes,
    standardize,
    unpack_attributes,
)
from facial_jax.audio.acoustic import load_acoustic_model
from facial_jax.audio.features import speech_features
from facial_jax.audio.waveform import AudioSource
from facial_jax.compilation import jit
from facial_jax.generation import (
    WINDOW_FRAMES,
    FacialGan,
    generate_attributes,
    save_facial_gan,
)
from facial_jax.losses.facial_gan import FacialWeights
from facial_jax.networks.facial_gan import (
    SMALL_GENERATOR,
    FacialDiscriminator,
    FacialGenerator,
)
from facial_jax.training.facial_gan import (
    FacialTrainState,
    facial_train_step,
    init_facial_train_state,
)
from facial_jax.training.facial_windows import (
    FacialClip,
    Perturbation,
    cut_batch,
    window_starts,
)


@dataclass(frozen=True)
class Config:
    """What is trained, on what, and for how long. The defaults are the paper's (Sec. 5.1)."""

    output: Path = Path("runs/facial_gan")
    """The run's folder: corpus, checkpoints, log, curves and the finished model."""
    seed: int = 0
    steps: int | None = None
    """Instead of a number of epochs."""
    clips: int = 450
    """Clips in the corpus; every tenth is kept for validation."""
    phases: int = 4
    """The head moves this often to the same speech, each time from another phase of its cycle."""
    rest_distance: float = 0.13
    """Windows begin with the head this close to where it rests (its slow cycle's two coordinates,
    in standard deviations), as every window of a chain does…"""
    free_share: float = 0.05
    """…but for this share of them, which begin anywhere."""
    clip_s: float = 60.0
    fps: float = 25.0
    stride: int = 5
    batch: int = 64
    epochs: float = 50.0
    learning_rate: float = 1e-4
    final_learning_rate: float = 1e-4
    """Reached along half a cosine; the paper's stays as it is."""
    checkpoint_steps: int = 500
    widths: Literal["published", "small"] = "published"
    """Of both networks."""
    weights: FacialWeights = field(default_factory=FacialWeights)
    perturbation: Perturbation = field(default_factory=Perturbation)

    @property
    def generator(self) -> FacialGenerator:
        """The generator at the configured widths."""
        return FacialGenerator(**(SMALL_GENERATOR if self.widths == "small" else {}))

    @property
    def discriminator(self) -> FacialDiscriminator:
        """The discriminator at the configured widths."""
        return FacialDiscriminator(
            **({"features": (8, 16, 32, 64)} if self.widths == "small" else {})
        )


REST_PHASE = np.pi / 2
"""Of the head's cycle when a video begins."""
CYCLE = [3, 5]
"""The pose's x and z, which nothing but the cycle moves."""

PAPER = Config()
DEMO = Config(
    clips=180,
    clip_s=20.0,
    batch=16,
    steps=5000,
    learning_rate=2e-3,
    # Ten times the paper's ω₄: few steps must make seams that cannot be seen.
    weights=FacialWeights(initial_state=100.0),
    final_learning_rate=1e-5,
    widths="small",
)


def main(config: Config) -> None:
    """The whole run, from corpus to model."""
    config.output.mkdir(parents=True, exist_ok=True)
    (config.output / "config.json").write_text(
        json.dumps(dataclasses.asdict(config), default=str, indent=1)
    )
    train, held_out, statistics, initial_state = load_corpus(config)
    rest = np.asarray(standardize(jnp.asarray(initial_state), statistics))
    held_out = [
        clip
        for clip in held_out
        if distance_to_rest(clip.attributes[0], rest) < config.rest_distance
    ]
    state = fit(config, train, rest)
    model = FacialGan(
        variables=state.generator,
        statistics=statistics,
        initial_state=initial_state,
        generator=config.generator,
    )
    report = validate(model, held_out, config)
    print(json.dumps(report, indent=1))
    (config.output / "validation.json").write_text(json.dumps(report, indent=1))
    path = config.output / "facial_gan.safetensors"
    save_facial_gan(path, model, half_precision=True)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def load_corpus(
    config: Config,
) -> tuple[list[FacialClip], list[FacialClip], AttributeStatistics, np.ndarray]:
    """Standardised clips to train and to validate on, their statistics, and a face at rest."""
    folder = config.output / "corpus"
    folder.mkdir(exist_ok=True)
    features, attributes = [], []
    for i in tqdm(range(config.clips), desc="corpus", unit="clip"):
        path = folder / f"{config.seed}_{i:05d}.npz"
        if not path.exists():
            made = compute_clip(config, i)
            np.savez(path.with_suffix(".partial.npz"), **made)
            path.with_suffix(".partial.npz").rename(path)
        with np.load(path) as clip:
            features.append(clip["features"])
            attributes.append(clip["attributes"])
    held = [i for i in range(config.clips) if i % 10 == 9]
    kept = [i for i in range(config.clips) if i % 10 != 9]
    every = np.concatenate([attributes[i].reshape(-1, ATTRIBUTE_SIZE) for i in kept])
    statistics = attribute_statistics(jnp.asarray(every))
    train, held_out = (
        [
            FacialClip(features[i], np.asarray(standardize(jnp.asarray(one), statistics)))
            for i in chosen
            for one in attributes[i]
        ]
        for chosen in (kept, held)
    )
    at_rest = animate(silence(1.0), DEMO_STYLE, fps=config.fps, phase=REST_PHASE)
    return train, held_out, statistics, np.asarray(pack_attributes(at_rest))[0]


def compute_clip(config: Config, index: int) -> dict[str, np.ndarray]:
    """One clip's speech features (t, 29) and packed attributes (phases, t, 71)."""
    clip = make_clip(
        config.seed * 100_000 + index,
        DEMO_STYLE,
        seconds=config.clip_s,
        fps=config.fps,
        phases=[2 * np.pi * k / config.phases for k in range(config.phases)],
    )
    source = AudioSource((clip.samples, clip.sample_rate))
    features = np.asarray(speech_features(source, load_acoustic_model(), fps=config.fps))
    packed = np.stack([np.asarray(pack_attributes(a)) for a in clip.attributes])
    padding = packed.shape[1] - len(features)
    return {"features": np.pad(features, ((0, padding), (0, 0))), "attributes": packed}


def choose_starts(config: Config, clips: list[FacialClip], initial_state: np.ndarray) -> np.ndarray:
    """The windows to train on: mostly those that begin with the head near its rest."""
    starts = window_starts(clips, frames=WINDOW_FRAMES, stride=1)
    states = np.stack([clips[clip].attributes[first - 1] for clip, first in starts])
    rng = np.random.default_rng(config.seed)
    near = distance_to_rest(states, initial_state) < config.rest_distance
    share = config.free_share / (1 - config.free_share) * near.sum() / (~near).sum()
    return starts[near | (rng.random(len(starts)) < share)]


def distance_to_rest(states: np.ndarray, initial_state: np.ndarray) -> np.ndarray:
    """How far from the resting head's the slow cycle's two coordinates are; all standardised."""
    cycle, rest = (unpack_attributes(x).pose[..., CYCLE] for x in (states, initial_state))
    return np.linalg.norm(cycle - rest, axis=-1)


def fit(config: Config, clips: list[FacialClip], initial_state: np.ndarray) -> FacialTrainState:
    """Trains on from the last checkpoint; batch k depends on seed and k alone, so that is exact."""
    starts = choose_starts(config, clips, initial_state)
    steps_per_epoch = max(1, len(starts) // config.stride // config.batch)
    steps = config.steps or round(config.epochs * steps_per_epoch)
    schedule = optax.cosine_decay_schedule(
        config.learning_rate, steps, config.final_learning_rate / config.learning_rate
    )
    optimizer = optax.adam(schedule)

    def batch_of(step: int):
        # An epoch sees every fifth frame as a window's first, each epoch another fifth.
        epoch, index = divmod(step, steps_per_epoch)
        order = np.random.default_rng((config.seed, epoch)).permutation(len(starts))
        chosen = starts[order[index * config.batch : (index + 1) * config.batch]]
        rng = np.random.default_rng((config.seed, epoch, index))
        return cut_batch(
            clips, chosen, frames=WINDOW_FRAMES, rng=rng, perturbation=config.perturbation
        )

    state = init_facial_train_state(
        jax.random.key(config.seed), batch_of(0), config.generator, config.discriminator, optimizer
    )
    checkpoint = config.output / "checkpoint.msgpack"
    if checkpoint.exists():
        state = flax.serialization.from_bytes(state, checkpoint.read_bytes())
        state = jax.tree.map(jnp.asarray, state)

    def train_step(state, batch):
        return facial_train_step(
            state,
            batch,
            generator=config.generator,
            discriminator=config.discriminator,
            optimizer=optimizer,
            weights=config.weights,
        )

    train_step = jit(train_step, donate_argnums=0)
    first = int(state.step)
    bar = tqdm(range(first, steps), initial=first, total=steps, unit="step", desc="training")
    with (config.output / "log.jsonl").open("a") as log:
        for step in bar:
            state, metrics = train_step(state, batch_of(step))
            if step % 20 == 0 or step == steps - 1:
                values = {name: float(value) for name, value in metrics.items()}
                if not all(np.isfinite(value) for value in values.values()):
                    raise FloatingPointError(f"step {step}: a loss is not finite: {values}")
                log.write(json.dumps({"step": step, "time": time.time(), **values}) + "\n")
                log.flush()
                bar.set_postfix({k: f"{v:.3g}" for k, v in values.items()})
            if (step + 1) % config.checkpoint_steps == 0 or step == steps - 1:
                partial = checkpoint.with_suffix(".partial")
                partial.write_bytes(flax.serialization.to_bytes(state))
                partial.rename(checkpoint)
    return state


def validate(model: FacialGan, clips: list[FacialClip], config: Config) -> dict[str, float]:
    """Whole held-out clips, generated window by window from the truth's first frame."""
    errors, powers = {}, {}
    seam, ordinary = [], []
    for i, clip in enumerate(clips):
        fake, truth = generate_standardized(model, clip), clip.attributes
        for name, channels in PARTS.items():
            error = ((fake[:, channels] - truth[:, channels]) ** 2).sum()
            errors[name] = errors.get(name, 0.0) + float(error)
            powers[name] = powers.get(name, 0.0) + float((truth[:, channels] ** 2).sum())
        motion = np.abs(np.diff(np.asarray(fake[:, :7]), axis=0))
        at_seam = np.arange(1, len(fake)) % WINDOW_FRAMES == 0
        seam.append(motion[at_seam].mean())
        ordinary.append(motion[~at_seam].mean())
        if i < 4:
            draw_curves(config.output / f"curves_{i}.png", model, fake, truth, config.fps)
    quiet = FacialClip(features=silent_features(config), attributes=np.zeros((1, 71), np.float32))
    alive = generate_attributes(model, quiet.features)
    report = {f"{name}_error_over_mean_baseline": errors[name] / powers[name] for name in PARTS}
    report["seam_motion_over_ordinary"] = float(np.mean(seam) / np.mean(ordinary))
    report["silence_jaw_max"] = float(alive.expression[:, 0].max())
    report["silence_blinks_per_s"] = count_blinks(np.asarray(alive.blink)) / 60.0
    report["silence_yaw_range_deg"] = float(np.degrees(np.ptp(np.asarray(alive.pose[750:, 1]))))
    draw_curves(
        config.output / "curves_silence.png",
        model,
        np.asarray(standardize(pack_attributes(alive), model.statistics)),
        None,
        config.fps,
    )
    return report


PARTS = {"expression": slice(7, 71), "pose": slice(0, 6), "blink": slice(6, 7)}


def generate_standardized(model: FacialGan, clip: FacialClip) -> np.ndarray:
    """(t, 71) what the model makes of a clip's speech from the clip's first frame on."""
    first = jnp.asarray(clip.attributes[0])
    std, mean = model.statistics.std, model.statistics.mean
    made = generate_attributes(
        model, clip.features, initial_state=unpack_attributes(first * std + mean)
    )
    return np.asarray(standardize(pack_attributes(made), model.statistics))


def silent_features(config: Config) -> np.ndarray:
    """One minute of digital silence as the acoustic network hears it."""
    source = AudioSource((np.zeros(60 * 16000, np.float32), 16000))
    return np.asarray(speech_features(source, load_acoustic_model(), fps=config.fps))


def count_blinks(blink: np.ndarray, threshold: float = 2.5) -> int:
    """How often the eyes close."""
    closed = blink > threshold
    return int((closed[1:] & ~closed[:-1]).sum())


def draw_curves(
    path: Path, model: FacialGan, fake: np.ndarray, truth: np.ndarray | None, fps: float
) -> None:
    """Mouth, pose and blink of the first 20 s beside the truth."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    std, mean = np.asarray(model.statistics.std), np.asarray(model.statistics.mean)
    frames = slice(0, round(20 * fps))
    rows = [("jaw", 7), ("lip round", 8), ("mouth close", 38), ("pitch", 0), ("yaw", 1)]
    rows += [("roll", 2), ("x", 3), ("y", 4), ("z", 5), ("blink", 6)]
    figure, axes = plt.subplots(len(rows), 1, figsize=(16, 18), sharex=True)
    for axis, (name, channel) in zip(axes, rows, strict=True):
        for values, label in ((truth, "truth"), (fake, "generated")):
            if values is not None:
                curve = values[frames, channel] * std[channel] + mean[channel]
                axis.plot(np.arange(len(curve)) / fps, curve, label=label)
        for seam in np.arange(WINDOW_FRAMES, len(fake[frames]), WINDOW_FRAMES):
            axis.axvline(seam / fps, color="0.8")
        axis.set_ylabel(name)
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=60)
    plt.close(figure)


if __name__ == "__main__":
    main(
        tyro.extras.overridable_config_cli(
            {
                "demo": ("For two CPU cores: less than half an hour.", DEMO),
                "paper": ("As published.", PAPER),
            }
        )
    )
