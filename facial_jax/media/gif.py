"""Animated GIFs: 256 colours for all frames, no sound, played again and again."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import av.filter
import numpy as np

from facial_jax.media.container import output_url

TICKS_PER_S = 100
"""A GIF's times are whole hundredths of a second."""
LEAST_TICKS = 2
"""Browsers show a frame of one hundredth for a tenth of a second."""
PALETTE_FRAMES = 64
"""Number of frames at the beginning that the colours are chosen from."""


def write_gif(
    path: Path,
    images: Iterable[np.ndarray],
    *,
    size: tuple[int, int],
    fps: Fraction,
    comment: str,
) -> None:
    """Writes frames, each uint8 RGB (h, w, 3), as an animated GIF that says `comment`.

    Frames begin at the nearest hundredth of a second. Above 50 frames per second some are left
    out, so that each is shown as long as browsers can.
    """
    shown = _timed(images, fps)
    first = [frame for _, frame in zip(range(PALETTE_FRAMES), shown, strict=False)]
    options = {"loop": "0", "final_delay": str(max(round(TICKS_PER_S / fps), LEAST_TICKS))}
    with av.open(output_url(path), "w", format="gif", options=options) as container:
        stream = container.add_stream("gif", rate=TICKS_PER_S)
        stream.height, stream.width = size
        stream.pix_fmt = "pal8"
        stream.codec_context.time_base = Fraction(1, TICKS_PER_S)
        quantiser = _Quantiser(first, size)
        for frame in _chained(first, shown):
            for reduced in quantiser.reduce(frame):
                container.mux(stream.encode(reduced))
        for reduced in quantiser.reduce(None):
            container.mux(stream.encode(reduced))
        container.mux(stream.encode(None))
    _append_comment(path, comment)


def _timed(images: Iterable[np.ndarray], fps: Fraction) -> Iterator[av.VideoFrame]:
    last = -LEAST_TICKS
    for index, image in enumerate(images):
        ticks = round(index * TICKS_PER_S / fps)
        if ticks - last < LEAST_TICKS:
            continue
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame.pts, frame.time_base, last = ticks, Fraction(1, TICKS_PER_S), ticks
        yield frame


def _chained(first, rest):
    yield from first
    yield from rest


class _Quantiser:
    """FFmpeg's `paletteuse` with the palette that its `palettegen` finds for the first frames."""

    def __init__(self, first: list[av.VideoFrame], size: tuple[int, int]):
        palette = _palette(first, size)
        self._graph = av.filter.Graph()
        self._pictures = _source(self._graph, size, "rgb24")
        colours = _source(self._graph, (palette.height, palette.width), palette.format.name)
        # An ordered pattern stays where it is from frame to frame, and packs well.
        use = self._graph.add("paletteuse", "dither=bayer:bayer_scale=4:diff_mode=rectangle")
        self._sink = self._graph.add("buffersink")
        self._pictures.link_to(use, 0, 0)
        colours.link_to(use, 0, 1)
        use.link_to(self._sink)
        self._graph.configure()
        palette.pts, palette.time_base = 0, Fraction(1, TICKS_PER_S)
        colours.push(palette)
        colours.push(None)

    def reduce(self, frame: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        """Takes a frame, `None` at the end, and gives those that are ready."""
        self._pictures.push(frame)
        yield from _pulled(self._sink)


def _palette(frames: list[av.VideoFrame], size: tuple[int, int]) -> av.VideoFrame:
    graph = av.filter.Graph()
    source = _source(graph, size, "rgb24")
    generate, sink = graph.add("palettegen", "stats_mode=full"), graph.add("buffersink")
    source.link_to(generate)
    generate.link_to(sink)
    graph.configure()
    for frame in (*frames, None):
        source.push(frame)
    return next(_pulled(sink))


def _source(graph: av.filter.Graph, size: tuple[int, int], pixels: str):
    return graph.add_buffer(
        width=size[1], height=size[0], format=pixels, time_base=Fraction(1, TICKS_PER_S)
    )


def _pulled(sink) -> Iterator[av.VideoFrame]:
    while True:
        try:
            yield sink.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return


def _append_comment(path: Path, comment: str) -> None:
    """Puts a comment extension before the trailer: FFmpeg writes none."""
    data = comment.encode("ascii", "replace")
    assert len(data) < 256
    with path.open("r+b") as file:
        file.seek(-1, 2)
        assert file.read(1) == b";"
        file.seek(-1, 2)
        file.write(b"\x21\xfe" + bytes([len(data)]) + data + b"\x00;")
