"""A cache that refuses, is away, or stays silent: the right status in time, the cause in the log alone."""

import os
import signal
import socket
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

from function import resolve, session
from function.cache_settings import CacheSettings
from rehearsal.cluster import Cluster, Node, bundled_server
from rehearsal.ports import free_ports
from rehearsal.processes import Processes
from tests.function.support import Function, session_in, told

LIMIT_S = 2.0


@contextmanager
def _stopped(node: Node) -> Generator[None]:
    """The node accepts connections and never answers."""
    os.kill(node.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(node.process.pid, signal.SIGCONT)


@contextmanager
def _password(node: Node, password: str) -> Generator[None]:
    node.admin.config_set("requirepass", password)
    try:
        yield
    finally:
        node.admin.config_set("requirepass", "")


def _names(monkeypatch: pytest.MonkeyPatch, ports: list[int]) -> None:
    """Let the resolver answer with addresses at these ports, in this order."""

    def answer(host: str, _: int, **__: Any) -> list[Any]:
        assert host == "cache.example"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]

    monkeypatch.setattr(resolve.socket, "getaddrinfo", answer)


def test_a_wrong_password_is_refused_at_once(function: Function, one_node: Cluster) -> None:
    """Trying again would only lock the user out and use up the invocation."""
    node = one_node.primaries[0]
    with _password(node, "right"):
        function.configure(CacheSettings("127.0.0.1", node.port, password="wrong"))
        done = function.invoke()
        told(done, 500, "refused")
        assert done.seconds < 1
        assert done.log["retries"] == 0
        assert "wrong" not in str(done.body)
        told(function.configure(CacheSettings("127.0.0.1", node.port)).invoke(), 500, "refused")
        assert function.configure(CacheSettings("127.0.0.1", node.port, password="right")).invoke().status == 200


def test_a_user_with_least_privilege_suffices(function: Function, one_node: Cluster) -> None:
    """These are all the commands that the function needs; a user that lacks one is refused, not tried again."""
    node = one_node.primaries[0]
    node.admin.execute_command(
        "ACL", "SETUSER", "app", "on", ">pw", "~session_:*", "+hset", "+hgetall", "+cluster|slots"
    )
    try:
        function.configure(CacheSettings("127.0.0.1", node.port, username="app", password="pw"))
        assert function.invoke().status == 200
        node.admin.execute_command("ACL", "SETUSER", "app", "-hset")
        told(function.invoke(), 500, "refused")
    finally:
        node.admin.execute_command("ACL", "DELUSER", "app")


@pytest.mark.alone
def test_an_endpoint_that_does_not_resolve_is_unavailable(function: Function) -> None:
    """A name may be missing for a moment while the cache is being made, so it is tried until the time is up."""
    done = function.configure(CacheSettings("cache.invalid", 6379)).invoke(LIMIT_S)
    told(done, 503, "unavailable")
    assert done.seconds < LIMIT_S
    assert "cache.invalid does not resolve" in done.log["detail"]
    assert done.log["retries"] > 0


