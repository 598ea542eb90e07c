"""Times both training loops beside their step alone, whose batch lies on the device already.

    python -m benchmarks.bench_training_loop
    python -m benchmarks.bench_training_loop --preset paper

Each loop is what its script runs, on data of noise: batches, step, `run_steps`, progress bar and
TensorBoard's files, but without checkpoints and validations. The two are timed in turns, since
others may use the machine, too. Prints steps per second of both, and the median of the loop's share
of the step's. `paper` is the published sizes, for a GPU: batch 1 at 512×512
in bfloat16, and batch 64 of FACIAL-GAN; about a minute with compilation.
"""

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import tyro

from benchmarks.measure import Row, print_table
from benchmarks.noise import noise_clips, noise_video
from experiments import general_train
from facial_jax.data.windows import subject_statistics
from facial_jax.face.procedural import procedural_face_model
from facial_jax.models.facial_gan.task import FacialGanTask
from facial_jax.models.rendering_to_video.config import PRESETS
from facial_jax.models.rendering_to_video.perceptual import perceptual_network
from facial_jax.models.rendering_to_video.task import RenderingToVideoTask
from facial_jax.training.batches import Batches
from facial_jax.training.fit import SHOW_EVERY
from facial_jax.training.loop import run_steps
from facial_jax.training.parallel import data_mesh, replicate
from facial_jax.training.progress import training_progress
from facial_jax.training.step import compiled_step, initial_state
from facial_jax.training.task import Task

TURNS = 3


@dataclass(frozen=True)
class Arguments:
    """Times both training loops beside their step alone."""

    preset: Literal["small", "paper"] = "small"
    seconds: float = 4.0
    """About how long each is timed in every turn, at least 10 steps."""


def tasks(preset: str) -> Iterable[tuple[str, Callable[[], Task]]]:
    """The name of each training, and a function that makes its task."""
    paper = preset == "paper"
    video = PRESETS["paper" if paper else "demo"]
    video = dataclasses.replace(video, steps=10**6, reconstruction_steps=0)
    size, frames = (512, 600) if paper else (64, 60)

    def video_task() -> Task:
        network, variables, _ = perceptual_network(video)
        clip = noise_video(size, frames)
        return RenderingToVideoTask(video, clip, perceptual=network, perceptual_variables=variables)

    yield (
        f"rendering-to-video, batch {video.batch_size} at {size}×{size}, {video.compute_dtype}",
        video_task,
    )
    run = general_train.PRESETS["paper" if paper else "demo"]
    facial = dataclasses.replace(run.training, epochs=1e6, max_steps=10**6)
    clips = noise_clips(*((100, 5354) if paper else (4, 400)))
    yield (
        f"FACIAL-GAN, batch {facial.batch}, {sum(c.segments[-1][1] for c in clips.entries)} frames",
        lambda: FacialGanTask(
            facial,
            run.networks(clips[0].features.shape[1]),
            clips,
            clips,
            subject_statistics(clips),
            procedural_face_model(),
        ),
    )


def step_seconds(step: Callable, state: Any, batches: Batches, seconds: float) -> tuple[Any, float]:
    """The state after some steps with one batch, and how long a step took."""
    batch = jax.block_until_ready(batches[0])
    for _ in range(2):
        state, losses = step(state, batch)
    jax.block_until_ready(losses)
    began = time.perf_counter()
    state, losses = step(state, batch)
    jax.block_until_ready(losses)
    count = step_count(time.perf_counter() - began, seconds)
    began = time.perf_counter()
    for _ in range(count):
        state, losses = step(state, batch)
    jax.block_until_ready((state, losses))
    return state, (time.perf_counter() - began) / count


def step_count(step_s: float, seconds: float) -> int:
    """How many steps take about this time."""
    return max(10, round(seconds / step_s))


def loop_seconds(
    task: Task, step: Callable, state: Any, batches: Batches, count: int
) -> tuple[Any, float]:
    """The state after some steps in the loop, and how long a step took in its last `count` or so.

    The first ones, in which batches begin to be made, are not counted.
    """
    last = SHOW_EVERY * (1 + -(-count // SHOW_EVERY))
    times = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        training_progress(Path(folder), first=0, steps=last) as progress,
    ):

        def show(done: int, losses: dict[str, float]) -> None:
            progress.losses(done, losses)
            times[done] = time.perf_counter()  # when this step's losses were known

        state = run_steps(
            step,
            state,
            batches.between(0, last),
            first=0,
            last=last,
            save=lambda done, state: None,
            save_every=last,
            show=show,
            show_every=SHOW_EVERY,
            describe=task.describe,
            validate=lambda done, state: None,
            validate_every=last,
        )
    return state, (times[last] - times[SHOW_EVERY]) / (last - SHOW_EVERY)


def rows(arguments: Arguments) -> Iterator[Row]:
    """Each training's step alone, and in the loop."""
    mesh = data_mesh(jax.devices()[:1])
    for name, make in tasks(arguments.preset):
        task = make()
        batches, step = task.batches(mesh), compiled_step(task, mesh)
        state = replicate(initial_state(task, batches.row()), mesh)
        alone, looped = [], []
        for _ in range(TURNS):
            state, step_s = step_seconds(step, state, batches, arguments.seconds)
            count = step_count(step_s, arguments.seconds)
            state, loop_s = loop_seconds(task, step, state, batches, count)
            alone.append(step_s)
            looped.append(loop_s)
        share = statistics.median(a / b for a, b in zip(alone, looped, strict=True))
        yield Row(f"{name}, step alone", statistics.median(alone))
        yield Row(f"{name}, in the loop ({share:.2f} of it)", statistics.median(looped))


if __name__ == "__main__":
    print_table(rows(tyro.cli(Arguments)))
