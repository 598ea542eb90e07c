"""Times PGFace: training steps, and frames generated.

    python -m benchmarks.bench_pgface

A training step is a whole one with Adam, on runs of two frames with 29 speech features that are on
the device already. Frames are generated as `generate_face` does it, from arrays to arrays.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from benchmarks.measure import Row, measure, print_table
from benchmarks.noise import noise_clips
from facial_jax.face.procedural import procedural_face_model
from facial_jax.models.pgface.config import PgFaceTrainingConfig
from facial_jax.models.pgface.generation import generate_face
from facial_jax.models.pgface.network import PgFaceGenerator
from facial_jax.models.pgface.statistics import pgface_statistics
from facial_jax.models.pgface.task import PgFaceTask
from facial_jax.training.parallel import data_mesh, replicate
from facial_jax.training.step import compiled_step, initial_state


@dataclass(frozen=True)
class Arguments:
    """Times PGFace."""

    repeats: int = 15
    """Measurements of each, of which the median is printed."""
    batches: tuple[int, ...] = (64, 256)
    """Runs of two frames in a training batch."""
    frames: int = 15_000
    """Frames generated at once: ten minutes at 25 per second."""


def rows(arguments: Arguments) -> Iterator[Row]:
    """Training at each batch size, and generating."""
    clips, face_model = noise_clips(2, 400), procedural_face_model()
    statistics, mesh = pgface_statistics(clips), data_mesh(jax.devices()[:1])
    for size in arguments.batches:
        config = PgFaceTrainingConfig(batch=size)
        task = PgFaceTask(config, PgFaceGenerator(), face_model, clips, clips, statistics)
        batches = task.batches(mesh)
        step, batch = compiled_step(task, mesh), batches[0]
        held = [replicate(initial_state(task, batches.row()), mesh)]

        def train(held=held, step=step, batch=batch):
            held[0], losses = step(held[0], batch)
            return held[0], losses

        yield measure(f"training step, batch {size}", train, repeats=arguments.repeats)
    model = task.model(jax.tree.map(jnp.copy, held[0].variables))
    rng = np.random.default_rng(0)
    features = rng.standard_normal((arguments.frames, 29), np.float32)
    pose = rng.standard_normal((arguments.frames, 6), np.float32)
    yield measure(
        f"{arguments.frames} frames generated, a frame",
        generate_face,
        model,
        features,
        pose,
        items=arguments.frames,
        repeats=arguments.repeats,
    )


if __name__ == "__main__":
    print_table(rows(tyro.cli(Arguments)))
