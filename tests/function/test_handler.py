"""One invocation against a real cluster: reply, log line, and how failures are told."""

import json
from http import HTTPStatus

import pytest
import redis

from function import session
from function.cache_settings import CacheSettings
from function.reply import log, respond
from rehearsal.cluster import Cluster
from tests.function.support import Function, told

_MEASURES = ("connection", "write", "read")


def test_an_invocation_writes_reads_and_tells_the_times(function: Function, cluster: Cluster) -> None:
    """Reply and log line are contracts: the generator and the dashboard read these names."""
    done = function.configure(CacheSettings("127.0.0.1", cluster.primaries[0].port)).invoke()
    assert done.status == 200
    assert list(done.body) == ["session", "connection", "write", "read", "redirects", "retries", "cold"]
    assert done.body == {name: done.log[name] for name in done.body}
    assert set(done.log) - set(done.body) == {"type", "requestId"}
    assert done.log["type"] == "ECL"
    assert all(0 < done.body[name] < 5 for name in _MEASURES)
    assert (done.body["redirects"], done.body["retries"]) == (0, 0)
    client = redis.RedisCluster("127.0.0.1", cluster.primaries[0].port, decode_responses=True)
    assert session.fields(done.body["session"]) == client.hgetall(session.key(done.body["session"]))
    client.close()


def test_the_owner_is_connected_before_the_write(function: Function, cluster: Cluster) -> None:
    """A second connection inside `write` would be counted as the cache's; from a replica every session needs one."""
    function.configure(CacheSettings("127.0.0.1", cluster.shards[0].replicas[0].port))
    before = [_connections(cluster, shard) for shard in (0, 1)]
    for _ in range(20):
        done = function.invoke()
        assert done.status == 200
        assert done.body["redirects"] == 0
    after = [_connections(cluster, shard) for shard in (0, 1)]
    assert sum(after) - sum(before) == 20


def _connections(cluster: Cluster, shard: int) -> int:
    return int(cluster.shards[shard].primary.info("stats")["total_connections_received"])


def test_the_node_behind_the_endpoint_is_not_connected_twice(function: Function, one_node: Cluster) -> None:
    """With one shard the endpoint's node is the owner: a second connection would double `connection`."""
    function.configure(CacheSettings("127.0.0.1", one_node.primaries[0].port))
    before = _connections(one_node, 0)
    assert all(function.invoke().status == 200 for _ in range(10))
    assert _connections(one_node, 0) - before == 10


def test_a_reused_connection_is_timed_honestly(function: Function, cluster: Cluster) -> None:
    """`reused` must show what keeping the connection saves: no connect, but the look at the kept one is timed."""
    function.configure(CacheSettings("127.0.0.1", cluster.primaries[0].port, reused=True))
    for _ in range(10):
        assert function.invoke().status == 200  # both owners are connected now
    before = [_connections(cluster, shard) for shard in (0, 1)]
    kept = [function.invoke() for _ in range(20)]
    assert before == [_connections(cluster, shard) for shard in (0, 1)]
    assert all(done.status == 200 and done.body["connection"] > 0 for done in kept)
    assert sorted(done.body["connection"] for done in kept)[10] < 0.001


def test_a_kept_connection_that_the_server_closed_is_made_again(function: Function, cluster: Cluster) -> None:
    """Servers close idle connections; finding that out must count as connecting, not fail and not count as a retry."""
    function.configure(CacheSettings("127.0.0.1", cluster.primaries[0].port, reused=True))
    for _ in range(10):
        assert function.invoke().status == 200
    for node in cluster.primaries:
        node.admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    for _ in range(10):
        done = function.invoke()
        assert (done.status, done.body["retries"]) == (200, 0)


def test_several_header_values_are_answered_in_kind() -> None:
    """A balancer that sends multiValueHeaders ignores `headers` in the answer."""
    single = respond({"headers": {}}, HTTPStatus.OK, {})
    several = respond({"multiValueHeaders": {}}, HTTPStatus.OK, {})
    assert single["headers"]["Content-Type"] == "application/json"
    assert several["multiValueHeaders"]["Content-Type"] == ["application/json"]
    assert "headers" not in several


def test_a_value_that_comes_back_different_is_a_failure_of_its_own(
    function: Function, one_node: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster that answers quickly and wrongly must not pass for a fast one."""
    monkeypatch.setattr(session, "flat", lambda _: ["name", "Mallory"])  # what reaches the cluster
    done = function.configure(CacheSettings("127.0.0.1", one_node.primaries[0].port)).invoke()
    told(done, 500, "different")
    assert "Mallory" in done.log["detail"]
    assert all(done.log[name] > 0 for name in _MEASURES)


def test_a_log_line_has_no_exponents(capsys: pytest.CaptureFixture[str]) -> None:
    """The dashboard averages these fields in Logs Insights; a read of 90 microseconds must not be written as 9e-05."""
    record = {"type": "ECL", "cold": False, "read": 9e-05, "write": 0.5, "redirects": 0, "detail": 'a "9e-05"'}
    log(record)
    (line,) = capsys.readouterr().out.splitlines()
    assert '"read": 0.000090000' in line
    assert json.loads(line) == record


def test_a_wrong_environment_is_told_in_the_log(function: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable declared wrongly must be found from the log line, not from a stack trace at the caller."""
    monkeypatch.setenv("CACHE_HOST", "127.0.0.1")
    monkeypatch.setenv("CACHE_PORT", "none")
    done = function.invoke()
    told(done, 500, "environment")
    assert "CACHE_PORT is 'none'" in done.log["detail"]


def test_a_fault_of_the_functions_own_is_told_like_any_other(
    function: Function, one_node: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that goes wrong may reach the caller as a stack trace or end without a log line."""

    def broken(_: str) -> str:
        raise KeyError("a mistake in the code")

    monkeypatch.setattr(session, "key", broken)
    done = function.configure(CacheSettings("127.0.0.1", one_node.primaries[0].port)).invoke()
    told(done, 500, "internal")
    assert "a mistake in the code" in done.log["detail"]
