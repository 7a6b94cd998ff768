"""The master's books: rows from the workers in, closed seconds out. offered = ok + failed + missed + unknown, always.

A planned second is closed when every worker that is not lost has reported all of its arrivals in that second. This is
counted, not timed: each arrival gives exactly one row.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from contract.histograms import LATENCIES, Latencies
from contract.runfolder import Arrival, Second
from contract.schedule import Schedule
from loadgen import outcomes
from loadgen.leases import Leases
from loadgen.outcomes import NO_SESSION, Row


@dataclass
class Batch:
    """What one report added, for Locust's statistics: microseconds by series, counts of causes."""

    values_us: dict[str, list[int]]
    ok: int = 0
    failed: Counter[str] = field(default_factory=Counter[str])
    missed: Counter[str] = field(default_factory=Counter[str])
    sessions: bytes = b""


class PlannedSecond:
    """What is known of the arrivals planned in one second, while it fills and after it is closed."""

    def __init__(self, t_s: int, phase: int, series: Sequence[str]) -> None:
        self.counts = Second(t_s, phase)
        self.latencies = {name: Latencies() for name in series}
        self.resolved: Counter[str] = Counter()  # rows by worker
        self.rows = bytearray()
        self.absent: list[Arrival] = []  # arrivals without a row, known once the second is closed


class _Entry:
    """One report's rows of one second. They become columns, because histograms record a list of values fastest."""

    def __init__(self, second: PlannedSecond) -> None:
        self.second = second
        self.packed: list[bytes] = []
        self.rows: list[tuple[Any, ...]] = []

    def finish(self, worker: str, timings: Sequence[str], late_s: float, batch: Batch) -> None:
        """Count the rows in the second and in the batch."""
        second, counts = self.second, self.second.counts
        second.resolved[worker] += len(self.rows)
        second.rows += b"".join(self.packed)
        columns = list(zip(*self.rows, strict=True))
        _, planned, sent, _, causes, _, cold, *_ = columns
        counts.said_cold += len(cold) - cold.count(outcomes.NOT_SAID)
        counts.cold += cold.count(1)
        lags_s = [at - due for due, at in zip(planned, sent, strict=True) if at == at]  # not nan  # noqa: PLR0124
        if max(lags_s, default=0.0) > late_s:
            counts.late += sum(lag > late_s for lag in lags_s)
        values_us = {"lag": [int(lag * 1e6) for lag in lags_s]}
        if any(causes):
            self._count_causes(causes, batch)
            columns = list(zip(*(row for row in self.rows if row[4] == outcomes.OK), strict=True))
        if columns:
            values_us |= self._good(columns, timings)
        for series, values in values_us.items():
            second.latencies[series].record(values)
            batch.values_us[series] += values

    def _good(self, columns: Sequence[Sequence[Any]], timings: Sequence[str]) -> dict[str, list[int]]:
        """Count the good replies, their redirects and retries; returns their latencies in microseconds."""
        _, planned, sent, done, _, _, _, redirects, retries, _, *told = columns
        counts = self.second.counts
        counts.ok += len(done)
        counts.redirects += sum(redirects)
        counts.retries += sum(retries)
        values_us = {name: list(column) for name, column in zip(timings, told, strict=True)}
        for name, column in values_us.items():
            if min(column) < 0:
                values_us[name] = [value for value in column if value >= 0]
        values_us["response"] = [int((at - due) * 1e6) for due, at in zip(planned, done, strict=True)]
        values_us["service"] = [int((at - left) * 1e6) for left, at in zip(sent, done, strict=True)]
        return values_us

    def _count_causes(self, causes: Sequence[int], batch: Batch) -> None:
        counts = self.second.counts
        for outcome, count in Counter(causes).items():
            if outcome == outcomes.OK:
                continue
            name = outcomes.name(outcome)
            counts.causes[name] = counts.causes.get(name, 0) + count
            if outcomes.is_missed(outcome):
                counts.missed += count
                batch.missed[name] += count
            else:
                counts.failed += count
                batch.failed[name] += count


