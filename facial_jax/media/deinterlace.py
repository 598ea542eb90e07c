"""Whole pictures from interlaced ones, by FFmpeg's filter bwdif."""

import dataclasses
from collections import deque
from fractions import Fraction

import av

from facial_jax.media.picture import Picture

_TICK = Fraction(1, 25)


class Deinterlacer:
    """Takes pictures in their order and gives them back, each half picture made whole.

    A picture that is not interlaced comes back as it was. A picture comes back when the next is
    there, which bwdif looks at.
    """

    def __init__(self):
        self._graph: av.filter.Graph | None = None
        self._stored = None  # size and format of what the graph takes
        self._waiting: deque[Picture] = deque()
        self._count = 0

    def add(self, picture: Picture) -> list[Picture]:
        """Takes a picture; those that are ready."""
        frame = picture.frame
        if self._graph is None and not frame.interlaced_frame:
            return [picture]
        ready, stored = [], (frame.width, frame.height, frame.format.name)
        if stored != self._stored:
            ready = self.end()
            self._begin(frame)
            self._stored = stored
        # The pictures keep their times; the filter only needs them to be in order.
        frame.pts, frame.time_base = self._count, _TICK
        self._count += 1
        self._waiting.append(picture)
        self._graph.vpush(frame)
        return ready + self._ready()

    def end(self) -> list[Picture]:
        """The last pictures."""
        if self._graph is None:
            return []
        self._graph.vpush(None)
        ready = self._ready()
        self._graph = self._stored = None
        return ready

    def _begin(self, frame: av.VideoFrame) -> None:
        self._graph = av.filter.Graph()
        nodes = (
            self._graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format, time_base=_TICK
            ),
            self._graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced"),
            self._graph.add("buffersink"),
        )
        self._graph.link_nodes(*nodes).configure()

    def _ready(self) -> list[Picture]:
        ready = []
        while self._waiting:
            try:
                frame = self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                break
            ready.append(dataclasses.replace(self._waiting.popleft(), frame=frame))
        return ready
