"""The master's books: rows from the workers in, closed seconds out. offered = ok + failed + missed + unknown, always.

A planned second is closed when every living worker has reported all of its arrivals in it (counted, not timed: each
arrival gives exactly one row), and what lost workers owe is known.
"""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from contract.histograms import SERIES, Latencies
from contract.runfolder import Arrival, Second
from contract.schedule import Schedule
from loadgen import outcomes
from loadgen.leases import Leases
from loadgen.outcomes import NO_SESSION, ROW


@dataclass
class Batch:
    """What one report added, for whoever shows it live: microseconds by series, counts of causes."""

    ok: int = 0
    values_us: dict[str, list[int]] = field(default_factory=lambda: {series: [] for series in SERIES})
    failed: Counter[str] = field(default_factory=Counter[str])
    missed: Counter[str] = field(default_factory=Counter[str])
    sessions: bytes = b""


class PlannedSecond:
    """What is known of the arrivals planned in one second, while it fills and after it is closed."""

    def __init__(self, t_s: int, phase: int) -> None:
        self.counts = Second(t_s, phase)
        self.latencies = {series: Latencies() for series in SERIES}
        self.resolved: Counter[str] = Counter()  # rows by worker
        self.rows = bytearray()
        self.absent: list[Arrival] = []  # arrivals without a row, known once the second is closed


class _Entry:
    """What one report says of one second, collected in lists: histograms take a list faster than single values."""

    def __init__(self, second: PlannedSecond, late_s: float) -> None:
        self.second = second
        self.late_s = late_s
        self.rows: list[bytes] = []
        self.values_us: dict[str, list[int]] = {series: [] for series in SERIES}
        self.causes: Counter[int] = Counter()

    def take(self, row: tuple[Any, ...]) -> None:
        """One row."""
        _, planned, sent, done, outcome, connection, write, read, redirects, retries, _ = row
        values = self.values_us
        if sent == sent:  # not nan  # noqa: PLR0124
            values["lag"].append(int((sent - planned) * 1e6))
            if sent - planned > self.late_s:
                self.second.counts.late += 1
        if outcome != outcomes.OK:
            self.causes[outcome] += 1
            return
        values["response"].append(int((done - planned) * 1e6))
        values["service"].append(int((done - sent) * 1e6))
        if connection >= 0:
            values["connection"].append(connection)
        if write >= 0:
            values["write"].append(write)
        if read >= 0:
            values["read"].append(read)
        if redirects or retries:
            self.second.counts.redirects += redirects
            self.second.counts.retries += retries

    def finish(self, worker: str, batch: Batch) -> None:
        """Into the second, and into the batch."""
        second, counts = self.second, self.second.counts
        second.resolved[worker] += len(self.rows)
        second.rows += b"".join(self.rows)
        counts.ok += len(self.values_us["response"])
        for outcome, count in self.causes.items():
            name = outcomes.name(outcome)
            counts.causes[name] = counts.causes.get(name, 0) + count
            if outcomes.is_missed(outcome):
                counts.missed += count
                batch.missed[name] += count
            else:
                counts.failed += count
                batch.failed[name] += count
        for series, values in self.values_us.items():
            if values:
                second.latencies[series].record(values)
                batch.values_us[series] += values


