"""Who sends which arrival: epochs, shares and leases. Pure arithmetic; the caller brings the time.

An epoch is a range of arrivals [first, until) shared by n workers: arrival k belongs to share k mod n, and each worker
has one share. A lease lets a worker send the arrivals of its share below a number, `leased`. This number runs a little
ahead of the clock and grows only while the master hears the worker. When a worker joins, leaves or is lost, a new epoch
begins at the highest number leased to anybody. So no arrival is sent under two epochs, whatever the clocks and messages
do. A lost worker's arrivals: leased but not reported = unknown; not yet leased = missed.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from contract.schedule import Schedule

HORIZON_S = 1.5  # a lease: how far ahead of the clock a worker may send
LOST_AFTER_S = 4.0  # silence after which a worker is lost; longer than the lease


class Share(NamedTuple):
    """What a worker may send of an epoch: arrivals first, first + step, ... below `until`; `final`: no longer grows."""

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
    workers: list[str]
    until: int | None = None
    leased: dict[str, int] = field(default_factory=dict[str, int])

    def share_first(self, worker: str) -> int:
        """The first arrival of a worker's share."""
        n = len(self.workers)
        return self.first + (self.workers.index(worker) - self.first) % n

    def count(self, worker: str, low: int, high: int) -> int:
        """How many of the worker's arrivals are in [low, high)."""
        n, place = len(self.workers), self.workers.index(worker)
        low = max(low, self.first)
        high = high if self.until is None else min(high, self.until)
        if high <= low:
            return 0
        return (high - 1 - place) // n - (low - 1 - place) // n


class Leases:
    """The master's view: workers, epochs, leases."""

    def __init__(self, schedule: Schedule, *, horizon_s: float = HORIZON_S, lost_after_s: float = LOST_AFTER_S) -> None:
        if not horizon_s < lost_after_s:
            raise ValueError(
                f"a lease ({horizon_s} s) must be shorter than the time to declare a worker lost ({lost_after_s} s)"
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
    def workers(self) -> list[str]:
        """Those who share the current epoch."""
        return self.epochs[-1].workers

    @property
    def end_s(self) -> float:
        """When the last arrival is planned to be over."""
        if self.end >= self.schedule.total:
            return self.schedule.duration_s
        return self.schedule.planned_s(self.end - 1) if self.end else 0.0

    @property
    def seconds(self) -> int:
        """How many planned seconds the load has, the last one perhaps not a whole one."""
        if self.end >= self.schedule.total:
            return math.ceil(self.schedule.duration_s)
        return int(self.end_s) + 1 if self.end else 0

    def offered_before(self, t_s: float) -> int:
        """How many arrivals are planned before t, no further than the load goes."""
        return min(self.schedule.count_before(t_s), self.end)

    def join(self, worker: str, t_s: float) -> None:
        """A new worker; it shares from the next epoch on."""
        self.heard[worker] = t_s
        self._reform([*self.workers, worker], t_s)

    def leave(self, worker: str, t_s: float) -> None:
        """A worker that goes in good order: it still sends what was leased to it."""
        if worker in self.workers:
            self._reform([other for other in self.workers if other != worker], t_s)

    def expire(self, t_s: float) -> list[str]:
        """Declare lost who was not heard for too long; returns them."""
        overdue = t_s - self.lost_after_s
        silent = [worker for worker, heard in self.heard.items() if heard < overdue and self._owes(worker)]
        self.lost.update(silent)
        if gone := [worker for worker in silent if worker in self.workers]:
            self._reform([worker for worker in self.workers if worker not in gone], t_s)
        return silent

    def renew(self, worker: str, t_s: float) -> list[Share]:
        """A worker was heard: extend its lease, and say what it may send."""
        if worker in self.lost:
            return []
        self.heard[worker] = t_s
        shares: list[Share] = []
        for epoch in self.epochs:
            if worker not in epoch.workers:
                continue
            if epoch.until is not None:
                epoch.leased[worker] = epoch.until
            else:
                horizon = self.offered_before(t_s + self.horizon_s)
                epoch.leased[worker] = max(epoch.leased.get(worker, epoch.first), horizon)
            final = epoch.until is not None or epoch.leased[worker] >= self.end
            first, step = epoch.share_first(worker), len(epoch.workers)
            shares.append(Share(epoch.number, first, epoch.leased[worker], step, final))
        return shares

    def stop(self, t_s: float) -> int:
        """End the load where the leases end, so that none is cut short; returns the first arrival not to be sent."""
        current = self.epochs[-1]
        reached = [*current.leased.values()] if current.workers else [self.schedule.count_before(t_s)]
        self.end = min(self.end, max([current.first, *reached]))
        return self.end

    def assigned(self, worker: str, low: int, high: int) -> int:
        """How many arrivals of [low, high) are the worker's to report."""
        total = 0
        for epoch in self.epochs:
            if worker in epoch.workers:
                total += epoch.count(worker, low, min(high, self._limit(epoch, worker)))
        return total

    def unassigned(self, low: int, high: int) -> tuple[int, int]:
        """How many of [low, high) were not yet leased to their lost worker, and how many had no worker at all."""
        lost = nobody = 0
        for epoch in self.epochs:
            if not epoch.workers:
                until = self.end if epoch.until is None else min(epoch.until, self.end)
                nobody += max(0, min(high, until) - max(low, epoch.first))
            for worker in epoch.workers:
                if worker in self.lost:
                    lost += epoch.count(worker, max(low, self._limit(epoch, worker)), min(high, self.end))
        return lost, nobody

    def owner(self, k: int) -> tuple[str | None, bool]:
        """Who was to send an arrival (None: nobody), and whether its lease ever covered it."""
        for epoch in self.epochs:
            if k >= epoch.first and (epoch.until is None or k < epoch.until):
                if not epoch.workers:
                    return None, False
                worker = epoch.workers[k % len(epoch.workers)]
                return worker, k < self._limit(epoch, worker)
        return None, False

    def forget(self, below: int) -> None:
        """Drop epochs that ended before an arrival whose second is closed."""
        while len(self.epochs) > 1 and (until := self.epochs[0].until) is not None and until <= below:
            self.epochs.pop(0)

    def _limit(self, epoch: Epoch, worker: str) -> int:
        if worker in self.lost:
            return min(epoch.leased.get(worker, epoch.first), self.end)
        return self.end

    def _owes(self, worker: str) -> bool:
        away = worker in self.lost or worker in self.gone
        return not away and any(worker in epoch.workers for epoch in self.epochs)

    def _reform(self, workers: list[str], t_s: float) -> None:
        current = self.epochs[-1]
        if current.workers:
            boundary = max([current.first, *current.leased.values()])
        else:  # nobody was sending: go on from now
            boundary = max(current.first, self.offered_before(t_s))
        if boundary == current.first:  # nothing of the current epoch was leased
            self.epochs.pop()
        current.until = boundary
        self.epochs.append(Epoch(current.number + 1, boundary, workers))
