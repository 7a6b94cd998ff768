"""Real clusters and real function hosts for the rehearsal's tests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rehearsal.cluster import Cluster
from rehearsal.processes import Processes


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Processes that end with the test."""
    started = Processes(tmp_path / "logs")
    yield started
    started.stop_all()


@pytest.fixture
def make_cluster(processes: Processes) -> Iterator[Callable[[int, int], Cluster]]:
    """Start clusters of so many shards and replicas; they end with the test."""
    made: list[Cluster] = []

    def make(shards: int, replicas: int) -> Cluster:
        cluster = Cluster(processes, shards=shards, replicas=replicas)
        made.append(cluster)
        return cluster.start()

    yield make
    for cluster in made:
        cluster.stop()
