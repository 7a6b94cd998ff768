"""A soak: 200,000 invocations of the function while shards come and go ten times, and an audit of every session.

Workers invoke the handler from an archive's contents, in processes of their own, half of them with a kept connection.
Meanwhile the cluster goes from one shard to two and back, ten times, by turns slot by slot and by CLUSTER MIGRATESLOTS.

    python -m benchmarks.function_reshard [--invocations N] [--reshards N] [--rate PER_S]
"""

import argparse
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import types
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import function
from benchmarks import results
from contract.exits import end
from contract.parser import Parser
from function import audit
from rehearsal.cluster import Cluster
from rehearsal.processes import Processes
from rehearsal.reshard import Migration, reshard

_WORKERS = 2
_WORKER = """
import sys, threading, time, types
sys.path.insert(0, sys.argv[1])
from function.handler import handler
interval = float(sys.argv[2])
told_to_end = threading.Thread(target=sys.stdin.read)
told_to_end.start()
number, due = 0, time.monotonic()
while told_to_end.is_alive():
    ends = time.monotonic() + 15
    context = types.SimpleNamespace(
        aws_request_id=str(number), get_remaining_time_in_millis=lambda: int((ends - time.monotonic()) * 1000)
    )
    response = handler({"headers": {}}, context)
    if response["statusCode"] != 200:
        print(response["body"], file=sys.stderr, flush=True)
    number += 1
    due = max(due + interval, time.monotonic() - 1)
    time.sleep(max(0.0, due - time.monotonic()))
"""


def _start(archive: Path, port: int, kind: str, rate: float, folder: Path) -> subprocess.Popen[bytes]:
    environment = {
        "CACHE_HOST": "127.0.0.1",
        "CACHE_PORT": str(port),
        "CACHE_TLS": "false",
        "CACHE_CONNECTION": kind,
    }
    command = [sys.executable, "-I", "-S", "-c", _WORKER, str(archive), str(1 / rate)]
    with (folder / f"{kind}.jsonl").open("wb") as out, (folder / f"{kind}.err").open("wb") as err:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=err, env=environment)


def _lines(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.jsonl")):
        with path.open() as lines:
            for line in lines:
                yield json.loads(line) | {"kind": path.stem}


def _count(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("*.jsonl"))


def _move(cluster: Cluster, reshards: int) -> list[dict[str, Any]]:
    """Go from one shard to two and back; return what was done and how long it took."""
    done: list[dict[str, Any]] = []

    def emit(event: str, /, **fields: Any) -> None:
        if event == "slots.finished":
            done[-1]["keys"] = fields["keys"]

    for number in range(reshards):
        migration: Migration = "atomic" if number % 2 else "slots"
        for shards in (2, 1):
            started = time.monotonic()
            done.append({"to": shards, "migration": migration})
            reshard(cluster, shards, migration, emit)
            done[-1]["seconds"] = round(time.monotonic() - started, 2)
            print(f"reshard {number + 1}/{reshards}: {done[-1]}", file=sys.stderr, flush=True)
    return done


def _audit(sessions: list[str], port: int) -> Counter[str]:
    """Check every session with the function's own audit."""
    os.environ |= {
        "CACHE_HOST": "127.0.0.1",
        "CACHE_PORT": str(port),
        "CACHE_TLS": "false",
        "CACHE_CONNECTION": "fresh",
    }
    context: Any = types.SimpleNamespace(aws_request_id="audit", get_remaining_time_in_millis=lambda: 60000)
    total: Counter[str] = Counter()
    for start in range(0, len(sessions), audit.MOST):
        part = sessions[start : start + audit.MOST]
        with contextlib.redirect_stdout(io.StringIO()):  # its log line
            answer = audit.handler({"sessions": part}, context)
        total["checked"] += answer["checked"]
        total["missing"] += len(answer["missing"])
        total["different"] += len(answer["different"])
    return total


def main() -> int:
    """Run, print and write JSON; 1 if anything was lost, different or failed."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--invocations", type=int, default=200_000)
    parser.add_argument("--reshards", type=int, default=10, help="times from one shard to two and back")
    parser.add_argument("--rate", type=float, default=700.0, help="invocations a second, all workers together")
    options = parser.parse_args()
    began = time.time()
    import redis  # noqa: PLC0415 - only to find the package

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive = folder / "archive"
        for package in (redis, function):
            source = Path(str(package.__file__)).parent
            shutil.copytree(source, archive / source.name, ignore=shutil.ignore_patterns("__pycache__"))
        processes = Processes(folder)
        workers: list[subprocess.Popen[bytes]] = []
        try:
            cluster = Cluster(processes, shards=1, replicas=1).start()
            port = cluster.primaries[0].port
            started = time.monotonic()
            workers += [_start(archive, port, kind, options.rate / _WORKERS, folder) for kind in ("fresh", "reused")]
            moves = _move(cluster, options.reshards)
            while _count(folder) < options.invocations and all(worker.poll() is None for worker in workers):
                time.sleep(1)
            for worker in workers:
                worker.communicate(timeout=30)
            seconds = time.monotonic() - started
            lines = list(_lines(folder))
            audited = _audit([line["session"] for line in lines if "error" not in line], port)
            engine = cluster.engine()
            cluster.stop()
        finally:
            for worker in workers:
                worker.kill()
            processes.stop_all()
        complaints = [line for path in folder.glob("*.err") for line in path.read_text().splitlines()]
    failed = Counter(line["error"] for line in lines if "error" in line)
    measured = {
        "seconds_of_load": round(seconds, 1),
        "invocations": {kind: sum(line["kind"] == kind for line in lines) for kind in ("fresh", "reused")},
        "failed": dict(failed),
        "unhandled": sum(worker.returncode != 0 for worker in workers) + len(complaints) - failed.total(),
        "redirects": {
            kind: sum(line["redirects"] for line in lines if line["kind"] == kind) for kind in ("fresh", "reused")
        },
        "retries": {
            kind: sum(line["retries"] for line in lines if line["kind"] == kind) for kind in ("fresh", "reused")
        },
        "audit": dict(audited),
        "moves": moves,
    }
    path = results.save(
        "function_reshard", began, measured, redis_py=redis.__version__, **{engine["name"]: engine["version"]}
    )
    print(path.read_text() + str(path))
    return int(bool(failed or audited["missing"] or audited["different"] or measured["unhandled"]))


if __name__ == "__main__":
    end("python -m benchmarks.function_reshard", main)
