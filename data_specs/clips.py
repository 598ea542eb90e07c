"""Clips of talking heads as TFDS stores and reads them.

A data set is a folder of ArrayRecord files that TFDS wrote. Its metadata hold a table of its clips,
in the order of the records, so that windows can be chosen before a single record is read.
"""

import os
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from facial_jax.data.clips import (
    ARRAY_FIELDS,
    DTYPES,
    SHAPES,
    TEXT_FIELDS,
    ClipEntry,
    ClipSource,
)


def clip_features(feature_count: int) -> tfds.features.FeaturesDict:
    """How TFDS stores a clip whose speech features have `feature_count` columns."""
    features = {name: tfds.features.Text() for name in TEXT_FIELDS}
    for name in ARRAY_FIELDS:
        shape = tuple(None if n == "t" else n for n in SHAPES[name])
        if name == "features":
            shape = (None, feature_count)
        features[name] = tfds.features.Tensor(
            shape=shape,
            dtype=DTYPES.get(name, np.float32),
            encoding=tfds.features.Encoding.BYTES,
        )
    return tfds.features.FeaturesDict(features)


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
