"""The census: a stray key, a replica that differs, an extra and a missing key are told by the nodes themselves."""

import json
import time
from typing import Any

import pytest
from redis.crc import key_slot

from function import audit, census, session
from function.cache_settings import CacheSettings
from rehearsal.cluster import Cluster, Node
from rehearsal.fill import fill
from tests.function.support import Function, Invocation, session_in

KEYS = 300


@pytest.fixture
def filled(cluster: Cluster, function: Function, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Two shards with a replica each and 300 sessions; differences are final after half a second."""
    function.configure(CacheSettings("127.0.0.1", cluster.primaries[0].port))
    monkeypatch.setattr(census, "SETTLE_S", 0.5)
    fill(cluster, KEYS)
    for shard in cluster.shards:
        assert shard.primary.admin.wait(1, 5000) == 1
    return cluster


def taken() -> dict[str, Any]:
    """The audit function's answer to a request for nodes."""
    return audit.handler({"nodes": True}, Invocation())


def unseen(primary: Node, *command: str) -> None:
    """A write that the primary does not send to its replica."""
    script = "server.set_repl(server.REPL_NONE) return server.call(ARGV[1], KEYS[1], unpack(ARGV, 2))"
    primary.admin.eval(script, 1, command[1], command[0], *command[2:])


def test_nodes_that_agree_are_counted(filled: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """Every node is asked, every value compared, and the log has the counts without the nodes' addresses."""
    capsys.readouterr()
    answer = taken()
    assert {name: answer[name] for name in ("keys", "values", "problems")} == {
        "keys": KEYS, "values": KEYS, "problems": [],
    }  # fmt: skip
    assert sorted((node["node"], node["role"], node["keys"], node["unowned"]) for node in answer["nodes"]) == sorted(
        (node.address, role, shard.primary.admin.dbsize(), 0)
        for shard in filled.shards
        for node, role in ((shard.primary, "primary"), (shard.replicas[0], "replica"))
    )
    assert {node["shard"] for node in answer["nodes"]} == {1, 2}
    line = json.loads(capsys.readouterr().out)
    assert {**line, "requestId": ""} == {
        "type": "CENSUS", "requestId": "", "keys": KEYS, "values": KEYS, "problems": [],
    }  # fmt: skip


def test_a_key_of_a_slot_that_its_node_does_not_own_is_told(filled: Cluster) -> None:
    """No client would find it: the primary and the replica that copied it are told; it is no key of the cluster's."""
    owner, other = filled.primaries
    stray = session.key(session_in(0, 8191))
    slot = key_slot(stray.encode())
    other.cluster("SETSLOT", slot, "IMPORTING", owner.id)
    pipe = other.admin.pipeline(transaction=False)
    pipe.execute_command("ASKING")
    pipe.execute_command("HSET", stray, "name", "Nobody")
    pipe.execute()
    other.cluster("SETSLOT", slot, "STABLE")
    assert other.admin.wait(1, 5000) == 1
    answer = taken()
    assert answer["keys"] == KEYS
    assert sorted(answer["problems"]) == [
        f"primary {other.address} holds 1 keys of slot {slot}, which its shard does not own",
        f"replica {filled.shards[1].replicas[0].address} holds 1 keys of slot {slot}, which its shard does not own",
    ]
    assert sum(node["unowned"] for node in answer["nodes"]) == 2


@pytest.mark.parametrize("change", ["extra", "missing", "changed"])
def test_a_replica_that_differs_from_its_primary_is_told(filled: Cluster, change: str) -> None:
    """One key more, one less, or one other value: the replica's slot is named."""
    primary, replica = filled.shards[0].primary, filled.shards[0].replicas[0]
    held = next(key.decode() for key in primary.admin.scan_iter("*"))
    key = session.key(session_in(0, 8191)) if change == "missing" else held
    commands = {"extra": ("DEL", key), "missing": ("HSET", key, "a", "b"), "changed": ("HSET", key, "job", "Spy")}
    unseen(primary, *commands[change])
    answer = taken()
    slot, keys, copies = key_slot(key.encode()), primary.admin.dbsize(), replica.admin.dbsize()
    told = {
        "extra": f"holds {copies} keys, its primary {keys}; they hold different numbers in slot {slot}",
        "missing": f"holds {copies} keys, its primary {keys}; they hold different numbers in slot {slot}",
        "changed": f"and its primary hold different keys or values in slot {slot}",
    }
    assert answer["problems"] == [f"replica {replica.address} {told[change]}"]
    assert copies - keys == {"extra": 1, "missing": -1, "changed": 0}[change]


def test_a_replica_that_only_lags_is_waited_for(filled: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replication is asynchronous: what settles within seconds is no difference."""
    key = session.key(session_in(0, 8191))
    primary = filled.shards[0].primary
    unseen(primary, "HSET", key, "name", "Early")
    monkeypatch.setattr(census, "SETTLE_S", 5.0)
    monkeypatch.setattr(census, "PAUSE_S", 0.2)
    sleep = time.sleep

    def arrives(seconds: float) -> None:
        primary.admin.hset(key, "name", "Early")
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", arrives)
    answer = taken()
    assert (answer["keys"], answer["problems"]) == (KEYS + 1, [])


def test_the_fields_order_makes_no_difference(filled: Cluster) -> None:
    """A copy may keep a hash's fields in another order: the digest is of what they hold."""
    key = session.key(session_in(0, 8191))
    primary = filled.shards[0].primary
    primary.admin.execute_command("HSET", key, "a", "1", "b", "2")
    assert primary.admin.wait(1, 5000) == 1
    unseen(primary, "DEL", key)
    unseen(primary, "HSET", key, "b", "2", "a", "1")
    assert primary.admin.hkeys(key) == [b"b", b"a"]
    assert taken()["problems"] == []


def test_in_a_large_shard_the_same_slots_are_compared_on_each_copy(
    filled: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values of about so many keys are read and no more, and a sample does not look like a difference."""
    monkeypatch.setattr(census, "VALUES", 50)
    answer = taken()
    assert answer["problems"] == []
    assert 60 < answer["values"] < 140
    assert answer["keys"] == KEYS == sum(int(node.admin.dbsize()) for node in filled.primaries)


def test_a_cluster_that_cannot_be_asked_is_an_error(function: Function) -> None:
    """No answer is never an answer without problems."""
    function.configure(CacheSettings("127.0.0.1", 1))
    assert set(audit.handler({"nodes": True}, Invocation(0.5))) == {"error"}
