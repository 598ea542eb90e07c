"""Trains a person's rendering-to-video network from a reference video.

    python -m experiments.train_rendering_to_video --data runs/demo --output runs/demo/video

By default for two CPU cores, in about half an hour; `--preset paper` is as published, for a GPU.
`--data` is a folder as make_demo_video writes it: the frames, `frames.npy` (t, h, w, 3) uint8 or
`reference.mp4`, and `attributes.npz`: expression (t, 64), pose (t, 6), blink (t,), identity (80,),
texture (80,), illumination (3, 9), clip_starts if it holds more than one clip, and
vertex_texture (m, 3) if faces are to be rendered with the person's own. The run's folder keeps
the rendered faces, checkpoints, previews (rendered | generated | real), TensorBoard's files, and in
the end the network. A training that was stopped, or killed, goes on from its last checkpoint when
it is started again with the same options, and ends with the same numbers.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jax

from experiments import GOES_ON, Preset, ends_in_one_line, parse_preset
from facial_jax.cache import enable_compilation_cache
from facial_jax.models.rendering_to_video import config
from facial_jax.models.rendering_to_video.config import RenderingToVideoTrainingConfig
from facial_jax.models.rendering_to_video.task import train_rendering_to_video
from facial_jax.training.processes import join_processes


@dataclass(frozen=True)
class Arguments:
    """What is trained, and on what."""

    data: Path = Path("runs/demo")
    """Folder with attributes.npz and frames.npy or reference.mp4."""
    output: Path = Path("runs/demo/video")
    """The run's folder: checkpoints, log, previews and the trained network."""
    preset: Preset = "demo"
    """What the other options are by default: for two CPU cores, or as published."""
    training: RenderingToVideoTrainingConfig = field(default_factory=RenderingToVideoTrainingConfig)
    network: Path | None = None
    """The trained network is written here too, such as into a subject's folder."""
    validate_every: int | None = None
    """Steps between previews, checkpoints and measurements on the held-out part; a tenth of all
    if None, but at least 500."""
    stop_after: int | None = None
    """Stop at this step, as if interrupted."""
    distributed: bool = False
    """This is one of many processes that train as one: `facial_jax.training.processes`."""


PRESETS = {
    name: Arguments(preset=name, training=training) for name, training in config.PRESETS.items()
}


def main(arguments: Arguments, *, devices: Sequence[jax.Device] | None = None) -> None:
    """Trains until the last step, from the last checkpoint if there is one.

    `devices`: over which batches are split; all if None.
    """
    if arguments.distributed:
        join_processes()
    with ends_in_one_line(GOES_ON):
        train_rendering_to_video(
            arguments.training,
            arguments.data,
            arguments.output,
            network=arguments.network,
            validate_every=arguments.validate_every,
            stop_after=arguments.stop_after,
            devices=devices,
            say=functools.partial(print, flush=True),
        )


if __name__ == "__main__":
    enable_compilation_cache()
    main(parse_preset(PRESETS, description=__doc__))
