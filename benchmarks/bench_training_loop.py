"""Times both training loops beside their step alone, whose batch lies on the device already.

    python -m benchmarks.bench_training_loop
    python -m benchmarks.bench_training_loop --preset paper

Each loop is what its script runs, on data of noise: batches, step, `run_steps`, progress bar and
TensorBoard's files, but without checkpoints and validations. Prints steps per second of both, and
the loop's as a share of the step's. `paper` is the published sizes, for a GPU: batch 1 at 512×512
in bfloat16, and batch 64 of FACIAL-GAN; about a minute with compilation.
"""

import dataclasses
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import tyro

from benchmarks.measure import Row, print_table
from experiments import general_train
from facial_jax.data.clips import Clip as FacialClip
from facial_jax.data.clips import ClipSource, clip_entry, clip_to_example
from facial_jax.data.windows import subject_statistics
from facial_jax.models.facial_gan.training import Networks, facial_gan_training
from facial_jax.models.rendering_to_video import training as video_script
from facial_jax.models.rendering_to_video.reference import Clip as VideoClip
from facial_jax.training.loop import Training, run_steps
from facial_jax.training.parallel import data_mesh
from facial_jax.training.progress import training_progress

LOOK_EVERY = 20
"""Steps between looks at the losses, as in the scripts."""


@dataclass(frozen=True)
class Arguments:
    """Times both training loops beside their step alone."""

    preset: Literal["small", "paper"] = "small"
    seconds: float = 8.0
    """For about so long each is timed, at least 10 steps."""


def noise_video(size: int, frames: int) -> VideoClip:
    """A reference clip of noise."""
    rng = np.random.default_rng(0)
    frames, pictures, regions = (
        rng.integers(0, 256, (frames, size, size, channels), np.uint8) for channels in (3, 4, 2)
    )
    return VideoClip(frames, pictures, regions, np.zeros(1, np.int32))


def noise_clips(count: int, frames: int) -> ClipSource:
    """Clips of noise, by two subjects."""
    rng = np.random.default_rng(0)

    def noise(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, np.float32) / 4

    clips = [
        FacialClip(
            clip=f"clip {number}",
            subject=f"subject {number % 2}",
            fps="25",
            waveform=np.zeros(frames * 640, np.int16),
            features=noise(frames, 29),
            expression=noise(frames, 64),
            pose=noise(frames, 6),
            blink=np.abs(noise(frames)),
            valid=np.ones(frames, bool),
            identity=noise(80),
            texture=noise(80),
            illumination=noise(3, 9),
        )
        for number in range(count)
    ]
    examples = [
        {k: v.encode() if isinstance(v, str) else v for k, v in clip_to_example(clip).items()}
        for clip in clips
    ]
    return ClipSource(tuple(map(clip_entry, clips)), examples, {})


def trainings(preset: str) -> Iterable[tuple[str, Any]]:
    """The name of each training, and a function that makes it."""
    paper, mesh = preset == "paper", data_mesh(jax.devices()[:1])
    video = video_script.PRESETS["paper" if paper else "demo"]
    video = dataclasses.replace(video, steps=10**6, reconstruction_steps=0)
    size, frames = (512, 600) if paper else (64, 60)
    yield (
        f"rendering-to-video, batch {video.batch_size} at {size}×{size}, {video.compute_dtype}",
        lambda: video_script.video_training(
            video,
            noise_video(size, frames),
            mesh,
            *video_script.perceptual_network(video)[:2],
        ),
    )
    run = general_train.PAPER if paper else general_train.DEMO
    facial = dataclasses.replace(run.training, epochs=1e6, max_steps=10**6)
    clips = noise_clips(*((100, 5354) if paper else (4, 400)))
    networks: Networks = run.networks
    yield (
        f"FACIAL-GAN, batch {facial.batch}, {sum(c.segments[-1][1] for c in clips.entries)} frames",
        lambda: facial_gan_training(facial, networks, clips, subject_statistics(clips), mesh),
    )


def step_seconds(training: Training, state: Any, seconds: float) -> tuple[Any, float]:
    """The state after some steps with one batch, and how long a step took."""
    batch = jax.block_until_ready(training.batches[0])
    for _ in range(2):
        state, losses = training.step(state, batch)
    jax.block_until_ready(losses)
    began = time.perf_counter()
    state, losses = training.step(state, batch)
    jax.block_until_ready(losses)
    count = step_count(time.perf_counter() - began, seconds)
    began = time.perf_counter()
    for _ in range(count):
        state, losses = training.step(state, batch)
    jax.block_until_ready((state, losses))
    return state, (time.perf_counter() - began) / count


def step_count(step_s: float, seconds: float) -> int:
    """How many steps take about so long."""
    return max(10, round(seconds / step_s))


class NoCheckpoints:
    """Saves nothing."""

    def save(self, step: int, state: Any) -> None:
        """Does nothing."""


def loop_seconds(training: Training, state: Any, count: int) -> float:
    """How long a step takes in the loop, over about the last `count` of its steps.

    The first ones, in which batches begin to be made, are not counted.
    """
    last = LOOK_EVERY * (1 + -(-count // LOOK_EVERY))
    seen = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        training_progress(Path(folder), first=0, steps=last) as progress,
    ):

        def look(done: int, losses: dict[str, float]) -> None:
            progress.look(done, losses)
            seen[done] = time.perf_counter()  # when this step's losses were known

        run_steps(
            training.step,
            state,
            training.batches.between(0, last),
            first=0,
            last=last,
            checkpoints=NoCheckpoints(),
            save_every=last,
            look_every=LOOK_EVERY,
            look=look,
            describe=training.describe,
            validate_every=last,
            validate=lambda done, state: None,
        )
    return (seen[last] - seen[LOOK_EVERY]) / (last - LOOK_EVERY)


def rows(arguments: Arguments) -> Iterator[Row]:
    """Each training's step alone, and in the loop."""
    for name, make in trainings(arguments.preset):
        training = make()
        state, training = training.state, training._replace(state=None)
        state, step_s = step_seconds(training, state, arguments.seconds)
        yield Row(f"{name}, step alone", step_s)
        loop_s = loop_seconds(training, state, step_count(step_s, arguments.seconds))
        yield Row(f"{name}, in the loop ({step_s / loop_s:.2f} of it)", loop_s)


if __name__ == "__main__":
    print_table(rows(tyro.cli(Arguments)))