@pytest.mark.alone
def test_a_resolver_that_hangs_does_not_hold_the_invocation(
    function: Function, one_node: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Getaddrinfo has no time limit of its own; the next invocation must not wait behind it either."""
    released, waits = socket.socketpair()

    def hang(*_: object, **__: object) -> list[Any]:
        waits.recv(1)
        raise socket.gaierror(socket.EAI_AGAIN, "given up")

    with monkeypatch.context() as patch:
        patch.setattr(resolve.socket, "getaddrinfo", hang)
        done = function.configure(CacheSettings("cache.example", 6379)).invoke(LIMIT_S)
        told(done, 503, "unavailable")
        assert done.seconds < LIMIT_S
    _names(monkeypatch, [one_node.primaries[0].port])
    done = function.configure(CacheSettings("cache.example", 6379)).invoke(LIMIT_S)
    assert (done.status, done.body["retries"]) == (200, 0)
    released.close()
    waits.close()


@pytest.mark.alone
def test_a_port_that_nobody_listens_on_is_unavailable(function: Function) -> None:
    """Refused connections are tried again until the time is up: the node may be starting."""
    (port,) = free_ports(1)
    done = function.configure(CacheSettings("127.0.0.1", port)).invoke(LIMIT_S)
    told(done, 503, "unavailable")
    assert done.seconds < LIMIT_S


@pytest.mark.parametrize("dead", ["refuses", "stays silent"])
def test_one_dead_address_of_several_costs_time_and_nothing_else(
    dead: str, function: Function, one_node: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The configuration endpoint names every node; one of them may be gone, or accept and never answer."""
    (port,) = free_ports(1)
    _names(monkeypatch, [port, one_node.primaries[0].port])
    silent = socket.create_server(("127.0.0.1", port)) if dead == "stays silent" else None
    try:
        done = function.configure(CacheSettings("cache.example", 6379)).invoke(5.0)
    finally:
        if silent:
            silent.close()
    assert done.status == 200
    assert done.body["retries"] == 1
    assert done.seconds < 4


@pytest.mark.alone
def test_a_node_that_accepts_and_never_answers_ends_as_a_deadline(function: Function, one_node: Cluster) -> None:
    """Lambda's own limit would end the invocation without a word: the caller is answered before."""
    node = one_node.primaries[0]
    function.configure(CacheSettings("127.0.0.1", node.port))
    with _stopped(node):
        done = function.invoke(LIMIT_S)
    told(done, 504, "deadline")
    assert LIMIT_S * 0.6 < done.seconds < LIMIT_S
    assert function.invoke().status == 200


@pytest.mark.alone
def test_a_kept_connection_that_goes_silent_ends_as_a_deadline(function: Function, one_node: Cluster) -> None:
    """The connection is still good to look at: only the missing reply shows it, and the next invocation recovers."""
    node = one_node.primaries[0]
    function.configure(CacheSettings("127.0.0.1", node.port, reused=True))
    assert function.invoke().status == 200
    with _stopped(node):
        done = function.invoke(LIMIT_S)
    told(done, 504, "deadline")
    assert done.seconds < LIMIT_S
    assert function.invoke().status == 200


def test_a_server_without_cluster_mode_is_refused_at_once(function: Function, processes: Processes) -> None:
    """The commonest mistake with an endpoint: it names a cache that is no cluster, and the log says so."""
    (port,) = free_ports(1)
    server = processes.start("plain", [str(bundled_server()), "--port", str(port), "--save", ""])
    try:
        function.configure(CacheSettings("127.0.0.1", port))
        done = function.invoke(5.0)  # retries until it listens
        told(done, 500, "refused")
        assert "cluster support disabled" in done.log["detail"]
    finally:
        processes.stop(server)


@pytest.mark.alone
@pytest.mark.parametrize("full_coverage", ["yes", "no"])
def test_uncovered_slots_are_unavailable_and_covered_ones_are_served(
    full_coverage: str, function: Function, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the keyspace may be gone; with cluster-require-full-coverage the server then serves none of it."""
    broken = Cluster(processes, shards=1, replicas=0, config={"cluster-require-full-coverage": full_coverage}).start()
    try:
        broken.primaries[0].cluster("DELSLOTSRANGE", 8192, 16383)
        function.configure(CacheSettings("127.0.0.1", broken.primaries[0].port))
        uncovered, covered = session_in(8192, 16383), session_in(0, 8191)
        monkeypatch.setattr(session, "new_id", lambda: uncovered)
        done = function.invoke(LIMIT_S)
        told(done, 503, "unavailable")
        assert done.seconds < LIMIT_S
        monkeypatch.setattr(session, "new_id", lambda: covered)
        if full_coverage == "no":
            assert function.invoke(LIMIT_S).status == 200
        else:
            done = function.invoke(LIMIT_S)
            told(done, 503, "unavailable")
            assert "cluster is down" in done.log["detail"]
    finally:
        broken.stop()
