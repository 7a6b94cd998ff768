"""Slots that move while the function writes and reads: held open, so that redirects are really met, and for real."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.crc import key_slot

from function import audit, session
from function.cache_settings import CacheSettings
from function.client import ClusterClient, Command, UnavailableError
from function.deadline import Deadline
from rehearsal.cluster import Cluster, Node
from rehearsal.processes import Processes
from rehearsal.reshard import SlotTransfer, close_slot, move_keys, move_slots, open_slot, reshard
from tests.function.support import Function, Invocation, environment, session_in

_WORKER = """
import sys, threading, time
from function.handler import handler
from tests.function.support import Invocation
told_to_end = threading.Thread(target=sys.stdin.read)
told_to_end.start()
while told_to_end.is_alive():
    handler({"headers": {}}, Invocation(15.0))
    time.sleep(0.002)  # slots that are to move need some of the machine
"""


# Sessions that are there before slots move, to be moved.
_SESSIONS_BEFORE = 500


@contextmanager
def _open(cluster: Cluster, slot: int) -> Generator[tuple[Node, Node]]:
    """Hold a slot of the first shard open towards the second; afterwards the first has it back with all its keys."""
    source, target = cluster.primaries
    open_slot(source, target, slot)
    try:
        yield source, target
    finally:
        if slot in source.slots():
            _finish(source, target, slot)
        cluster.wait_until_agreed()
        open_slot(target, source, slot)
        _finish(target, source, slot)
        cluster.wait_until_agreed()


def _lone_session(cluster: Cluster) -> str:
    """Draw a session in a slot of the first shard that holds no other test's sessions."""
    while cluster.primaries[0].cluster("COUNTKEYSINSLOT", session.slot(drawn := session_in(0, 8191))):
        pass
    return drawn


def _finish(source: Node, target: Node, slot: int) -> None:
    """SlotTransfer an open slot's keys, then the slot."""
    while move_keys(source, target, slot, 100):
        pass
    close_slot(source, target, [], slot)