class Books:
    """Counts and latencies by planned second, and their sums by phase."""

    def __init__(self, schedule: Schedule, leases: Leases, timings: Sequence[str], *, late_threshold_ms: float) -> None:
        self.schedule = schedule
        self.leases = leases
        self.timings = tuple(timings)
        self.series = (*LATENCIES, *timings)
        self.late_threshold_s = late_threshold_ms / 1000
        self.open: dict[int, PlannedSecond] = {}
        self.next_s = 0  # the first second that is not closed
        self.totals: Counter[str] = Counter()
        self.above_range: Counter[str] = Counter()
        self.phase_latencies = [{series: Latencies() for series in self.series} for _ in schedule.phases]
        self.phase_counts: list[Counter[str]] = [Counter() for _ in schedule.phases]
        self.inconsistent = 0  # arrivals reported twice or not owned: must stay 0
        self._row = outcomes.row_struct(len(self.timings))
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
            second = self.open[t_s] = PlannedSecond(t_s, self.phase_of(t_s), self.series)
        return second

    def add(self, worker: str, data: bytes) -> Batch:
        """Enter a worker's rows."""
        batch = Batch({series: [] for series in self.series})
        entries: dict[int, _Entry] = {}
        sessions: list[bytes] = []
        size = self._row.size
        for number, row in enumerate(self._row.iter_unpack(data)):
            t_s = int(row[1])
            entry = entries.get(t_s)
            if entry is None:
                if t_s < self.next_s:
                    self.inconsistent += 1
                    continue
                entry = entries[t_s] = _Entry(self.second(t_s))
            entry.packed.append(data[number * size : (number + 1) * size])
            entry.rows.append(row)
            if row[9] != NO_SESSION:
                sessions.append(row[9])
        for entry in entries.values():
            entry.finish(worker, self.timings, self.late_threshold_s, batch)
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
        """Whether every worker that is not lost has reported all of its arrivals of the second."""
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
            cold=counts.cold, said_cold=counts.said_cold,
        )  # fmt: skip
        self.totals.update(sums)
        self.phase_counts[counts.phase].update(sums)
        for series, latencies in second.latencies.items():
            self.phase_latencies[counts.phase][series].add(latencies)
            self.above_range[series] += latencies.above_range
        # Looked up now, because `forget` drops the epochs that tell whose arrivals they were.
        second.absent = self._absent(second, low, high)
        self.leases.forget(low)
        return second

    def _absent(self, second: PlannedSecond, low: int, high: int) -> list[Arrival]:
        """The arrivals of a second that nobody reported: unknown if they were leased, else never sent."""
        if len(second.rows) // self._row.size >= high - low:
            return []
        reported = {row[0] for row in self._row.iter_unpack(second.rows)}
        absent: list[Arrival] = []
        for k in range(low, high):
            if k not in reported:
                worker, leased = self.leases.owner(k)
                cause = outcomes.NO_WORKER if worker is None else outcomes.WORKER_LOST
                name = outcomes.UNKNOWN if leased else outcomes.NAMES[cause]
                absent.append(Arrival(k, self.schedule.planned_s(k), None, None, name))
        return absent

    def arrivals(self, second: PlannedSecond) -> list[Arrival]:
        """A closed second's single arrivals in order, those without a row included."""
        rows = {arrival.k: arrival for arrival in second.absent}
        for fields in self._row.iter_unpack(second.rows):
            row = Row.of(fields)
            ok = row.outcome == outcomes.OK
            rows[row.k] = Arrival(
                row.k,
                row.planned_s,
                _known(row.sent_s),
                _known(row.done_s),
                outcomes.name(row.outcome),
                row.scenario,
                None if row.cold == outcomes.NOT_SAID else bool(row.cold),
                row.redirects if ok else None,
                row.retries if ok else None,
                [value if value >= 0 else None for value in row.timings_us],
            )
        return [rows[k] for k in sorted(rows)]


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
