"""Packets of a file, with time stamps on one clock that runs on."""

from collections.abc import Iterator

import av
from av.format import Flags
from av.stream import Discard, Stream

from facial_jax.media.container import READ_ERRORS

# FFmpeg's own limits for formats whose clock may begin anew in the middle of a file, as when
# recordings were put one behind the other, or a broadcast was interrupted.
STEP_BACK_S = 0.1
STEP_AHEAD_S = 10.0
# In any format: a longer hole is an error of the clock, not a part of the recording.
LONGEST_HOLE_S = 3600
_FAILURES_IN_A_ROW = 16


class Clock:
    """Shifts the time stamps of what follows a step in them, for all streams alike.

    Args:
        steps: whether the format's clock may begin anew.
    """

    def __init__(self, *, steps: bool):
        self._steps = steps
        self._last: dict[int, float] = {}  # of each stream, decoding time of its last packet
        self._ends: dict[int, float] = {}  # and when that ends
        self._shifts = [0.0]

    def correct(self, packet: av.Packet, index: int) -> None:
        """Sets the stamps of a packet of stream `index`; packets come in the order of the file."""
        if packet.dts is None or not packet.time_base:
            self._shift(packet, self._shifts[-1])
            return
        tick = float(packet.time_base)
        time_s = packet.dts * tick
        if packet.pts is not None and abs(packet.pts - packet.dts) * tick > LONGEST_HOLE_S:
            packet.pts = packet.dts
        # Packets of one stream may still be those before the step, when the other's are after it.
        end = self._ends.get(index, max(self._ends.values(), default=0.0))
        known = [s for s in self._shifts[-2:] if self._goes_on(index, time_s + s)]
        if known:
            shift = min(known, key=lambda s: abs(time_s + s - end))
        else:
            shift = end - time_s
            self._shifts.append(shift)
        self._last[index] = time_s + shift
        self._ends[index] = time_s + shift + min((packet.duration or 0) * tick, STEP_AHEAD_S)
        self._shift(packet, shift)

    def _goes_on(self, index: int, time_s: float) -> bool:
        if not self._ends:
            return True
        latest = max(self._ends.values())
        if time_s > latest + (STEP_AHEAD_S if self._steps else LONGEST_HOLE_S):
            return False
        return not (self._steps and time_s < self._last.get(index, -float("inf")) - STEP_BACK_S)

    def _shift(self, packet: av.Packet, shift: float) -> None:
        if not shift or not packet.time_base:
            return
        ticks = round(shift / float(packet.time_base))
        if packet.pts is not None:
            packet.pts += ticks
        if packet.dts is not None:
            packet.dts += ticks


def read_packets(
    container: av.container.InputContainer, wanted: Stream, *others: Stream | None
) -> Iterator[av.Packet]:
    """The packets of a stream in the file's order, on the clock that it shares with the others.

    Goes on after what cannot be read, as far as the file allows.
    """
    steps = bool(container.format.flags & Flags.ts_discont.value)
    clock = Clock(steps=steps)
    # If the clock never begins anew, the other streams need not be read.
    read = {s.index for s in (wanted, *others) if s is not None} if steps else {wanted.index}
    for stream in container.streams:
        stream.discard = Discard.default if stream.index in read else Discard.all
    failures = 0
    while failures < _FAILURES_IN_A_ROW:
        try:
            for packet in container.demux([container.streams[i] for i in sorted(read)]):
                if not packet.size:
                    continue
                failures = 0
                clock.correct(packet, packet.stream_index)
                if packet.stream_index == wanted.index:
                    yield packet
            return
        except IndexError:  # PyAV's, at the end of a file in which streams have appeared
            return
        except READ_ERRORS:
            failures += 1
