"""What a run writes into its folder as it goes: closed seconds, events, and the single arrivals around events."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from contract import runfolder
from contract.runfolder import RunFolder
from contract.schedule import Schedule
from loadgen.books import Books, PlannedSecond
from loadgen.runspec import RunSpec
from loadgen.windows import Windows


class RunWriter:
    """Writes one run's folder."""

    def __init__(self, run_dir: Path, run: Mapping[str, object], books: Books) -> None:
        self._folder = RunFolder.create(run_dir, run)
        self._books = books
        self._windows = Windows()
        self._kept: dict[int, PlannedSecond] = {}  # closed seconds; an event may still ask for their single arrivals

    @property
    def path(self) -> Path:
        """The run folder."""
        return self._folder.path

    def event(self, t_s: float, event: str, **fields: object) -> None:
        """An event; around some of them single arrivals are kept."""
        self._windows.event(t_s, event)
        self._folder.event(t_s, event, **fields)

    def warmed(self, t_s: float, warmed: Mapping[str, object]) -> None:
        """What was warmed before second 0."""
        runfolder.update_run(self.path, {"warmed": warmed})
        self.event(t_s, "environments.warmed", **warmed)

    def failures(self, details: Iterable[tuple[float, str, str]]) -> None:
        """Examples of failed arrivals: (planned second, cause, detail)."""
        for t_s, cause, detail in details:
            self._folder.append_failure(t_s, cause, detail)

    def sessions(self, sessions: bytes) -> None:
        """Sessions that the application acknowledged, 16 bytes each."""
        self._folder.append_sessions(sessions)

    def second(self, second: PlannedSecond) -> None:
        """A second that was closed."""
        self._folder.append_second(second.counts)
        for series, latencies in second.latencies.items():
            self._folder.append_latency(second.counts.t_s, series, latencies)
        self._kept[second.counts.t_s] = second

    def flush(self, t_s: float) -> None:
        """Write the single arrivals around events, drop those too old for any event, and flush the files."""
        for second_s in self._windows.to_write(self._kept):
            self._folder.append_arrivals(self._books.arrivals(self._kept.pop(second_s)))
        for second_s in self._windows.to_drop(self._kept, t_s):
            del self._kept[second_s]
        self._folder.flush()

    def close(self, changes: Mapping[str, object]) -> None:
        """Write the last keys of run.json and close the files."""
        self._folder.close(changes)


def run_json(
    spec: RunSpec, schedule: Schedule, started_at_unix_s: float, facts: Mapping[str, object]
) -> dict[str, object]:
    """run.json at the start of a run; `facts` are the keys that only the caller knows."""
    profile = spec.profile
    return {
        "where": "generator",
        **facts,
        "started_at": runfolder.iso_utc(started_at_unix_s),
        "started_at_unix_s": started_at_unix_s,
        "ended": "running",
        "duration_s": schedule.duration_s,
        "time_limit_s": spec.time_limit_s,
        "late_threshold_ms": spec.late_threshold_ms,
        "max_in_flight": spec.max_in_flight,
        "host": spec.host,
        "connection": spec.connection,
        "timings": list(spec.timings),
        "scenarios": runfolder.SCENARIOS,
        "profile": {
            "name": profile.name,
            "text": profile.text,
            "arrivals": profile.arrivals,
            "seed": profile.seed,
            "phases": [
                {
                    "name": phase.name,
                    "start_s": phase.start_s,
                    "duration_s": phase.duration_s,
                    "rate_from": phase.rate_from,
                    "rate_to": phase.rate_to,
                    "arrivals": phase.arrivals,
                }
                for phase in schedule.phases
            ],
        },
        "scale": float(profile.scale),
        "compress": float(profile.compress),
        "machine": runfolder.machine(),
    }
