"""Mixing the channels of a recording down to one, as players do."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

_SIDE = 0.5**0.5
# Shares of a channel in the left and the right of two loudspeakers (ITU-R BS.775): the middle and
# those behind are 3 dB softer in each, low-frequency effects are left out.
_SHARES = {
    "FL": (1.0, 0.0),
    "FR": (0.0, 1.0),
    "FC": (_SIDE, _SIDE),
    "LFE": (0.0, 0.0),
    "LFE2": (0.0, 0.0),
    "BL": (_SIDE, 0.0),
    "BR": (0.0, _SIDE),
    "SL": (_SIDE, 0.0),
    "SR": (0.0, _SIDE),
    "BC": (0.5, 0.5),
    "FLC": (1.0, 0.0),
    "FRC": (0.0, 1.0),
    "DL": (1.0, 0.0),
    "DR": (0.0, 1.0),
}
_USUAL = {
    2: ("FL", "FR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}


def usual_channels(count: int) -> tuple[str, ...]:
    """FFmpeg's names of the channels of sound that does not name them: 5.1 and 7.1 for 6 and 8."""
    return _USUAL.get(count, ("",) * count)


def mono_weights(names: Sequence[str]) -> Float[np.ndarray, "channels"]:
    """How much of each channel there is in one: the mean of a stereo mix of them.

    A single channel stays as it is. Channels whose place is not known count alike.

    Args:
        names: FFmpeg's, such as "FL".
    """
    return _stereo_shares(names).mean(axis=1)


def mix_matrix(names: Sequence[str], count: int) -> Float[np.ndarray, "channels count"]:
    """What makes `count` channels of others: one as `mono_weights`, or left, right and silence."""
    shares = _stereo_shares(names)
    if count == 1:
        return shares.mean(axis=1, keepdims=True)
    return np.pad(shares, ((0, 0), (0, count - 2)))


def _stereo_shares(names: Sequence[str]) -> Float[np.ndarray, "channels 2"]:
    """Shares of the channels in left and right."""
    if len(names) == 1 or not all(name in _SHARES for name in names):
        return np.full((len(names), 2), 1 / len(names), np.float32)
    return np.array([_SHARES[name] for name in names], np.float32)
