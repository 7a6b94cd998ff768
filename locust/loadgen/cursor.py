"""Which arrival a worker sends next: those of its shares in order, none past its lease and none twice."""

from collections.abc import Sequence

from contract.schedule import Schedule
from loadgen.leases import Share

AHEAD = 64  # planned times worked out in one go: cheaper than one by one between two sleeps


class Cursor:
    """The next arrival of a worker's shares, in order."""

    def __init__(self, schedule: Schedule) -> None:
        self.next: tuple[int, float] | None = None  # (arrival, planned time), if the lease covers it
        self._schedule = schedule
        self._share: Share | None = None
        self._later: list[Share] = []
        self._at = 0  # the next arrival of the current share, covered or not
        self._ahead: list[tuple[int, float]] = []  # those after it, last first

    def take(self, orders: Sequence[Share]) -> None:
        """Take the shares that may be sent now. The share of an epoch that is not among them has ended."""
        self._ahead.clear()
        shares = {share.epoch: share for share in orders}
        current = self._share
        if current is not None:  # the same share, with a longer lease
            self._share = shares.get(current.epoch, current._replace(final=True))
        self._later = sorted(share for share in shares.values() if current is None or share.epoch > current.epoch)
        if self.next is None:
            self._plan(self._at)

    def advance(self) -> None:
        """Go past the next arrival."""
        share = self._share
        if share is None:
            return
        ahead = self._ahead
        if not ahead:
            at = self._at + share.step
            until = min(share.until, at + AHEAD * share.step)
            if at >= until:
                self._plan(at)
                return
            ahead.extend(self._schedule.times(at, until, share.step))
            ahead.reverse()
        self.next = ahead.pop()
        self._at = self.next[0]

    def _plan(self, at: int) -> None:
        """Plan `at`, if the lease covers it; after the end of a share, the first arrival of the next share."""
        while True:
            share = self._share
            if share is not None:
                self._at = at
                if at < share.until:
                    self.next = at, self._schedule.planned_s(at)
                    return
                if not share.final:
                    self.next = None  # wait for the lease to be renewed
                    return
            if not self._later:
                self.next = None
                return
            self._share = self._later.pop(0)
            at = self._share.first
