"""Who sends which arrival: slots, epochs and leases. Pure arithmetic; the caller brings the time.

An epoch is a range of arrivals [first, until) shared by n members: arrival k belongs to slot k mod n. A lease lets a
member send its arrivals below a number, `granted`, which runs a little ahead of the clock and moves only while the
member is heard. When a member joins, leaves or is lost, a new epoch begins at the highest number granted to anybody, so
no arrival can ever be sent under two epochs, whatever the clocks and messages do. What a lost member was granted and
did not report is unknown; what it was not granted, and nobody else could yet be given, is missed.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from contract.schedule import Schedule

HORIZON_S = 1.5  # a lease: how far ahead of the clock a member may send
LOST_AFTER_S = 4.0  # silence after which a member is lost; longer than the lease


class Piece(NamedTuple):
    """A member's part of an epoch: arrivals first, first + step, ... below `until`; `final`: it will not grow."""

    epoch: int
    first: int
    until: int
    step: int
    final: bool


@dataclass
class Epoch:
    """A range of arrivals and who shares it; `until` is None for the current one."""

    number: int
    first: int
    members: list[str]
    until: int | None = None
    granted: dict[str, int] = field(default_factory=dict[str, int])

    def slot_first(self, member: str) -> int:
        """The first arrival of a member's slot."""
        n = len(self.members)
        return self.first + (self.members.index(member) - self.first) % n

    def count(self, member: str, low: int, high: int) -> int:
        """How many of the member's arrivals are in [low, high)."""
        n, slot = len(self.members), self.members.index(member)
        low = max(low, self.first)
        high = high if self.until is None else min(high, self.until)
        if high <= low:
            return 0
        return (high - 1 - slot) // n - (low - 1 - slot) // n


class Leases:
    """The master's view: members, epochs, grants."""

    def __init__(self, schedule: Schedule, *, horizon_s: float = HORIZON_S, lost_after_s: float = LOST_AFTER_S) -> None:
        if not horizon_s < lost_after_s:
            raise ValueError(
                f"a lease ({horizon_s} s) must be shorter than the time to declare a member lost ({lost_after_s} s)"
            )
        self.schedule = schedule
        self.horizon_s = horizon_s
        self.lost_after_s = lost_after_s
        self.end = schedule.total  # the first arrival that will not be sent; lower after a stop
        self.heard: dict[str, float] = {}
        self.lost: set[str] = set()
        self.gone: set[str] = set()  # left in good order, everything reported
        self.epochs: list[Epoch] = [Epoch(0, 0, [])]

    @property
    def members(self) -> list[str]:
        """Those who share the current epoch."""
        return self.epochs[-1].members

    def join(self, member: str, t_s: float) -> None:
        """A new member; it shares from the next epoch on."""
        self.heard[member] = t_s
        self._reform([*self.members, member], t_s)

    def leave(self, member: str, t_s: float) -> None:
        """A member that goes in good order: it still sends what it was granted."""
        if member in self.members:
            self._reform([other for other in self.members if other != member], t_s)

    def expire(self, t_s: float) -> list[str]:
        """Declare lost who was not heard for too long; returns them."""
        overdue = t_s - self.lost_after_s
        silent = [member for member, heard in self.heard.items() if heard < overdue and self._owes(member)]
        self.lost.update(silent)
        if gone := [member for member in silent if member in self.members]:
            self._reform([member for member in self.members if member not in gone], t_s)
        return silent

    def renew(self, member: str, t_s: float) -> list[Piece]:
        """A member was heard: extend its lease, and say what it may send."""
        if member in self.lost:
            return []
        self.heard[member] = t_s
        pieces: list[Piece] = []
        for epoch in self.epochs:
            if member not in epoch.members:
                continue
            if epoch.until is not None:
                epoch.granted[member] = epoch.until
            else:
                horizon = min(self.schedule.count_before(t_s + self.horizon_s), self.end)
                epoch.granted[member] = max(epoch.granted.get(member, epoch.first), horizon)
            final = epoch.until is not None or epoch.granted[member] >= self.end
            first, step = epoch.slot_first(member), len(epoch.members)
            pieces.append(Piece(epoch.number, first, epoch.granted[member], step, final))
        return pieces

    def stop(self, t_s: float) -> int:
        """End the load as soon as nobody's lease is cut short; returns the first arrival that will not be sent."""
        current = self.epochs[-1]
        reached = [*current.granted.values()] if current.members else [self.schedule.count_before(t_s)]
        self.end = min(self.end, max([current.first, *reached]))
        return self.end

    def assigned(self, member: str, low: int, high: int) -> int:
        """How many arrivals of [low, high) are the member's to report."""
        total = 0
        for epoch in self.epochs:
            if member in epoch.members:
                total += epoch.count(member, low, min(high, self._limit(epoch, member)))
        return total

    def unassigned(self, low: int, high: int) -> tuple[int, int]:
        """Of [low, high): those that a lost member was never granted, and those of a time without members."""
        lost = nobody = 0
        for epoch in self.epochs:
            if not epoch.members:
                until = self.end if epoch.until is None else min(epoch.until, self.end)
                nobody += max(0, min(high, until) - max(low, epoch.first))
            for member in epoch.members:
                if member in self.lost:
                    lost += epoch.count(member, max(low, self._limit(epoch, member)), min(high, self.end))
        return lost, nobody

    def owner(self, k: int) -> tuple[str | None, bool]:
        """Who was to send an arrival (None: nobody), and whether its lease ever covered it."""
        for epoch in self.epochs:
            if k >= epoch.first and (epoch.until is None or k < epoch.until):
                if not epoch.members:
                    return None, False
                member = epoch.members[k % len(epoch.members)]
                return member, k < self._limit(epoch, member)
        return None, False

    def forget(self, below: int) -> None:
        """Drop epochs that ended before an arrival whose second is closed."""
        while len(self.epochs) > 1 and (until := self.epochs[0].until) is not None and until <= below:
            self.epochs.pop(0)

    def _limit(self, epoch: Epoch, member: str) -> int:
        if member in self.lost:
            return min(epoch.granted.get(member, epoch.first), self.end)
        return self.end

    def _owes(self, member: str) -> bool:
        away = member in self.lost or member in self.gone
        return not away and any(member in epoch.members for epoch in self.epochs)

    def _reform(self, members: list[str], t_s: float) -> None:
        current = self.epochs[-1]
        if current.members:
            boundary = max([current.first, *current.granted.values()])
        else:  # nobody was sending: go on from now
            boundary = max(current.first, min(self.schedule.count_before(max(t_s, 0.0)), self.end))
        if boundary == current.first:  # nothing of the current epoch was granted
            self.epochs.pop()
        current.until = boundary
        self.epochs.append(Epoch(current.number + 1, boundary, members))