def test_a_new_session_in_an_open_slot_is_asked_for_twice(
    function: Function, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the write nor the read of a new key is known to the source: two ASK, both followed with ASKING."""
    drawn = _lone_session(cluster)
    monkeypatch.setattr(session, "new_id", lambda: drawn)
    function.configure(CacheSettings("127.0.0.1", cluster.primaries[0].port))
    with _open(cluster, session.slot(drawn)) as (source, target):
        done = function.invoke()
        assert (done.status, done.body["redirects"], done.body["retries"]) == (200, 2, 0)
        assert not source.cluster("COUNTKEYSINSLOT", session.slot(drawn))
        assert target.cluster("COUNTKEYSINSLOT", session.slot(drawn)) == 1


def test_a_session_still_at_the_source_meets_no_redirect(
    function: Function, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retried write finds its key where it left it; only after it has moved is it asked for elsewhere."""
    drawn = _lone_session(cluster)
    monkeypatch.setattr(session, "new_id", lambda: drawn)
    function.configure(CacheSettings("127.0.0.1", cluster.primaries[0].port))
    assert function.invoke().body["redirects"] == 0
    with _open(cluster, session.slot(drawn)) as (source, target):
        assert function.invoke().body["redirects"] == 0
        while move_keys(source, target, session.slot(drawn), 100):
            pass
        assert function.invoke().body["redirects"] == 2


def test_a_kept_layout_learns_from_moved(function: Function, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a kept connection the first command after a move meets one MOVED, and nothing after it does."""
    drawn = _lone_session(cluster)
    monkeypatch.setattr(session, "new_id", lambda: drawn)
    function.configure(CacheSettings("127.0.0.1", cluster.primaries[0].port, reused=True))
    assert function.invoke().status == 200
    with _open(cluster, session.slot(drawn)) as (source, target):
        _finish(source, target, session.slot(drawn))
        assert [function.invoke().body["redirects"] for _ in range(3)] == [1, 0, 0]


def test_keys_on_both_sides_are_tried_again_until_the_slot_is_whole(cluster: Cluster) -> None:
    """TRYAGAIN comes for a command on several keys of which some have moved: it passes when the slot does."""
    tag = next(tag for tag in map(str, range(1000)) if key_slot(tag.encode()) < 8192)
    stays, goes = f"{{{tag}}}stays", f"{{{tag}}}new"
    client = ClusterClient(CacheSettings("127.0.0.1", cluster.primaries[0].port))
    client.execute(Command(stays, "SET", stays, "1"), Deadline(5.0))
    with client, _open(cluster, key_slot(tag.encode())) as (source, target):
        client.execute(Command(goes, "SET", goes, "2"), Deadline(5.0))
        assert client.redirects == 1  # asked for at the target: the two keys are on two sides now

        with pytest.raises(UnavailableError, match="Multiple keys request during rehashing"):
            client.execute(Command(stays, "MGET", stays, goes), Deadline(0.5))
        assert client.retries >= 3

        before = client.retries
        later = threading.Timer(0.3, move_keys, (source, target, key_slot(tag.encode()), 100))
        later.start()
        assert client.execute(Command(stays, "MGET", stays, goes), Deadline(5.0)) == [b"1", b"2"]
        later.join()
        assert client.retries > before
        client.execute(Command(stays, "DEL", stays, goes), Deadline(5.0))


def test_the_audit_reads_open_slots_on_both_sides(function: Function, cluster: Cluster) -> None:
    """An audit during a reshard must find what has moved, what has not and what is new, and miss nothing else."""
    cache = CacheSettings("127.0.0.1", cluster.primaries[0].port)
    function.configure(cache)
    slot = session.slot(_lone_session(cluster))
    moved, stays, new, absent = [session_in(slot, slot) for _ in range(4)]

    def write(client: ClusterClient, one: str) -> None:
        key = session.key(one)
        client.execute(Command(key, "HSET", key, *session.flat(session.fields(one))), Deadline(5.0))

    with ClusterClient(cache) as client:
        write(client, moved)
        with _open(cluster, slot) as (source, target):
            assert move_keys(source, target, slot, 100) == 1
            write(client, new)
            # MIGRATE moves what there is: the one that stays is written where the slot still is, past the redirect.
            source.cluster("SETSLOT", slot, "STABLE")
            write(client, stays)
            source.cluster("SETSLOT", slot, "MIGRATING", target.id)
            counts = [int(node.cluster("COUNTKEYSINSLOT", slot)) for node in (source, target)]
            answer = audit.handler({"sessions": [moved, stays, new, absent]}, Invocation())
    assert counts == [1, 2]
    assert answer == {"checked": 4, "missing": [absent], "different": []}


@contextmanager
def _load(caches: Sequence[CacheSettings], folder: Path) -> Generator[list[dict[str, Any]]]:
    """Invoke without a pause in processes of their own; the log lines are in the list once the block has ended."""
    lines: list[dict[str, Any]] = []
    started: list[subprocess.Popen[bytes]] = []
    outputs = [folder / f"worker-{number}.jsonl" for number in range(len(caches))]
    try:
        for cache, output in zip(caches, outputs, strict=True):
            with output.open("wb") as out:
                command = [sys.executable, "-c", _WORKER]
                env = environment(cache) | {"PYTHONPATH": "."}
                started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, env=env))
        until = time.monotonic() + 60
        while (written := sum(output.read_bytes().count(b"\n") for output in outputs)) < _SESSIONS_BEFORE:
            assert time.monotonic() < until, f"{written} invocations in a minute"
            time.sleep(0.05)
        yield lines
    finally:
        for worker in started:
            worker.communicate(timeout=20)
    for worker, output in zip(started, outputs, strict=True):
        assert worker.returncode == 0
        lines += [json.loads(line) for line in output.read_text().splitlines()]


def _audited(lines: list[dict[str, Any]], function: Function, cache: CacheSettings) -> None:
    """Check that every invocation succeeded and that the audit finds every session."""
    assert [line for line in lines if "error" in line] == []
    assert len(lines) > _SESSIONS_BEFORE
    function.configure(cache)
    sessions = [line["session"] for line in lines]
    for start in range(0, len(sessions), audit.MOST):
        part = sessions[start : start + audit.MOST]
        assert audit.handler({"sessions": part}, Invocation()) == {"checked": len(part), "missing": [], "different": []}


def test_nothing_is_lost_or_refused_while_slots_move_one_by_one(
    function: Function, cluster: Cluster, tmp_path: Path
) -> None:
    """Keys go over one slot after another, there and back, under concurrent invocations."""
    cache = CacheSettings("127.0.0.1", cluster.primaries[0].port)
    there, back = SlotTransfer(1, 2, tuple(range(800))), SlotTransfer(2, 1, tuple(range(800)))
    with _load([cache, replace(cache, reused=True)], tmp_path) as lines:
        assert move_slots(cluster, [there], "slots", lambda _: None, lambda _: None) > 0
        assert move_slots(cluster, [back], "slots", lambda _: None, lambda _: None) > 0
    _audited(lines, function, cache)


def test_nothing_is_lost_or_refused_while_shards_come_and_go(
    function: Function, processes: Processes, tmp_path: Path
) -> None:
    """Nodes join, half of the slots change their owner at once, and all come back before the nodes leave."""
    moving = Cluster(processes, shards=1, replicas=1).start()
    cache = CacheSettings("127.0.0.1", moving.primaries[0].port)
    try:
        with _load([cache, replace(cache, reused=True)], tmp_path) as lines:
            for shards in (2, 1):
                reshard(moving, shards, "atomic", lambda *_, **__: None)
        _audited(lines, function, cache)
        assert sum(line["redirects"] for line in lines) > 0
    finally:
        moving.stop()


@pytest.mark.parametrize("shards", [1, 2, 3])
def test_sessions_land_where_the_cluster_would_put_them(shards: int, processes: Processes, function: Function) -> None:
    """Any node may be behind the endpoint: primaries and replicas of one to three shards."""
    cluster = Cluster(processes, shards=shards, replicas=1).start()
    client = redis.RedisCluster("127.0.0.1", cluster.primaries[0].port, decode_responses=True)
    try:
        for node in cluster.nodes:
            for reused in (False, True):
                done = function.configure(CacheSettings("127.0.0.1", node.port, reused=reused)).invoke()
                assert (done.status, done.body["redirects"], done.body["retries"]) == (200, 0, 0)
                key = session.key(done.body["session"])
                assert client.hgetall(key) == session.fields(done.body["session"])
    finally:
        client.close()
        cluster.stop()
