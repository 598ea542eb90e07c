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
from dataclasses import dataclass, field
from pathlib import Path

import jax
import tyro

from facial_jax.cache import enable_compilation_cache
from facial_jax.models.rendering_to_video.training import (
    PRESETS,
    VideoTrainingConfig,
    train_rendering_to_video,
)
from facial_jax.training.processes import join_processes


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
    preview_every: int | None = None
    """Steps between previews, checkpoints and measurements on the held-out part; a tenth of all
    where it is not given, but at least 500."""
    stop_after: int | None = None
    """Stop at this step, as if interrupted."""
    distributed: bool = False
    """This is one of many processes that train as one: `facial_jax.training.processes`."""


def main(arguments: Arguments, *, devices: Sequence[jax.Device] | None = None) -> None:
    """Trains until the last step, from the last checkpoint if there is one.

    `devices`: over which batches are split; all if None.
    """
    if arguments.distributed:
        join_processes()
    train_rendering_to_video(
        arguments.config,
        arguments.data,
        arguments.work_dir,
        output=arguments.output,
        preview_every=arguments.preview_every,
        stop_after=arguments.stop_after,
        devices=devices,
        say=functools.partial(print, flush=True),
    )


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
