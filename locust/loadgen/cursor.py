"""Which arrival a worker sends next: walks the pieces that its lease covers, never past it, never one twice."""

from collections.abc import Sequence

from contract.schedule import Schedule
from loadgen.leases import Piece

AHEAD = 64  # planned times worked out in one go: cheaper than one by one between two sleeps


class Cursor:
    """The next arrival of a worker's pieces, in order."""

    def __init__(self, schedule: Schedule) -> None:
        self.next: tuple[int, float] | None = None  # (arrival, planned time), if the lease covers it
        self._schedule = schedule
        self._piece: Piece | None = None
        self._later: list[Piece] = []
        self._at = 0  # the next arrival of the current piece, covered or not
        self._ahead: list[tuple[int, float]] = []  # those after it, last first

    def take(self, orders: Sequence[Piece]) -> None:
        """All that may be sent now. An epoch that is not among the orders any more is over."""
        self._ahead.clear()
        pieces = {piece.epoch: piece for piece in orders}
        current = self._piece
        if current is not None:  # the same slot, with a longer lease
            self._piece = pieces.get(current.epoch, current._replace(final=True))
        self._later = sorted(piece for piece in pieces.values() if current is None or piece.epoch > current.epoch)
        if self.next is None:
            self._plan(self._at)

    def advance(self) -> None:
        """Past the next arrival."""
        piece = self._piece
        if piece is None:
            return
        ahead = self._ahead
        if not ahead:
            at = self._at + piece.step
            until = min(piece.until, at + AHEAD * piece.step)
            if at >= until:
                self._plan(at)
                return
            ahead.extend(self._schedule.times(at, until, piece.step))
            ahead.reverse()
        self.next = ahead.pop()
        self._at = self.next[0]

    def _plan(self, at: int) -> None:
        """`at` in the current piece if its lease covers it, else the first of the next piece."""
        while True:
            piece = self._piece
            if piece is not None:
                self._at = at
                if at < piece.until:
                    self.next = at, self._schedule.planned_s(at)
                    return
                if not piece.final:
                    self.next = None  # wait for the lease to be renewed
                    return
            if not self._later:
                self.next = None
                return
            self._piece = self._later.pop(0)
            at = self._piece.first
