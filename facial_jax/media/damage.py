"""Which part of a file could not be read, and the text of the warning."""

import math
from dataclasses import dataclass, field

_PLACES_SAID = 3
_APART_S = 0.5


@dataclass
class Damage:
    """Packets that could not be decoded, collected while a stream is read."""

    lost: int = 0
    # how many packets
    decoded: int = 0
    # how many of the others
    lost_s: float = 0.0
    # how long they would have lasted, in seconds
    end_s: float = -math.inf
    # when the last of them would have ended, in seconds on the file's clock
    places: list[list[float]] = field(default_factory=list)
    # [from, to] in seconds on the file's clock: where the first few were

    def lose(self, time_s: float, duration_s: float) -> None:
        """Notes a packet that could not be decoded."""
        self.lost += 1
        self.lost_s += duration_s
        self.end_s = max(self.end_s, time_s + duration_s)
        if self.places and abs(time_s - self.places[-1][1]) <= _APART_S:
            self.places[-1][1] = max(self.places[-1][1], time_s + duration_s)
        elif len(self.places) <= _PLACES_SAID:
            self.places.append([time_s, time_s + duration_s])

    def lose_unless_known(self, time_s: float, duration_s: float) -> None:
        """Notes a hole, which a packet that was noted may have left."""
        if self.end_s < time_s + duration_s - _APART_S / 2:
            self.lose(time_s, duration_s)

    def text(self, *, start_s: float = 0.0) -> str:
        """How much, and where: "2 of 74 packets (0.05 s, at 1.02–1.07 s)".

        Args:
            start_s: what the places are counted from, on the file's clock.
        """
        places = [f"{a - start_s:.2f}–{b - start_s:.2f} s" for a, b in self.places]
        places[_PLACES_SAID:] = ["…"] if len(places) > _PLACES_SAID else []
        count = self.lost + self.decoded
        return f"{self.lost} of {count} packets ({self.lost_s:.2f} s, at {', '.join(places)})"
