"""Measures what the function's own client adds to the figures that the function reports.

In one run, on one real cluster of two shards with a replica each, turn by turn: plain sockets taking the same steps
(the floor: it knows the owner and parses nothing), the function's client, redis-py's RedisCluster as it comes, and
RedisCluster tuned. Then the whole handler, and its cold import beside `import redis.connection` alone.

    python -m benchmarks.function_client [--rounds N]
"""

import argparse
import contextlib
import io
import itertools
import json
import os
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import results
from contract.exits import end
from contract.parser import Parser
from function import handler, session
from function.cache_settings import CacheSettings
from function.client import ClusterClient, Command
from function.deadline import Deadline
from function.resp import pack
from rehearsal.cluster import Cluster
from rehearsal.processes import Processes

_FLOOR, _OURS, _THEIRS = "plain sockets", "function's client", "RedisCluster"
_STEPS = ("connection", "write", "read")
_TABLE = "CommandsParser"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass
class Steps:
    """One invocation's steps in seconds."""

    connection: float
    write: float
    read: float


Peer = Callable[[int, int, str], Steps]  # (endpoint's port, owner's port, session) -> steps


def _plain_connect(port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    made.connect(("127.0.0.1", port))
    return made


def plain_sockets(endpoint: int, owner: int, drawn: str) -> Steps:
    """Take the steps with next to no client code."""
    key = session.key(drawn)
    slots = pack(["CLUSTER", "SLOTS"])
    write = pack(["HSET", key, *session.flat(session.fields(drawn))])
    read = pack(["HGETALL", key])
    clock = time.perf_counter
    at = [clock()]
    first = _plain_connect(endpoint)
    first.sendall(slots)
    first.recv(65536)
    second = first if endpoint == owner else _plain_connect(owner)
    at.append(clock())
    second.sendall(write)
    second.recv(65536)
    at.append(clock())
    second.sendall(read)
    second.recv(65536)
    at.append(clock())
    first.close()
    second.close()
    return Steps(*(after - before for before, after in itertools.pairwise(at)))


def functions_client(endpoint: int, owner: int, drawn: str) -> Steps:
    """Take the steps with the function's own client, as the handler does."""
    del owner
    key = session.key(drawn)
    write = Command(key, "HSET", key, *session.flat(session.fields(drawn)))
    read = Command(key, "HGETALL", key)
    clock = time.perf_counter
    deadline = Deadline(15.0)
    at = [clock()]
    cluster = ClusterClient(CacheSettings("127.0.0.1", endpoint))
    cluster.connect(key, deadline)
    at.append(clock())
    cluster.execute(write, deadline)
    at.append(clock())
    cluster.execute(read, deadline)
    at.append(clock())
    cluster.close()
    return Steps(*(after - before for before, after in itertools.pairwise(at)))


def redis_cluster(**options: Any) -> Peer:
    """Take the steps with RedisCluster; it connects to the owner inside the write, as the original's figures had it."""
    import redis  # noqa: PLC0415 - after the function's modules, as in Lambda

    def peer(endpoint: int, owner: int, drawn: str) -> Steps:
        del owner
        key, fields = session.key(drawn), session.fields(drawn)
        clock = time.perf_counter
        at = [clock()]
        client = redis.RedisCluster("127.0.0.1", endpoint, **options)
        at.append(clock())
        client.hset(key, mapping=fields)  # pyright: ignore[reportArgumentType] # str to str is what it takes
        at.append(clock())
        client.hgetall(key)
        at.append(clock())
        client.close()
        return Steps(*(after - before for before, after in itertools.pairwise(at)))

    return peer


@contextlib.contextmanager
def _commands_kept() -> Generator[None]:
    """Let RedisCluster ask for the server's command table once in a process, by replacing a private class."""
    from redis import cluster  # noqa: PLC0415 - as above

    original: Any = getattr(cluster, _TABLE)
    kept: list[Any] = []

    def parser(client: Any) -> Any:
        if not kept:
            kept.append(original(client))
        return kept[0]

    setattr(cluster, _TABLE, parser)
    try:
        yield
    finally:
        setattr(cluster, _TABLE, original)


def _draw(owners: dict[int, int], port: int) -> str:
    while owners[session.slot(drawn := session.new_id())] != port:
        pass
    return drawn


def _median_ms(values: Sequence[float]) -> float:
    return round(statistics.median(values) * 1000, 4)


def measure_clients(cluster: Cluster, rounds: int) -> dict[str, Any]:
    """Take turns; return p50s in ms and CPU for each peer, for sessions at the endpoint's node and at another."""
    tuned = {"protocol": 2, "driver_info": None, "require_full_coverage": False, "reinitialize_steps": 1}
    peers: dict[str, tuple[Peer, int, Any]] = {  # peer, one turn in how many rounds (the slow ones need fewer), patch
        _FLOOR: (plain_sockets, 1, contextlib.nullcontext),
        _OURS: (functions_client, 1, contextlib.nullcontext),
        _THEIRS: (redis_cluster(), 10, contextlib.nullcontext),
        "RedisCluster tuned": (redis_cluster(**tuned), 10, contextlib.nullcontext),
        "RedisCluster tuned past its options": (redis_cluster(**tuned), 10, _commands_kept),
    }
    number_port = {shard.number: shard.primary.port for shard in cluster.shards}
    owners = {slot: number_port[number] for slot, number in cluster.owners().items()}
    endpoint = cluster.primaries[0].port
    out: dict[str, Any] = {}
    for case, port in (("one connection", endpoint), ("two connections", cluster.primaries[1].port)):
        taken: dict[str, list[Steps]] = {name: [] for name in peers}
        spent: dict[str, list[float]] = {name: [] for name in peers}
        for number in range(rounds):
            for name, (peer, every, patch) in peers.items():
                if number % every:
                    continue
                drawn = _draw(owners, port)
                with patch():
                    peer(
                        endpoint, port, drawn
                    )  # an unmeasured turn first: the processor's caches hold another peer's data
                    before = time.process_time()
                    taken[name].append(peer(endpoint, port, drawn))
                    spent[name].append(time.process_time() - before)
        out[case] = {
            name: {
                **{f"{step}_p50_ms": _median_ms([getattr(steps, step) for steps in taken[name]]) for step in _STEPS},
                "cpu_ms": _median_ms(spent[name]),
                "turns": len(taken[name]),
            }
            for name in peers
        }
    return out


def measure_handler(cluster: Cluster, count: int) -> dict[str, Any]:
    """Invoke the whole handler, its log line included; CPU and p50 of an invocation, fresh and reused."""
    context = types.SimpleNamespace(aws_request_id="benchmark", get_remaining_time_in_millis=lambda: 15000)
    out: dict[str, Any] = {}
    for kind in ("fresh", "reused"):
        os.environ |= {
            "CACHE_HOST": "127.0.0.1",
            "CACHE_PORT": str(cluster.primaries[0].port),
            "CACHE_TLS": "false",
            "CACHE_CONNECTION": kind,
        }
        walls: list[float] = []
        replies: list[dict[str, Any]] = []
        with contextlib.redirect_stdout(io.StringIO()):
            before = time.process_time()
            for _ in range(count):
                started = time.perf_counter()
                response = handler.handler({"headers": {}}, context)  # type: ignore[arg-type] # all that is read of a context
                walls.append(time.perf_counter() - started)
                replies.append(json.loads(response["body"]))
            spent = time.process_time() - before
        out[kind] = {
            "cpu_ms": round(spent / count * 1000, 4),
            "p50_ms": _median_ms(walls),
            **{f"{step}_p50_ms": _median_ms([reply[step] for reply in replies]) for step in _STEPS},
        }
    return out


def measure_import(turns: int) -> dict[str, Any]:
    """Import in new processes, turn by turn, from an archive's contents with nothing else on the path."""
    import redis  # noqa: PLC0415 - only to find the package

    statements = ("import redis.connection", "import function.handler")
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); before = time.perf_counter(), time.process_time(); "
        "exec(sys.argv[2]); print(time.perf_counter() - before[0], time.process_time() - before[1], len(sys.modules))"
    )
    taken: dict[str, list[list[float]]] = {statement: [] for statement in statements}
    with tempfile.TemporaryDirectory() as folder:
        for package in (Path(redis.__file__).parent, Path(handler.__file__).parent):
            shutil.copytree(package, Path(folder) / package.name, ignore=shutil.ignore_patterns("__pycache__"))
        for turn in range(turns + 1):
            for statement in statements:
                command = [sys.executable, "-I", "-S", "-c", code, folder, statement]
                printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                if turn:  # the first compiles
                    taken[statement].append([float(word) for word in printed.split()])
    return {
        statement: {
            "wall_p50_ms": _median_ms([wall for wall, _, _ in rows]),
            "cpu_p50_ms": _median_ms([cpu for _, cpu, _ in rows]),
            "modules": int(rows[0][2]),
        }
        for statement, rows in taken.items()
    }


