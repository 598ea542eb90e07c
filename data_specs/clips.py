"""Clips of talking heads as TFDS stores and reads them.

A data set is a folder of ArrayRecord files that TFDS wrote. Its metadata hold a table of its clips,
in the order of the records, so that windows can be chosen before a single record is read.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from facial_jax.data.clips import (
    ARRAY_FIELDS,
    DTYPES,
    SHAPES,
    TEXT_FIELDS,
    Clip,
    ClipEntry,
    ClipSource,
    clip_part,
    clip_to_example,
    clips_in_memory,
)
from facial_jax.data.splits import SPLITS
from facial_jax.data.tracked_clip import load_tracked_clip, tracked_clips


def clip_features(feature_count: int, optional: Sequence[str] = ()) -> tfds.features.FeaturesDict:
    """How TFDS stores a clip whose speech features have `feature_count` columns.

    `optional`: which of `OPTIONAL_FIELDS` the data set has a place for.
    """
    features = {name: tfds.features.Text() for name in TEXT_FIELDS}
    for name in (*ARRAY_FIELDS, *optional):
        shape = tuple(None if n == "t" else n for n in SHAPES[name])
        if name == "features":
            shape = (None, feature_count)
        features[name] = tfds.features.Tensor(
            shape=shape,
            dtype=DTYPES.get(name, np.float32),
            encoding=tfds.features.Encoding.BYTES,
        )
    return tfds.features.FeaturesDict(features)


def stored_example(clip: Clip, optional: Sequence[str] = ()) -> dict:
    """What a builder with `clip_features(…, optional)` yields for the clip.

    An optional array that this clip has not is stored without rows.

    Raises:
        ValueError: the clip has an array for which the data set has no place.
    """
    example = clip_to_example(clip)
    if lost := sorted(set(example) - {*TEXT_FIELDS, *ARRAY_FIELDS, *optional}):
        raise ValueError(f"clip: the data set has no place for {', '.join(lost)} of {clip.clip}")
    return {name: np.zeros((0, *SHAPES[name][1:]), np.float32) for name in optional} | example


@dataclass(frozen=True)
class PersonClips:
    """The clips of one person."""

    train: ClipSource
    validation: ClipSource
    test: ClipSource


def open_people(
    folder: str | os.PathLike, subject: str | None = None
) -> Iterator[tuple[str, PersonClips]]:
    """Every person, or only this one, of a data set or of a folder of tracked videos.

    A data set has its clips in three splits. A tracked video is divided in time, 7-1-2: each part
    hears nothing of the others.

    Raises:
        FileNotFoundError: the folder holds neither.
        ValueError: nobody of this name speaks here, or a clip is malformed.
    """
    folder = Path(folder)
    if not (folder / "dataset_info.json").is_file() and (paths := tracked_clips(folder)):
        people: dict[str, list[Clip]] = {}
        for path in paths:
            clip, _ = load_tracked_clip(path)
            people.setdefault(clip.subject, []).append(clip)
        _check_known(subject, people)
        for name in sorted(people) if subject is None else [subject]:
            yield name, _divided_in_time(people[name])
        return
    splits = [open_clips(folder, split) for split in SPLITS]
    _check_known(subject, splits[0].subjects)
    for name in splits[0].subjects if subject is None else [subject]:
        train, validation, test = (clips.of_subject(name) for clips in splits)
        yield name, PersonClips(train=train, validation=validation, test=test)


def _check_known(subject: str | None, people: Iterable[str]) -> None:
    if subject is not None and subject not in people:
        raise ValueError(f"subject: expected one of {', '.join(sorted(people))}, got {subject!r}")


def _divided_in_time(clips: Sequence[Clip]) -> PersonClips:
    borders = [
        [0, *(round(share * len(clip)) for share in (0.7, 0.8)), len(clip)] for clip in clips
    ]
    return PersonClips(
        *(
            clips_in_memory(
                *(clip_part(clip, b[i], b[i + 1]) for clip, b in zip(clips, borders, strict=True))
            )
            for i in range(3)
        )
    )


def open_clips(folder: str | os.PathLike, split: str) -> ClipSource:
    """One split of a data set from the folder that its builder made.

    Raises:
        FileNotFoundError: there is no finished data set in the folder.
        ValueError: the data set has no such split, or is not one of talking heads.
    """
    folder = Path(folder)
    if not (folder / "dataset_info.json").is_file():
        raise FileNotFoundError(
            f"folder: {folder} holds no data set (no dataset_info.json in it); build one with "
            "python -m experiments.make_corpus"
        )
    builder = tfds.builder_from_directory(folder)
    metadata = dict(builder.info.metadata or {})
    if "clips" not in metadata:
        raise ValueError(f"folder: {folder} holds a data set, but not one of talking heads")
    if split not in builder.info.splits:
        known = ", ".join(sorted(builder.info.splits))
        raise ValueError(f"split: expected one of {known}, got {split!r}")
    entries = tuple(ClipEntry.from_row(row) for row in metadata["clips"][split])
    return ClipSource(entries, builder.as_data_source(split=split), metadata)
