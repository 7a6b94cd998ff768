"""The picture of a run for `/arrivals/live`: totals, the last ten seconds, each phase."""

from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

from contract.histograms import OVER_ALL_OFFERED, Latencies
from loadgen.books import Books, PlannedSecond

RECENT_S = 10
EVERY_S = 0.5  # how long a picture is shown before another one is made
COUNTS = ("offered", "sent", "ok", "failed", "missed", "unknown", "late")


class LivePicture:
    """Shows the books of a run while it goes."""

    def __init__(self, run_dir: str, started_at_unix_s: float, time_limit_s: float, books: Books) -> None:
        self._run: dict[str, Any] = {"run_dir": run_dir, "started_at_unix_s": started_at_unix_s}
        self._time_limit_us = int(time_limit_s * 1e6)
        self._books = books
        self._closed: deque[PlannedSecond] = deque(maxlen=RECENT_S + 2)
        self._shown: dict[str, Any] = {}
        self._made_at_s = float("-inf")

    def second_closed(self, second: PlannedSecond) -> None:
        """A second that the books no longer keep open."""
        self._closed.append(second)

    def show(self, t_s: float, state: str) -> dict[str, Any]:
        """The picture, made anew at most twice a second."""
        if t_s - self._made_at_s >= EVERY_S:
            self._made_at_s = t_s
            self._shown = self.make(t_s, state)
        return self._shown

    def make(self, t_s: float, state: str) -> dict[str, Any]:
        """A new picture."""
        books, schedule = self._books, self._books.schedule
        return {
            "state": state,
            **self._run,
            "t_s": round(t_s, 3),
            "duration_s": schedule.duration_s,
            "phase": schedule.phase_at(max(0.0, t_s)).name,
            "workers": len(books.leases.workers),
            "totals": self._totals(t_s),
            "last_10s": self._recent(t_s),
            "phases": [self._phase(index) for index in range(len(schedule.phases))],
        }

    def _totals(self, t_s: float) -> dict[str, int | None]:
        leases = self._books.leases
        totals = Counter(self._books.totals)
        for second in self._books.open.values():
            totals.update({name: getattr(second.counts, name) for name in (*COUNTS, "cold", "said_cold")})
        totals["offered"] = leases.end if t_s >= leases.end_s else leases.offered_before(t_s)
        return {**{name: totals[name] for name in COUNTS}, "cold": totals["cold"] if totals["said_cold"] else None}

    def _recent(self, t_s: float) -> dict[str, Any]:
        leases = self._books.leases
        until_s = max(0, min(int(t_s), int(leases.end_s) + 1))
        first_s = max(0, until_s - RECENT_S)
        counts: Counter[str] = Counter()
        latencies = {series: Latencies() for series in self._books.series}
        for second in (*self._closed, *self._books.open.values()):
            if first_s <= second.counts.t_s < until_s:
                counts.update(ok=second.counts.ok, failed=second.counts.failed, missed=second.counts.missed)
                for series, merged in latencies.items():
                    merged.add(second.latencies[series])
        span_s = max(1, until_s - first_s)
        return {
            "offered_per_s": (leases.offered_before(until_s) - leases.offered_before(first_s)) / span_s,
            "ok_per_s": counts["ok"] / span_s,
            "failed_per_s": counts["failed"] / span_s,
            "series": self._summaries(latencies, counts["failed"] + counts["missed"]),
        }

    def _phase(self, index: int) -> dict[str, Any]:
        phase, counts = self._books.schedule.phases[index], self._books.phase_counts[index]
        return {
            "name": phase.name,
            "start_s": phase.start_s,
            "duration_s": phase.duration_s,
            **{name: counts[name] for name in COUNTS},
            "series": self._summaries(self._books.phase_latencies[index], counts["offered"] - counts["ok"]),
        }

    def _summaries(self, latencies: Mapping[str, Latencies], without_reply: int) -> dict[str, Any]:
        return {
            series: latencies[series].summary_ms(
                others=without_reply if series in OVER_ALL_OFFERED else 0, time_limit_us=self._time_limit_us
            )
            for series in self._books.series
        }
