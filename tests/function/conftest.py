"""Real clusters for the function's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rehearsal.cluster import SLOTS, Cluster
from rehearsal.processes import Processes
from tests.function.support import Function


@pytest.fixture(scope="session")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Servers that end with the test run."""
    running = Processes(Path(tmp_path_factory.mktemp("servers")))
    yield running
    running.stop_all()


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Function:
    """The handler."""
    return Function(monkeypatch, capsys)


@pytest.fixture(scope="session")
def kept_cluster(processes: Processes) -> Cluster:
    """The one cluster of this process."""
    return Cluster(processes, shards=2, replicas=1).start()


@pytest.fixture(scope="session")
def kept_node(processes: Processes) -> Cluster:
    """The one cluster of a single node of this process."""
    return Cluster(processes, shards=1, replicas=0).start()


@pytest.fixture
def cluster(kept_cluster: Cluster) -> Cluster:
    """Two empty shards, a replica each: for tests that fail no node and put slots back."""
    return emptied(kept_cluster)


@pytest.fixture
def one_node(kept_node: Cluster) -> Cluster:
    """One empty shard without a replica: for tests that leave it as it was."""
    return emptied(kept_node)


def emptied(cluster: Cluster) -> Cluster:
    """Remove every key; check that the tests before left slots, roles and passwords as a new cluster has them."""
    count = len(cluster.shards)
    for shard in cluster.shards:
        primary = shard.primary
        primary.admin.flushall()
        assert primary.info("replication")["role"] == "master", f"a test made {primary.name} a replica"
        assert not primary.admin.config_get("requirepass")["requirepass"], f"a test left a password on {primary.name}"
        expected = list(range(SLOTS * (shard.number - 1) // count, SLOTS * shard.number // count))
        assert primary.slots() == expected, f"a test left {primary.name} with other slots"
        assert primary.admin.wait(len(shard.replicas), 5000) == len(shard.replicas), f"{primary.name} lacks a replica"
        for node in shard.nodes:
            assert node.admin.dbsize() == 0, f"{node.name} is written to by a test that is over"
        for replica in shard.replicas:
            assert replica.info("replication")["master_port"] == primary.port, f"{replica.name} follows another"
    cluster.wait_until_covered()
    return cluster
