"""Writes server.jsonl: figures of each cluster node and of this machine, once a second."""

import math
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psutil
from redis.exceptions import RedisError

from contract import runfolder
from rehearsal.cluster import Cluster, Node


class Observer:
    """Samples clusters in a thread of its own until stopped.

    Args:
        folder: the run folder.
        started_at_unix_s: the run's start.
        clusters: called for every sample, because nodes come and go.
    """

    def __init__(self, folder: Path, started_at_unix_s: float, clusters: Callable[[], Iterable[Cluster]]) -> None:
        self._folder = folder
        self._started_at_unix_s = started_at_unix_s
        self._clusters = clusters
        self._own = OwnCpu()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)

    def start(self) -> None:
        """Begin to sample."""
        psutil.cpu_percent()  # the first call only starts the measurement
        self._own.share()
        self._thread.start()

    def stop(self) -> None:
        """End the sampling and wait for its thread."""
        self._ended.set()
        self._thread.join(5)

    def _run(self) -> None:
        second = 0
        while True:
            # Counts seconds instead of waiting "until the next one": a wait may end early and repeat a second.
            second = max(second + 1, math.floor(time.time() - self._started_at_unix_s))
            if self._ended.wait(max(0.0, self._started_at_unix_s + second - time.time())):
                return
            t_s = round(time.time() - self._started_at_unix_s, 3)
            self._append({"t_s": t_s, "node": "machine", "cpu_own": self._own.share(), **_machine()})
            for cluster in self._clusters():
                for shard in list(cluster.shards):
                    for node in shard.nodes:
                        sample = _sample(node)
                        if sample is not None:
                            self._append({"t_s": t_s, "node": node.name, "group": cluster.group, **sample})

    def _append(self, line: dict[str, Any]) -> None:
        runfolder.append_line(self._folder, runfolder.SERVER, line)


class OwnCpu:
    """CPU that this process and all processes below it use, as a share of the whole machine's cores."""

    def __init__(self) -> None:
        self._used_s = self._at = 0.0

    def share(self) -> float:
        """The share since the last call; the first call only starts the measurement."""
        at, used_s = time.monotonic(), _tree_cpu_s()
        elapsed_s = (at - self._at) * (psutil.cpu_count() or 1)
        # The sum falls when a process loses its parent: what it used is no longer seen.
        share = max(used_s - self._used_s, 0.0) / elapsed_s if elapsed_s else 0.0
        self._used_s, self._at = used_s, at
        return round(min(share, 1.0), 3)


def _tree_cpu_s() -> float:
    """CPU seconds of this process and all below it. What ended counts too: its parent holds its time."""
    this = psutil.Process()
    used_s = 0.0
    for process in (this, *this.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.Error:  # it has just ended
            continue
        used_s += times.user + times.system + times.children_user + times.children_system
    return used_s


def _machine() -> dict[str, Any]:
    return {
        "cpu_busy": round(psutil.cpu_percent() / 100, 3),
        "memory_available_bytes": psutil.virtual_memory().available,
    }


def _sample(node: Node) -> dict[str, Any] | None:
    """One node's figures; None if it does not answer (it may be leaving)."""
    try:
        info = node.info("keyspace", "stats", "cpu", "memory", "clients", "replication")
        slots = node.slot_count()
    except (RedisError, OSError, ValueError):
        return None
    return {
        "shard": node.shard,
        "role": "primary" if info.get("role") == "master" else "replica",
        "keys": int(info.get("db0", {}).get("keys", 0)),
        "commands": int(info["total_commands_processed"]),
        "cpu_s": round(float(info["used_cpu_sys"]) + float(info["used_cpu_user"]), 3),
        "memory_bytes": int(info["used_memory"]),
        "connections": int(info["connected_clients"]),
        "slots": slots,
    }
