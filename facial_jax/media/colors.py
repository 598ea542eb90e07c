"""The colours that videos are written in: BT.709 of limited range, and tagged so."""

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

_BT709 = 1  # FFmpeg's number for matrix, primaries and transfer alike


def tag_bt709(context: av.VideoCodecContext) -> None:
    """Has an encoder say what `bt709_frame` makes; before its first frame."""
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = ColorRange.MPEG


def bt709_frame(image: np.ndarray, reformatter: VideoReformatter) -> av.VideoFrame:
    """An RGB picture, uint8 (h, w, 3), as a frame for a video encoder, yuv420p.

    Raises:
        ValueError: an array of another shape.
    """
    frame = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(image), format="rgb24")
    # In this thread: handing parts of a small picture to others takes longer than the work.
    frame = reformatter.reformat(
        frame,
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
        threads=1,
    )
    frame.color_primaries = frame.color_trc = _BT709
    return frame