class Books:
    """Counts and latencies by planned second, and their sums by phase."""

    def __init__(self, schedule: Schedule, leases: Leases, *, late_threshold_ms: float) -> None:
        self.schedule = schedule
        self.leases = leases
        self.late_threshold_s = late_threshold_ms / 1000
        self.open: dict[int, PlannedSecond] = {}
        self.next_s = 0  # the first second that is not closed
        self.totals: Counter[str] = Counter()
        self.above_range: Counter[str] = Counter()
        self.phase_latencies = [{series: Latencies() for series in SERIES} for _ in schedule.phases]
        self.phase_counts: list[Counter[str]] = [Counter() for _ in schedule.phases]
        self.inconsistent = 0  # arrivals reported twice or not owned: must stay 0
        self._phase_of: dict[int, int] = {}

    def phase_of(self, t_s: int) -> int:
        """The phase that a planned second is counted under: the one it starts in."""
        if t_s not in self._phase_of:
            self._phase_of[t_s] = self.schedule.phase_at(t_s).index
        return self._phase_of[t_s]

    def second(self, t_s: int) -> PlannedSecond:
        """The open second, made when first asked for."""
        second = self.open.get(t_s)
        if second is None:
            second = self.open[t_s] = PlannedSecond(t_s, self.phase_of(t_s))
        return second

    def add(self, worker: str, data: bytes) -> Batch:
        """Enter a worker's rows."""
        batch = Batch()
        entries: dict[int, _Entry] = {}
        sessions: list[bytes] = []
        size = ROW.size
        for number, row in enumerate(ROW.iter_unpack(data)):
            t_s = int(row[1])
            entry = entries.get(t_s)
            if entry is None:
                if t_s < self.next_s:
                    self.inconsistent += 1
                    continue
                entry = entries[t_s] = _Entry(self.second(t_s), self.late_threshold_s)
            entry.rows.append(data[number * size : (number + 1) * size])
            entry.take(row)
            if row[-1] != NO_SESSION:
                sessions.append(row[-1])
        for entry in entries.values():
            entry.finish(worker, batch)
        batch.ok = len(batch.values_us["response"])
        batch.sessions = b"".join(sessions)
        return batch

    def range_of(self, t_s: int) -> tuple[int, int]:
        """The arrivals planned in a second: [low, high), no further than the load goes."""
        return self.leases.offered_before(t_s), self.leases.offered_before(t_s + 1)

    def reported(self, worker: str, t_s: int) -> bool:
        """Whether a worker has reported all of its arrivals of a second."""
        second = self.open.get(t_s)
        count = 0 if second is None else second.resolved[worker]
        return self.leases.assigned(worker, *self.range_of(t_s)) == count

    def settled(self, t_s: int) -> bool:
        """Whether every arrival of the second has its outcome, or never will."""
        low, high = self.range_of(t_s)
        workers: set[str] = set()
        for epoch in self.leases.epochs:
            if epoch.first < high and (epoch.until is None or epoch.until > low):
                workers.update(epoch.workers)
        return all(self.reported(worker, t_s) for worker in workers - self.leases.lost)

    def close(self) -> PlannedSecond:
        """Close the next second and return it; arrivals that nobody reported become missed or unknown."""
        t_s = self.next_s
        second = self.second(t_s)
        counts = second.counts
        low, high = self.range_of(t_s)
        lost, nobody = self.leases.unassigned(low, high)
        for count, outcome in ((lost, outcomes.WORKER_LOST), (nobody, outcomes.NO_WORKER)):
            if count:
                counts.missed += count
                counts.causes[outcomes.NAMES[outcome]] = count
        rest = high - low - counts.offered
        if rest < 0:  # more rows than arrivals: a defect, and it must not hide behind a negative number
            self.inconsistent += -rest
        counts.unknown = max(0, rest)
        del self.open[t_s]
        self.next_s = t_s + 1
        sums = Counter(
            offered=counts.offered, sent=counts.sent, ok=counts.ok, failed=counts.failed, missed=counts.missed,
            unknown=counts.unknown, late=counts.late, redirects=counts.redirects, retries=counts.retries,
        )  # fmt: skip
        self.totals.update(sums)
        self.phase_counts[counts.phase].update(sums)
        for series, latencies in second.latencies.items():
            self.phase_latencies[counts.phase][series].add(latencies)
            self.above_range[series] += latencies.above_range
        # Now, not when they are written: the epochs that tell whose they were are forgotten with the second.
        second.absent = self._absent(second, low, high)
        self.leases.forget(low)
        return second

    def _absent(self, second: PlannedSecond, low: int, high: int) -> list[Arrival]:
        """The arrivals of a second that nobody reported: unknown if they were granted, else never sent."""
        if len(second.rows) // ROW.size >= high - low:
            return []
        reported = {row[0] for row in ROW.iter_unpack(second.rows)}
        absent: list[Arrival] = []
        for k in range(low, high):
            if k not in reported:
                worker, granted = self.leases.owner(k)
                cause = outcomes.NO_WORKER if worker is None else outcomes.WORKER_LOST
                name = outcomes.UNKNOWN if granted else outcomes.NAMES[cause]
                absent.append(Arrival(k, self.schedule.planned_s(k), None, None, name))
        return absent

    def arrivals(self, second: PlannedSecond) -> list[Arrival]:
        """A closed second's single arrivals in order, those without a row included."""
        rows = {arrival.k: arrival for arrival in second.absent}
        for row in ROW.iter_unpack(second.rows):
            k, planned, sent, done, outcome, connection, write, read, redirects, retries, _ = row
            ok = outcome == outcomes.OK
            times = planned, _known(sent), _known(done)
            figures = _figure(connection), _figure(write), _figure(read)
            moves = (redirects, retries) if ok else (None, None)
            rows[k] = Arrival(k, *times, outcomes.name(outcome), *figures, *moves)
        return [rows[k] for k in sorted(rows)]


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _figure(value: int) -> int | None:
    return value if value >= 0 else None
