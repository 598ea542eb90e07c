"""The methods of the paper's tables for one person: baselines and trained networks."""

from collections.abc import Mapping
from pathlib import Path

from facial_jax.data.clips import ClipSource
from facial_jax.models.pose_gan.baselines import Method, baselines, network_method
from facial_jax.models.pose_gan.generation import GENERATOR_FILE, load_pose_gan
from facial_jax.models.pose_gan.rest_frame import PoseStatistics


def person_methods(
    person: str, clips: ClipSource, statistics: PoseStatistics, models: Mapping[str, Path]
) -> dict[str, Method]:
    """Every method by its name in the tables.

    Args:
        person: whose folder of each network is read.
        clips: the person's training clips.
        statistics: what poses are standardised by.
        models: by name, the folders that `train_pose_gan --each-subject` wrote.

    Raises:
        FileNotFoundError: a folder has no network of this person.
    """
    networks = {
        name: network_method(load_pose_gan(folder / person / GENERATOR_FILE), statistics)
        for name, folder in models.items()
    }
    return baselines(clips, statistics) | networks
