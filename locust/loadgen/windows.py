"""Which single arrivals are kept: those around events, because a percentile per second cannot show a stall of 0.2 s.

A run of cycles keeps them all: its moves are compared with the idle time between them.
"""

import math
from collections.abc import Iterable

AROUND_S = 10.0
_KEPT_S = AROUND_S + 3.0  # how long arrivals are kept for an event that may come
_FAMILIES = ("reshard.", "slots.", "sham.", "nodes.")


def opens(event: str) -> bool:
    """Whether an event begins a window."""
    return event == "worker.lost" or (event.startswith(_FAMILIES) and event.endswith((".requested", ".started")))


def closes(event: str) -> bool:
    """Whether an event ends a window."""
    return event == "worker.lost" or (event.startswith(_FAMILIES) and event.endswith((".finished", ".failed")))


class Windows:
    """Ranges of planned seconds whose single arrivals are written."""

    def __init__(self) -> None:
        self.closed: list[tuple[int, int]] = []
        self.open_since: int | None = None
        self.everything = False

    def event(self, t_s: float, event: str) -> None:
        """Take note of an event."""
        self.everything |= event == "cycles.started"
        if opens(event) and self.open_since is None:
            self.open_since = max(0, math.floor(t_s - AROUND_S))
        if closes(event):
            until = math.ceil(t_s + AROUND_S)
            if self.open_since is not None:
                self.closed.append((self.open_since, until))
                self.open_since = None
            elif self.closed:  # another end of the same move: slots.finished, then reshard.finished
                self.closed[-1] = (self.closed[-1][0], until)

    def covers(self, second_s: int) -> bool:
        """Whether the arrivals planned in a second are wanted."""
        if self.everything or (self.open_since is not None and second_s >= self.open_since):
            return True
        return any(first <= second_s < until for first, until in self.closed)

    def to_write(self, seconds: Iterable[int]) -> list[int]:
        """Closed seconds whose arrivals can be written now, in order."""
        return sorted(second_s for second_s in seconds if self.covers(second_s))

    def to_drop(self, seconds: Iterable[int], t_s: float) -> list[int]:
        """Closed seconds that no event can want any more."""
        return [second_s for second_s in seconds if second_s + 1 < t_s - _KEPT_S]
