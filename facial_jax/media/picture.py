"""One decoded picture of a video."""

from dataclasses import dataclass
from fractions import Fraction

import av

from facial_jax.media.orientation import Orientation


@dataclass(frozen=True)
class Picture:
    """A decoded picture."""

    time: Fraction
    # when it is shown, in seconds from the first
    duration: Fraction
    # how long the file says it is shown, in seconds; 0 if it does not
    frame: av.VideoFrame
    # the pixels as stored
    aspect: Fraction
    # width of a pixel over its height
    orientation: Orientation
    # how the stored pixels are turned before they are shown
