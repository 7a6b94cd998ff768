"""Primaries that die: replicas take over, and what a failover may lose is shown by the audit."""

import os
import signal
from collections.abc import Generator

import pytest

from function import audit, session
from function.cache_settings import CacheSettings
from rehearsal.cluster import Cluster, Shard
from rehearsal.processes import Processes
from tests.function.support import Function, Invocation, session_in


@pytest.fixture
def three(processes: Processes) -> Generator[Cluster]:
    """Three shards, a replica each (a majority of primaries is left to elect), which notice a dead node in a second."""
    cluster = Cluster(processes, shards=3, replicas=1, config={"cluster-node-timeout": "1000"}).start()
    yield cluster
    cluster.stop()


def _bounds(shard: Shard) -> tuple[int, int]:
    slots = shard.primary.slots()
    return slots[0], slots[-1]


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGSTOP])
def test_a_primary_that_dies_costs_time_but_no_invocation(
    death: signal.Signals, function: Function, three: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the endpoint's own node gone or silent, a kept layout knows whom to ask, and awaits the promotion."""
    victim = three.shards[0]
    drawn = session_in(*_bounds(victim))
    monkeypatch.setattr(session, "new_id", lambda: drawn)
    function.configure(CacheSettings("127.0.0.1", victim.primary.port, reused=True))
    assert function.invoke().status == 200
    os.kill(victim.primary.process.pid, death)
    done = function.invoke()
    assert (done.status, done.body["session"]) == (200, drawn)
    assert done.body["retries"] > 0
    assert done.seconds < 15
    again = function.invoke()
    assert (again.status, again.body["redirects"], again.body["retries"]) == (200, 0, 0)


def test_what_a_failover_loses_is_shown_by_the_audit(
    function: Function, processes: Processes, capsys: pytest.CaptureFixture[str]
) -> None:
    """Replication is asynchronous: a write that was acknowledged dies with its primary, and must not be hidden."""
    cluster = Cluster(processes, shards=1, replicas=1).start()
    primary, replica = cluster.shards[0].nodes
    try:
        function.configure(CacheSettings("127.0.0.1", primary.port))
        kept = [function.invoke().body["session"] for _ in range(20)]
        assert primary.admin.wait(1, 5000) == 1
        _cut_replication(cluster)
        function.configure(CacheSettings("127.0.0.1", primary.port, username="default", password="no replica knows it"))
        lost = [function.invoke().body["session"] for _ in range(20)]
        processes.stop(primary.process, sig=signal.SIGKILL)
        replica.cluster("FAILOVER", "TAKEOVER")
        function.configure(CacheSettings("127.0.0.1", replica.port))
        capsys.readouterr()
        answer = audit.handler({"sessions": [*kept, *lost]}, Invocation())
    finally:
        cluster.stop()
    assert answer == {"checked": 40, "missing": lost, "different": []}


def _cut_replication(cluster: Cluster) -> None:
    """Keep the replica from hearing of any further write: it no longer knows the primary's password."""
    primary, replica = cluster.shards[0].nodes
    primary.admin.config_set("requirepass", "no replica knows it")
    primary.admin.execute_command("CLIENT", "KILL", "TYPE", "replica")
    while replica.info("replication")["master_link_status"] != "down":
        pass
