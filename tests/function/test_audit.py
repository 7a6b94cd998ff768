"""The audit: it must be able to fail, and must refuse what it cannot check."""

import json
from typing import Any

import pytest

from function import audit, session
from function.cache_settings import CacheSettings
from rehearsal.cluster import Cluster, Node
from rehearsal.ports import free_ports
from tests.function.support import Function, Invocation


def _owner(cluster: Cluster, one: str) -> Node:
    return cluster.primaries[0 if session.slot(one) < 8192 else 1]


def test_what_is_missing_or_different_is_found(
    function: Function, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """An audit that cannot fail proves nothing: a deleted session and each damaged field are found."""
    function.configure(CacheSettings("127.0.0.1", cluster.primaries[0].port))
    sessions = [str(function.invoke().body["session"]) for _ in range(30)]
    deleted, changed, shorter, longer = sessions[3], sessions[7], sessions[11], sessions[13]
    _owner(cluster, deleted).admin.delete(session.key(deleted))
    _owner(cluster, changed).admin.hset(session.key(changed), "job", "Spy")
    _owner(cluster, shorter).admin.hdel(session.key(shorter), "job")
    _owner(cluster, longer).admin.hset(session.key(longer), "rank", "1")
    never = session.new_id()
    capsys.readouterr()
    answer = audit.handler({"sessions": [*sessions, never]}, Invocation())
    assert answer["checked"] == 31
    assert set(answer["missing"]) == {deleted, never}
    assert set(answer["different"]) == {changed, shorter, longer}
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) | {"requestId": ""} == {
        "type": "AUDIT",
        "requestId": "",
        "redirects": 0,
        "retries": 0,
        "checked": 31,
        "missing": 2,
        "different": 3,
    }


def test_five_thousand_are_checked_in_one_call(function: Function, cluster: Cluster) -> None:
    """The contract's size, pipelined: one by one this would take a second on loopback and ten on AWS."""
    function.configure(CacheSettings("127.0.0.1", cluster.primaries[0].port))
    sessions = [session.new_id() for _ in range(audit.MOST)]
    pipes = [node.admin.pipeline(transaction=False) for node in cluster.primaries]
    for one in sessions:
        pipe = pipes[0 if session.slot(one) < 8192 else 1]
        pipe.execute_command("HSET", session.key(one), *session.flat(session.fields(one)))
    for pipe in pipes:
        pipe.execute()
    assert audit.handler({"sessions": sessions}, Invocation()) == {"checked": 5000, "missing": [], "different": []}


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ({}, "'sessions' is NoneType: send a list"),
        ({"sessions": "6f8bb0c5-9b0e-4b1e-8f57-0c5b2d0a9f11"}, "'sessions' is str: send a list"),
        ({"sessions": ["x"]}, "holds 'x'"),
        ({"sessions": [7]}, "holds 7"),
        ({"sessions": ["6F8BB0C5-9B0E-4B1E-8F57-0C5B2D0A9F11"]}, "holds '6F8BB0C5"),
        ({"sessions": [session.new_id()] * 5001}, "holds 5001 ids: send at most 5000"),
    ],
)
def test_an_event_that_makes_no_sense_is_refused(event: dict[str, Any], says: str, function: Function) -> None:
    """Nothing checked must never look like nothing missing."""
    function.configure(CacheSettings("127.0.0.1", 6379))
    answer = audit.handler(event, Invocation())
    assert says in answer["error"]
    assert answer["checked"] == 0


def test_an_audit_that_cannot_finish_says_how_far_it_came(function: Function, cluster: Cluster) -> None:
    """`checked` short of what was asked makes the run INVALID; what was found until then is kept."""
    (port,) = free_ports(1)
    function.configure(CacheSettings("127.0.0.1", port))
    answer = audit.handler({"sessions": [session.new_id()]}, Invocation(1.0))
    assert answer == {"error": "Unavailable", "checked": 0, "missing": [], "different": []}
    function.configure(CacheSettings("127.0.0.1", cluster.primaries[0].port)).monkeypatch.setenv("CACHE_TLS", "perhaps")
    assert "CACHE_TLS is 'perhaps'" in audit.handler({"sessions": []}, Invocation())["error"]


def test_an_id_named_twice_is_checked_once(function: Function, cluster: Cluster) -> None:
    """Otherwise one lost session could be counted as two."""
    function.configure(CacheSettings("127.0.0.1", cluster.primaries[0].port))
    one = session.new_id()
    answer = audit.handler({"sessions": [one, one]}, Invocation())
    assert (answer["checked"], answer["missing"]) == (1, [one])
