"""Runs the benchmarks of speed that this machine can run, and writes one table of them.

    python -m benchmarks --quick

The table goes to `benchmarks/results/<device>.txt`. A benchmark that needs what is not here is
listed with the reason; one that fails is shown, the others go on, and the command ends with 1. What
measures quality (`bench_fitting`, `bench_tracking`, `bench_lips`, `bench_mouth_sync`,
`bench_surroundings`, `bench_full_frames`, `bench_face_proportions`) is run by itself.
"""

import dataclasses
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# Read when JAX starts: PyTorch and other processes need some of a GPU's memory, too.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax
import tyro

from benchmarks.measure import CannotRunError, Row, device_slug, header, machine, shown
from facial_jax.backend import on_cpu
from facial_jax.models.rendering_to_video.frames import compute_dtype

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("benchmarks", "data_specs", "experiments", "facial_jax")


@dataclass(frozen=True)
class Arguments:
    """Runs the benchmarks of speed that this machine can run."""

    quick: bool = False
    """The most telling ones: the published networks' loops, a large face, one size of video."""


@dataclass(frozen=True)
class Settings:
    """How much is measured."""

    quick: bool
    on_cpu: bool

    @property
    def repeats(self) -> int:
        """Calls of which the median counts."""
        if self.on_cpu:
            return 3 if self.quick else 7
        return 10 if self.quick else 20


def facial_gan(settings: Settings) -> Iterator[Row]:
    """FACIAL-GAN."""
    from benchmarks import bench_facial_gan as bench

    # (the training loops' benchmark compiles the same step, and times it alone, too)
    options = {"widths": ("published",), "batches": ()} if settings.quick else {}
    yield from bench.rows(bench.Arguments(repeats=settings.repeats, **options))


def pose_gan(settings: Settings) -> Iterator[Row]:
    """PoseGAN."""
    from benchmarks import bench_pose_gan as bench

    options = {"widths": ("paper",)} if settings.quick else {}
    yield from bench.rows(bench.Arguments(repeats=settings.repeats, **options))


def facial_gan_networks(settings: Settings) -> Iterator[Row]:
    """FACIAL-GAN's networks by themselves."""
    from benchmarks import bench_networks as bench

    if settings.quick:
        raise CannotRunError("left out by --quick")
    yield from bench.rows(bench.Arguments(repeats=settings.repeats))


def rendering_to_video(settings: Settings) -> Iterator[Row]:
    """Rendering to video."""
    from benchmarks import bench_render_to_video as bench

    dtypes = tuple(dict.fromkeys((str(compute_dtype()), "float32")))
    if settings.quick:
        dtypes = dtypes[:1]
    published = bench.Arguments(
        repeats=3 if settings.on_cpu else settings.repeats,
        dtypes=dtypes,
        frames=1 if settings.on_cpu else 8,
        gradients=not settings.quick,
        training=not (settings.quick or settings.on_cpu),  # a minute a step on two cores
    )
    yield from bench.rows(published)
    if settings.on_cpu or not settings.quick:
        small = dataclasses.replace(
            published, repeats=settings.repeats, size=256, frames=8, small=True, training=True
        )
        yield from bench.rows(small)


def training_loops(settings: Settings) -> Iterator[Row]:
    """Training loops beside their steps alone."""
    from benchmarks import bench_training_loop as bench

    seconds = 1.0 if settings.quick else 4.0
    yield from bench.rows(bench.Arguments("small" if settings.on_cpu else "paper", seconds))


def rendering(settings: Settings) -> Iterator[Row]:
    """Rendering."""
    from benchmarks import bench_rendering as bench

    steps, repeats = not settings.quick, settings.repeats
    for face in (
        ("bfm-size",) if settings.quick and not settings.on_cpu else ("built-in", "bfm-size")
    ):
        yield from bench.rows(bench.Arguments(face=face, steps=steps, repeats=repeats))


def nvdiffrast(settings: Settings) -> Iterator[Row]:
    """Rasterizers, antialiased pictures."""
    from benchmarks import bench_nvdiffrast as bench

    arguments = bench.Arguments(repeats=settings.repeats, culled=not settings.quick)
    yield from bench.rows(arguments)


def synthesis(settings: Settings) -> Iterator[Row]:
    """Speech to video."""
    from benchmarks import bench_synthesis as bench

    if not settings.quick:
        yield from bench.rows(60, (256, 512), 3)
    elif settings.on_cpu:
        yield from bench.rows(10, (256,), 1)
    else:
        yield from bench.rows(20, (512,), 2)


def animation(settings: Settings) -> Iterator[Row]:
    """Speech to animated heads."""
    from benchmarks import bench_animation as bench

    options = {"seconds": 60.0, "drawn_s": 1.0, "sizes": (256,)} if settings.quick else {}
    yield from bench.rows(bench.Arguments(repeats=3, **options))


def acoustic_features(settings: Settings) -> Iterator[Row]:
    """Speech features."""
    from benchmarks import bench_acoustic as bench
    from facial_jax.audio.acoustic import load_acoustic_model

    yield from bench.rows(load_acoustic_model(), settings.repeats)


def phoneme_features(settings: Settings) -> Iterator[Row]:
    """Speech features of the acoustic model phonemes."""
    from benchmarks import bench_phonemes as bench
    from facial_jax.audio.acoustic import PHONEMES, load_acoustic_model
    from facial_jax.audio.hama_package import is_installed

    if not is_installed():
        raise CannotRunError("the package hama is not installed")
    yield from bench.rows(load_acoustic_model(PHONEMES), settings.repeats)


BENCHMARKS = (
    facial_gan,
    facial_gan_networks,
    pose_gan,
    rendering_to_video,
    training_loops,
    rendering,
    nvdiffrast,
    synthesis,
    animation,
    acoustic_features,
    phoneme_features,
)
"""Each makes rows, and has its title as docstring."""


def run(
    benchmarks: Sequence[Callable[[Settings], Iterator[Row]]], settings: Settings
) -> tuple[list[str], bool]:
    """The table's lines, which are printed as they come, and whether every benchmark went well."""
    lines, well = [], True

    def say(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    for benchmark in benchmarks:
        say(f"\n{benchmark.__doc__}")
        try:
            lines.extend(str(row) for row in shown(benchmark(settings)))
        except CannotRunError as error:
            say(f"  not run: {error}")
        except Exception as error:
            if isinstance(error, ModuleNotFoundError) and _top(error) not in PACKAGES:
                say(f"  not run: {_top(error)} is not installed")
                continue
            well = False
            traceback.print_exc()
            say(f"  failed: {type(error).__name__}: {str(error).partition(chr(10))[0]}")
        # What it compiled and held on the device makes room for the next.
        jax.clear_caches()
    return lines, well


def _top(error: ModuleNotFoundError) -> str:
    return (error.name or "").partition(".")[0]


def main(arguments: Arguments, benchmarks: Sequence = BENCHMARKS, results: Path = RESULTS) -> None:
    """Prints and writes the table."""
    settings = Settings(arguments.quick, on_cpu=on_cpu())
    command = "python -m benchmarks" + " --quick" * arguments.quick
    beginning = f"{command}\n\n{machine()}\n\n{header()}"
    print(beginning, flush=True)
    lines, well = run(benchmarks, settings)
    results.mkdir(parents=True, exist_ok=True)
    path = results / f"{device_slug()}.txt"
    path.write_text("\n".join([beginning, *lines, ""]))
    print(f"\n{path}")
    if not well:
        sys.exit(1)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