def ratios(measured: dict[str, Any]) -> dict[str, float]:
    """Compute the ratios that the project has targets for."""
    out: dict[str, float] = {}
    for case, peers in measured["clients"].items():
        ours, floor, theirs = peers[_OURS], peers[_FLOOR], peers[_THEIRS]
        for step in _STEPS:
            out[f"{step} / plain sockets, {case} (at most {2.5 if step == 'connection' else 1.5})"] = (
                ours[f"{step}_p50_ms"] / floor[f"{step}_p50_ms"]
            )
        out[f"RedisCluster / connection, {case} (at least 30)"] = (
            theirs["connection_p50_ms"] / ours["connection_p50_ms"]
        )
    cold = measured["cold import"]
    out["cold import / import redis.connection (at most 1.3)"] = (
        cold["import function.handler"]["cpu_p50_ms"] / cold["import redis.connection"]["cpu_p50_ms"]
    )
    return {name: round(value, 2) for name, value in out.items()}


def main() -> int:
    """Measure, print and write JSON."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2000, help="turns of the quick peers, the slow ones take a tenth")
    options = parser.parse_args()
    import redis  # noqa: PLC0415 - as above

    began = time.time()
    with tempfile.TemporaryDirectory() as logs:
        processes = Processes(Path(logs))
        try:
            cluster = Cluster(processes, shards=2, replicas=1).start()
            engine = cluster.engine()
            measured: dict[str, Any] = {
                "clients": measure_clients(cluster, options.rounds),
                "handler": measure_handler(cluster, options.rounds),
            }
            cluster.stop()
        finally:
            processes.stop_all()
    measured["cold import"] = measure_import(15)
    measured["ratios"] = ratios(measured)
    path = results.save(
        "function_client", began, measured, redis_py=redis.__version__, **{engine["name"]: engine["version"]}
    )
    print(path.read_text() + str(path))
    return 0


if __name__ == "__main__":
    end("python -m benchmarks.function_client", main)
