"""Copies of videos for pages, of files that browsers do not play."""

import itertools
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from facial_jax.files import whole_or_nothing
from facial_jax.media.colors import bt709_frame, tag_bt709
from facial_jax.media.container import open_media, output_url, picture_stream
from facial_jax.tracking.frames import VideoFrames

MIME = {".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm"}
"""By ending, the files that browsers play, if they play what is in them."""
_CODECS = {"h264", "vp8", "vp9", "av1", "libdav1d"}
_MAX_SIDE = 640
_SOUND_RATE = 48000
_OPTIONS = {"crf": "23", "preset": "veryfast"}


def is_playable(path: Path) -> bool:
    """Whether browsers play this file, as far as its ending and its pictures' coding tell."""
    if path.suffix.lower() not in MIME:
        return False
    with open_media(path, "video") as container:
        context = picture_stream(container).codec_context
        return context.name in _CODECS and context.pix_fmt in {"yuv420p", "yuvj420p"}


def write_playable(path: Path, video: VideoFrames) -> None:
    """Writes a copy as H.264 and AAC, its longer side at most 640 pixels, whole or not at all.

    What the file says of itself, such as that it is synthetic, the copy says as well.
    """
    with open_media(video.path, "video") as container:
        comment = container.metadata.get("comment")
    reformatter = VideoReformatter()
    with whole_or_nothing(path) as partial, av.open(output_url(partial), "w") as container:
        if comment:
            container.metadata["comment"] = comment
        frames = video.read(max_side=_MAX_SIDE)
        first = next(frames)
        height, width = (side // 2 * 2 for side in first.shape[:2])
        stream = container.add_stream("libx264", rate=video.fps, options=_OPTIONS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        tag_bt709(stream.codec_context)
        sound = None
        if video.sound is not None:
            sound = container.add_stream("aac", rate=_SOUND_RATE, layout="mono")
        for image in itertools.chain([first], frames):
            container.mux(stream.encode(bt709_frame(image[:height, :width], reformatter)))
        container.mux(stream.encode(None))
        if sound is not None:
            _encode_sound(container, sound, video)


def _encode_sound(container, stream, video: VideoFrames) -> None:
    done = 0
    for block in video.sound.blocks(_SOUND_RATE):
        samples = np.ascontiguousarray(block.T)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = _SOUND_RATE, done
        done += len(block)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
