"""Leases and epochs: nothing is sent twice and nothing is forgotten, whatever joins, leaves, dies or is late."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.profiles import parse
from contract.schedule import Schedule
from loadgen.books import Books
from loadgen.cursor import Cursor
from loadgen.leases import Leases
from loadgen.outcomes import NO_SESSION, NOT_SAID, OK, row_struct

NAN = float("nan")


def make(rate: int = 20, seconds: int = 20) -> tuple[Schedule, Leases]:
    """A schedule at a constant rate, and its leases."""
    schedule = Schedule(parse(f"phases:\n - duration: {seconds}\n   arrivalRate: {rate}"))
    return schedule, Leases(schedule)


def test_a_lease_must_be_shorter_than_the_time_to_declare_its_holder_lost() -> None:
    """The rule that keeps arrivals from being sent twice is checked, not hoped for."""
    with pytest.raises(ValueError, match="must be shorter"):
        Leases(make()[0], horizon_s=5, lost_after_s=5)


def test_workers_share_by_turns() -> None:
    """Three workers before the start: arrival k belongs to share k mod 3."""
    _, leases = make()
    for worker in "abc":
        leases.join(worker, -2.0)
    shares = {worker: leases.renew(worker, 0.0)[-1] for worker in "abc"}
    assert sorted((share.first, share.step) for share in shares.values()) == [(0, 3), (1, 3), (2, 3)]
    assert {share.until for share in shares.values()} == {30}  # 1.5 s ahead at 20 a second


def test_a_lost_workers_arrivals_are_taken_over_where_its_neighbours_leases_end() -> None:
    """What was leased to it is unknown, the gap is missed, the rest goes to the survivor."""
    schedule, leases = make()
    leases.join("a", -2.0)
    leases.join("b", -2.0)
    leases.renew("b", 0.0)  # leased to 1.5 s: arrival 30
    for quarter in range(25):
        leases.renew("a", quarter / 4)
    assert leases.expire(3.9) == []
    assert leases.expire(6.0) == ["b"]
    share = leases.renew("a", 6.1)[-1]
    assert (share.first, share.step) == (schedule.count_before(7.5), 1)
    assert leases.assigned("b", 0, schedule.total) == 15
    lost, nobody = leases.unassigned(0, schedule.total)
    assert (lost, nobody) == ((150 - 30) // 2, 0)
    assert leases.renew("b", 6.2) == []


def test_a_time_without_workers_is_missed_until_somebody_joins() -> None:
    """Nobody there: arrivals pass, and a newcomer starts from now, not from where the load stopped."""
    schedule, leases = make()
    leases.join("a", 3.0)
    assert leases.renew("a", 3.0)[-1].first == 60
    assert leases.unassigned(0, schedule.total) == (0, 60)


def test_stop_ends_at_what_was_leased() -> None:
    """After a stop nobody's lease is cut, and everybody ends at the same arrival."""
    _, leases = make()
    leases.join("a", -2.0)
    leases.join("b", -2.0)
    leases.renew("a", 1.0)
    leases.renew("b", 0.5)
    assert leases.stop(1.1) == 50
    assert leases.renew("b", 1.2)[-1] == (leases.epochs[-1].number, 1, 50, 2, True)


class SimulatedWorker:
    """A worker of the simulation: sees orders late, sends what its lease covers, may be killed."""

    def __init__(self, schedule: Schedule) -> None:
        self.cursor = Cursor(schedule)
        self.sent: list[int] = []
        self.reported = 0
        self.dead = False

    def send(self, t_s: float) -> None:
        """Everything due."""
        while self.cursor.next is not None and self.cursor.next[1] <= t_s:
            self.sent.append(self.cursor.next[0])
            self.cursor.advance()


step = st.tuples(
    st.sampled_from(["poll", "poll", "poll", "poll", "join", "kill", "leave", "silent"]),
    st.integers(0, 5),
    st.floats(0.05, 1.2),
)


@settings(max_examples=150)
@given(st.lists(step, min_size=5, max_size=60), st.booleans())
def test_whatever_happens_the_books_balance_and_nothing_is_sent_twice(  # noqa: C901, PLR0912 - one story, told in one piece
    steps: list[tuple[str, int, float]], stopped: bool
) -> None:
    """Each arrival is at most once on the wire; sent, missed and unknown agree with that, whatever happens."""
    schedule, leases = make(rate=30, seconds=12)
    books = Books(schedule, leases, (), late_threshold_ms=10)
    workers: dict[str, SimulatedWorker] = {}
    pack = row_struct(0).pack
    t_s = -2.0

    def poll(name: str) -> None:
        worker = workers[name]
        if worker.dead or name in leases.lost:
            return
        shares = leases.renew(name, t_s)
        fresh = worker.sent[worker.reported :]
        rows = [pack(k, schedule.planned_s(k), t_s, t_s, OK, 0, NOT_SAID, 0, 0, NO_SESSION) for k in fresh]
        books.add(name, b"".join(rows))
        worker.reported = len(worker.sent)
        worker.cursor.take(shares)

    def join() -> None:
        name = f"w{len(workers)}"
        workers[name] = SimulatedWorker(schedule)
        leases.join(name, t_s)

    join()
    for action, which, pause in steps:
        name = list(workers)[which % len(workers)]
        if action == "join" and len(workers) < 7:
            join()
        elif action == "kill":
            workers[name].dead = True
        elif action == "leave" and name in leases.workers:
            leases.leave(name, t_s)
        for other in workers:
            if action != "silent" or other != name:
                poll(other)
        t_s += pause
        leases.expire(t_s)
        for worker in workers.values():
            if not worker.dead:
                worker.send(t_s)
    if stopped:
        leases.stop(t_s)
    while t_s < 40:  # on to the end, everybody who lives polling in time
        for name in workers:
            poll(name)
        t_s += 0.2
        leases.expire(t_s)
        for worker in workers.values():
            if not worker.dead:
                worker.send(t_s)

    wire = Counter(k for worker in workers.values() for k in worker.sent)
    assert all(count == 1 for count in wire.values())
    assert all(k < leases.end for k in wire)
    while books.range_of(books.next_s)[0] < leases.end:
        assert books.settled(books.next_s)
        second = books.close().counts
        low, high = schedule.count_before(second.t_s), min(schedule.count_before(second.t_s + 1), leases.end)
        assert second.offered == high - low
    totals = books.totals
    assert totals["offered"] == leases.end == totals["ok"] + totals["missed"] + totals["unknown"]
    assert totals["ok"] <= len(wire) <= totals["ok"] + totals["unknown"]
    assert books.inconsistent == 0
