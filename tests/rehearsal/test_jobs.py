"""Jobs of atomic migration that fail for real: each is told, tried again, and given up with the server's words."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

import pytest

from rehearsal.cluster import Cluster, Node
from rehearsal.fill import fill
from rehearsal.jobs import FailedTry, MigrationError
from rehearsal.reshard import SlotTransfer, move_slots, reshard

Make = Callable[[int, int], Cluster]
KEYS = 2000
MOVE = SlotTransfer(1, 2, tuple(range(256)))


@pytest.fixture
def grown(make_cluster: Make) -> Cluster:
    """A shard with every slot and 2,000 sessions, and one without slots."""
    cluster = make_cluster(1, 0)
    fill(cluster, KEYS)
    cluster.add_shards(1)
    return cluster


@contextmanager
def cancelling(source: Node, times: int) -> Generator[None]:
    """Meanwhile another connection cancels the source's jobs so often, as an operator could."""
    over = threading.Event()

    def cancel() -> None:
        for _ in range(times):
            while not over.is_set():
                if any(in_flight(job) for job in jobs(source)):
                    source.cluster("CANCELSLOTMIGRATIONS")
                    break
                time.sleep(0.001)

    thread = threading.Thread(target=cancel, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def jobs(source: Node) -> list[list[bytes]]:
    """The node's jobs, each as names and values in turn."""
    listed: list[list[bytes]] = source.cluster("GETSLOTMIGRATIONS")
    return listed


def in_flight(job: list[bytes]) -> bool:
    """Whether a job of GETSLOTMIGRATIONS has not ended."""
    return job[job.index(b"state") + 1] not in (b"success", b"failed", b"cancelled")


def keys(cluster: Cluster) -> int:
    """Keys on all primaries."""
    return sum(int(node.admin.dbsize()) for node in cluster.primaries)


def test_a_cancelled_job_is_told_and_tried_again(grown: Cluster) -> None:
    """A cancelled attempt does not vanish behind the one that succeeds: it is told with its state and its slots."""
    told: list[FailedTry] = []
    with cancelling(grown.shards[0].primary, 1):
        move_slots(grown, [MOVE], "batches", lambda _: None, told.append)
    assert {(failure.attempt, failure.state, failure.slots) for failure in told} == {(1, "cancelled", 64)}
    assert grown.shards[1].primary.slots() == list(MOVE.slots)
    assert keys(grown) == KEYS


def test_a_job_that_failed_is_told_with_the_servers_message(grown: Cluster) -> None:
    """The target refuses the source once; the server's own words are kept, and the next try moves the slots."""
    told: list[FailedTry] = []
    target = grown.shards[1].primary
    target.admin.config_set("requirepass", "secret")

    def repair(failure: FailedTry) -> None:
        told.append(failure)
        target.admin.execute_command("AUTH", "secret")
        target.admin.config_set("requirepass", "")

    move_slots(grown, [MOVE], "atomic", lambda _: None, repair)
    (failure,) = told
    assert (failure.attempt, failure.state, failure.slots, failure.ranges) == (1, "failed", 256, "0-255")
    assert "NOAUTH" in failure.message
    assert target.slots() == list(MOVE.slots)


def test_a_move_that_fails_again_and_again_keeps_every_try(grown: Cluster) -> None:
    """After three tries the move ends; the error has each try's state, slots keep an owner, no job goes on."""
    events: list[str] = []
    source = grown.shards[0].primary
    with cancelling(source, 1000), pytest.raises(MigrationError, match="cancelled; cancelled; cancelled"):
        reshard(grown, 3, "batches", lambda event, /, **_: events.append(event))
    assert events.count("slots.retried") >= 2
    assert "slots.finished" not in events
    assert not [job for job in jobs(source) if in_flight(job)]
    assert len(grown.owners()) == 16384
    assert keys(grown) == KEYS


def test_a_refused_job_is_told_too(grown: Cluster) -> None:
    """Where the server does not even start a job, its answer is kept as the others' messages are."""
    told: list[FailedTry] = []
    backwards = SlotTransfer(2, 1, (0, 1))
    with pytest.raises(MigrationError, match="0-1 did not move in 3 tries"):
        move_slots(grown, [backwards], "batches", lambda _: None, told.append)
    assert [(failure.attempt, failure.state) for failure in told] == [(1, "refused"), (2, "refused")]
    assert all(failure.message for failure in told)
