"""Real clusters for the function's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rehearsal.cluster import Cluster
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
def cluster(processes: Processes) -> Cluster:
    """Two shards, a replica each: for tests that leave it as it was."""
    return Cluster(processes, shards=2, replicas=1).start()


@pytest.fixture(scope="session")
def one_node(processes: Processes) -> Cluster:
    """One shard without a replica: for tests that leave it as it was."""
    return Cluster(processes, shards=1, replicas=0).start()
