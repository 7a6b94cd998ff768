"""The workers of one run as the master sees them: their names, leases, clocks and CPU."""

from dataclasses import dataclass

from loadgen.books import Books
from loadgen.leases import Share
from loadgen.messages import Report


@dataclass
class Worker:
    """One worker of a run. `name` is what Locust calls the process, with a number if it joined before."""

    name: str
    cpu_at_join_s: float
    cpu_s: float = 0.0
    offset_ms: float = 0.0
    round_trip_ms: float = 0.0

    def hear(self, report: Report) -> None:
        """Take what a report says of the worker itself."""
        self.cpu_s = report["cpu_s"]
        self.offset_ms = round(report["offset_ms"], 3)
        self.round_trip_ms = round(report["round_trip_ms"], 3)


class Workers:
    """All workers that ever joined the run, by worker id."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._leases = books.leases
        self._by_id: dict[str, Worker] = {}

    @property
    def count(self) -> int:
        """How many share the load now."""
        return len(self._leases.workers)

    def find(self, worker_id: str) -> Worker | None:
        """The worker of that id, if it has joined."""
        return self._by_id.get(worker_id)

    def join(self, report: Report, t_s: float) -> Worker:
        """A new worker. A process that joins again is another worker and gets a name of its own."""
        taken = {worker.name for worker in self._by_id.values()}
        name, number = report["name"], 2
        while name in taken:
            name = f"{report['name']}-{number}"
            number += 1
        worker = self._by_id[report["worker_id"]] = Worker(name, report["cpu_s"])
        self._leases.join(name, t_s)
        return worker

    def is_lost(self, worker: Worker) -> bool:
        """Whether the worker was silent for too long: it sends nothing any more, and must join anew."""
        return worker.name in self._leases.lost

    def renew(self, worker: Worker, t_s: float, *, leaving: bool) -> list[Share]:
        """Extend the worker's lease, or end its share if it leaves; what it may send."""
        if leaving:
            self._leases.leave(worker.name, t_s)
        return self._leases.renew(worker.name, t_s)

    def dismiss(self, worker: Worker, t_s: float) -> bool:
        """Let a leaving worker go, if it has reported everything that it was given; whether it may go."""
        leases, books = self._leases, self._books
        leased_until_s = int(t_s + leases.horizon_s) + 2
        until_s = min(int(leases.end_s) + 1, leased_until_s)
        if not all(books.reported(worker.name, second_s) for second_s in range(books.next_s, until_s)):
            return False
        leases.gone.add(worker.name)
        return True

    def expire(self, t_s: float) -> list[str]:
        """Declare those lost who were silent for too long; their names."""
        return self._leases.expire(t_s)

    def clocks(self) -> dict[str, dict[str, float]]:
        """`clock` of run.json: how far each worker's clock was off, and how well that is known."""
        return {
            worker.name: {"offset_ms": worker.offset_ms, "round_trip_ms": worker.round_trip_ms}
            for worker in self._by_id.values()
        }

    def cpu_s(self) -> dict[str, float]:
        """CPU that each worker's process used since it joined."""
        return {worker.name: round(worker.cpu_s - worker.cpu_at_join_s, 3) for worker in self._by_id.values()}
