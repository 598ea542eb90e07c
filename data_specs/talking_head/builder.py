"""The TFDS builder of a folder of tracked videos (see `tracked_clip` for what is in it).

Clips that are malformed, or that do not go with the others, are left out, as are videos that could
not be tracked; the data set says which and why.

Tracking is not done in here but before, by `experiments.prepare`: it takes most of the time, and
each of its clips outlives a stop in a folder of its own. To pack a thousand of them takes seconds.
"""

import hashlib
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import tensorflow_datasets as tfds

from data_specs.clips import clip_features, stored_example
from facial_jax.data.clips import OPTIONAL_FIELDS, Clip, clip_entry
from facial_jax.data.splits import SPLITS, split_of_name
from facial_jax.data.tracked_clip import (
    FILE_NAME,
    left_out_videos,
    load_tracked_clip,
    tracked_clips,
)
from facial_jax.files import write_text

LEFT_OUT_TABLE = "left_out.tsv"


@dataclass(eq=False)
class TalkingHeadConfig(tfds.core.BuilderConfig):
    """Which tracked videos; the name tells apart what is in them, so that none is ever stale."""

    name: str = ""
    folder: Path = Path()

    def __post_init__(self):
        paths = clip_paths(self.folder)
        digest = hashlib.sha256()
        for path in paths:
            digest.update(f"{path.parent.name}\n{_checksums(path)}\n".encode())
        self.name = f"{Path(self.folder).resolve().name}_{digest.hexdigest()[:8]}"


class TalkingHead(tfds.core.GeneratorBasedBuilder):
    """Real people talking: see `facial_jax.data.clips.Clip` for what an example holds."""

    VERSION = tfds.core.Version("1.1.0")

    def __init__(self, *, config: TalkingHeadConfig, data_dir: str | os.PathLike):
        super().__init__(config=config, data_dir=str(data_dir), file_format="array_record")

    def _info(self) -> tfds.core.DatasetInfo:
        folder = self.builder_config.folder
        first, acoustic = _first_sound_clip(folder)
        return tfds.core.DatasetInfo(
            builder=self,
            description="Real people talking, tracked in videos.",
            features=clip_features(first.features.shape[1], OPTIONAL_FIELDS),
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(acoustic=acoustic, clips={}, left_out=[]),
        )

    def _split_generators(self, dl_manager):
        del dl_manager
        paths: dict[str, list[Path]] = {split: [] for split in SPLITS}
        for path in clip_paths(self.builder_config.folder):
            try:
                self._load(path)
            except ValueError as error:
                self.info.metadata["left_out"].append([path.parent.name, str(error)])
            else:
                paths[split_of_name(path.parent.name)].append(path)
        return {
            split: self._generate_examples(split, chosen)
            for split, chosen in paths.items()
            if chosen
        }

    def _generate_examples(self, split: str, paths: list[Path]):
        rows = self.info.metadata["clips"].setdefault(split, [])
        for key, path in enumerate(paths):
            clip = self._load(path)
            rows.append(clip_entry(clip).to_row())
            yield key, stored_example(clip, OPTIONAL_FIELDS)

    def _load(self, path: Path) -> Clip:
        clip, acoustic = load_tracked_clip(path)
        metadata, expected = self.info.metadata, self.info.features["features"].shape[1]
        if clip.features.shape[1] != expected:
            raise ValueError(
                f"features: expected {expected} columns, as in the other clips, got "
                f"{clip.features.shape[1]}; prepare all videos with one acoustic model"
            )
        if acoustic != metadata["acoustic"]:
            raise ValueError(
                f"acoustic: expected the model {metadata['acoustic']!r}, as in the other clips, "
                f"got {acoustic!r}; prepare all videos with one acoustic model"
            )
        return clip


def build_talking_head(
    folder: str | os.PathLike, data_dir: str | os.PathLike
) -> tuple[Path, list[tuple[str, str]]]:
    """Makes the data set of a folder of tracked videos, unless `data_dir` has it already.

    Returns:
        The data set's folder, and (clip, reason) for every clip or video that was left out; the
        same table is `left_out.tsv` in the data set's folder.

    Raises:
        FileNotFoundError: there is no tracked video in the folder.
        ValueError: not one of them can be used.
    """
    builder = TalkingHead(config=TalkingHeadConfig(folder=Path(folder)), data_dir=data_dir)
    builder.download_and_prepare()
    left_out = [(clip, reason) for clip, reason in builder.info.metadata["left_out"]]
    left_out += [(clip, reason) for clip, _, reason in left_out_videos(folder)]
    table = "".join(f"{clip}\t{' '.join(reason.split())}\n" for clip, reason in left_out)
    write_text(Path(builder.data_dir) / LEFT_OUT_TABLE, "clip\treason\n" + table)
    return Path(builder.data_dir), left_out


def clip_paths(folder: str | os.PathLike) -> list[Path]:
    """Every clip's file, in the order of the clips' names.

    Raises:
        FileNotFoundError: there is none.
    """
    paths = tracked_clips(folder)
    if not paths:
        raise FileNotFoundError(
            f"folder: expected tracked videos as {Path(folder)}/NAME/{FILE_NAME}, found none; "
            "make them with python -m experiments.prepare"
        )
    return paths


def _first_sound_clip(folder: Path) -> tuple[Clip, str]:
    reasons = []
    for path in clip_paths(folder):
        try:
            return load_tracked_clip(path)
        except ValueError as error:
            reasons.append(f"{path.parent.name}: {error}")
    raise ValueError(f"folder: not one clip in {folder} can be used:\n" + "\n".join(reasons))


def _checksums(path: Path) -> str:
    """What the file holds, as far as its own checksums tell."""
    try:
        with zipfile.ZipFile(path) as file:
            return " ".join(f"{info.filename}:{info.CRC:08x}" for info in file.infolist())
    except (OSError, zipfile.BadZipFile):
        return f"damaged, {path.stat().st_size} bytes"
