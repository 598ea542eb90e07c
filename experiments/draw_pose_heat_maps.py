"""Where each person's landmarks are seen while they speak, Fig. 2 of the paper on head poses.

python -m experiments.draw_pose_heat_maps --data FOLDER
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from data_specs.clips import open_clips
from facial_jax.data.splits import TRAIN
from facial_jax.face.procedural import procedural_face_model
from facial_jax.metrics.pose_heat_map import draw_heat_map, landmark_heat_map
from facial_jax.models.pose_gan.rest_frame import poses_from_rest
from facial_jax.pictures import save_png


@dataclass(frozen=True)
class Arguments:
    """Whose, and where to."""

    data: Path
    """The folder of a data set."""
    output: Path = Path("runs/pose_heat_maps.png")
    """The picture: the people beside one another, in order of their names."""


def main(arguments: Arguments) -> None:
    """Prints how far each person's landmarks spread, and saves the picture."""
    clips, face, maps = open_clips(arguments.data, TRAIN), procedural_face_model(), []
    for person in clips.subjects:
        own = clips.of_subject(person)
        poses = [poses_from_rest(clip)[clip.valid] for clip in own]
        heat = landmark_heat_map(np.concatenate(poses), face)
        maps.append(draw_heat_map(heat))
        print(f"{person}: landmarks in {int((heat > 0).sum())} of {heat.size} pixels")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    save_png(arguments.output, np.concatenate(maps, axis=1))


if __name__ == "__main__":
    main(tyro.cli(Arguments))
