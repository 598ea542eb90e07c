"""What a FACIAL-GAN of several people is given of their statistics: a speaker in their middle."""

from collections.abc import Mapping

import numpy as np

from facial_jax.attributes import AttributeStatistics, pack_attributes, standardize, unstandardize
from facial_jax.data.clips import ClipSource


def mean_statistics(statistics: Mapping[str, AttributeStatistics]) -> AttributeStatistics:
    """Mean and deviation of a speaker in the middle of these."""
    mean, std = (
        np.mean([getattr(one, name) for one in statistics.values()], axis=0, dtype=np.float64)
        for name in ("mean", "std")
    )
    return AttributeStatistics(mean=mean.astype(np.float32), std=std.astype(np.float32))


def resting_state(clips: ClipSource, statistics: Mapping[str, AttributeStatistics]) -> np.ndarray:
    """(71,) packed attributes before a recording begins: the clips' median first valid frame.

    Taken among standardised frames, and given in the units of the subjects' mean statistics.
    """
    firsts = []
    for index, entry in enumerate(clips.entries):
        clip = clips[index]
        packed = np.asarray(pack_attributes(clip.attributes))[int(np.argmax(clip.valid))]
        firsts.append(np.asarray(standardize(packed, statistics[entry.subject])))
    middle = np.median(firsts, axis=0).astype(np.float32)
    return np.asarray(unstandardize(middle, mean_statistics(statistics)))
