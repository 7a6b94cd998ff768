"""The sender against servers that misbehave, each failure under its own name, and every arrival in exactly one row."""

import asyncio
import math
import os
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from loadgen import plain, stamps
from loadgen.leases import Share
from loadgen.outcomes import NO_SESSION, NOT_SAID
from loadgen.resolver import Resolver, Target, TargetError
from loadgen.sender import Limits
from tests.locust.servers import GOOD, Behaviour, Received, Server, send

SHORT = Limits(time_limit_s=0.3, connect_limit_s=0.3)


@pytest.fixture(params=["stamps", "no stamps"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A kernel that stamps replies, and one that does not, such as macOS's."""
    if request.param == "no stamps":
        monkeypatch.setattr(stamps, "stamp", lambda _: False)
    return str(request.param)


async def good(request: Received) -> None:
    """The function's answer."""
    request.reply()


async def pieces(request: Received) -> None:
    """A few bytes at a time."""
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(GOOD) + GOOD
    for at in range(0, len(whole), 40):
        request.writer.write(whole[at : at + 40])
        await asyncio.sleep(0.002)


async def chunked(request: Received) -> None:
    """Chunked, cut inside a chunk."""
    request.writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(GOOD) + GOOD[:50])
    await asyncio.sleep(0.01)
    request.writer.write(GOOD[50:] + b"\r\n0\r\n\r\n")


async def close_delimited(request: Received) -> None:
    """No length: the end is the end."""
    request.writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + GOOD)
    request.keep_alive = False


async def never_closes(request: Received) -> None:
    """Answers, and leaves the connection open although it was asked to close it."""
    request.reply(close=False)
    await asyncio.sleep(3)


async def reset(request: Received) -> None:
    """A reset instead of an answer."""
    request.reset()


async def reset_halfway(request: Received) -> None:
    """A reset in the middle of an answer."""
    request.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf")
    await request.writer.drain()
    await asyncio.sleep(0.02)
    request.reset()


async def close_without_reply(request: Received) -> None:
    """Nothing at all."""
    request.keep_alive = False


async def cut(request: Received) -> None:
    """Half an answer."""
    request.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf")
    request.keep_alive = False


async def garbage(request: Received) -> None:
    """Something else than HTTP."""
    request.writer.write(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
    request.keep_alive = False


async def wrong_json(request: Received) -> None:
    """A good status with a broken body."""
    request.reply(b'{"session": "nobody"}')


async def oversized(request: Received) -> None:
    """More than a load balancer lets through."""
    request.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")


async def unavailable(request: Received) -> None:
    """The function's own refusal."""
    request.reply(b'{"error":"CLUSTERDOWN","cold":true}', "503 Service Unavailable")


async def bad_gateway(request: Received) -> None:
    """The balancer's."""
    request.reply(b"<html>502</html>", "502 Bad Gateway")


async def never(request: Received) -> None:
    """No answer while anybody waits."""
    await request.reader.read()


async def late(request: Received) -> None:
    """An answer after the time limit of 0.3 s."""
    await asyncio.sleep(0.6)
    request.reply()


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        (good, "ok"),
        (pieces, "ok"),
        (chunked, "ok"),
        (close_delimited, "ok"),
        (never_closes, "ok"),
        (reset, "reset"),
        (reset_halfway, "reset"),
        (close_without_reply, "closed"),
        (cut, "closed"),
        (garbage, "garbage"),
        (wrong_json, "garbage"),
        (oversized, "oversized"),
        (unavailable, "http_503"),
        (bad_gateway, "http_502"),
    ],
)
@pytest.mark.usefixtures("kernel")
def test_each_way_to_answer_has_its_name(behaviour: Behaviour, outcome: str) -> None:
    """Whatever the server does, every arrival gets a row, under the name of what happened."""
    with Server(behaviour).running() as server:
        sent = send(server.port)
    assert sent.outcomes == {outcome: 30}
    assert server.requests == 30
    assert all(row.sent_s >= row.planned_s and row.done_s > row.sent_s for row in sent.rows)
    if outcome == "ok":
        assert {(row.timings_us, row.redirects, row.retries, row.cold) for row in sent.rows} == {
            ((3000, 200, 100), 1, 2, 1)
        }
    else:
        assert {cause for _, cause, _ in sent.details} == {outcome}
        nothing_else = ((-1, -1, -1), 0, 0, NO_SESSION)
        assert {(row.timings_us, row.redirects, row.retries, row.session) for row in sent.rows} == {nothing_else}
        assert {row.cold for row in sent.rows} == {1 if behaviour is unavailable else NOT_SAID}


@pytest.mark.parametrize(("behaviour", "outcome"), [(never, "timeout"), (late, "late_reply")])
def test_no_answer_and_an_answer_too_late_are_told_apart(behaviour: Behaviour, outcome: str) -> None:
    """After the time limit an answer is waited for a little longer, only to be named; it is a failure either way."""
    with Server(behaviour).running() as server:
        sent = send(server.port, limits=SHORT)
    assert sent.outcomes == {outcome: 30}
    assert {row.cold for row in sent.rows} == {1 if behaviour is late else NOT_SAID}


@pytest.mark.alone
def test_a_late_reply_delays_nobody() -> None:
    """Open model: with every answer 0.6 s late, arrivals still leave at their planned times."""
    with Server(late).running() as server:
        sent = send(server.port, rate=200, limits=Limits(time_limit_s=2.0))
    assert sent.outcomes == {"ok": 60}
    lags = sorted(row.sent_s - row.planned_s for row in sent.rows)
    assert lags[len(lags) // 2] < 0.02
    assert all(row.done_s - row.planned_s > 0.59 for row in sent.rows)


def test_nobody_listens() -> None:
    """A refused connection is named so, with the address."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        sent = send(unused.getsockname()[1])
    assert sent.outcomes == {"refused": 30}
    assert "127.0.0.1:" in sent.details[0][2]


def test_a_connection_that_is_never_made() -> None:
    """A full backlog answers no handshake: the connect time limit ends it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        sent = send(listener.getsockname()[1], limits=Limits(time_limit_s=2, connect_limit_s=0.3))
        for filler in fillers:
            filler.close()
    assert sent.outcomes == {"connect_timeout": 30}


def test_the_cap_on_arrivals_in_flight() -> None:
    """Over the cap an arrival is counted missed at once, never queued and never dropped silently."""
    with Server(never).running() as server:
        sent = send(server.port, limits=Limits(time_limit_s=0.5, max_in_flight=7))
    assert sent.outcomes == {"timeout": 7, "in_flight_cap": 23}
    assert all(math.isnan(row.sent_s) for row in sent.rows if row.k >= 7)


@pytest.mark.alone
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux stamps replies")
def test_a_reply_is_timed_when_it_came_not_when_it_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender reads a reply at its next send; the kernel's stamp says when that reply really came."""
    wakings: list[bool] = []
    sleep = plain.EpollPoller.sleep

    def counted(poller: plain.EpollPoller, timeout_s: float, *, replies: bool, connections: bool) -> None:
        sleep(poller, timeout_s, replies=replies, connections=connections)
        wakings.append(replies)

    monkeypatch.setattr(plain.EpollPoller, "sleep", counted)

    async def soon(request: Received) -> None:
        await asyncio.sleep(0.001)
        request.reply()

    with Server(soon).running() as server:
        sent = send(server.port, rate=250, seconds=1)
    assert sent.outcomes == {"ok": 250}
    assert wakings.count(False) > 200, "slept through the replies"
    assert len(wakings) < 400, "not woken twice an arrival"
    service_ms = sorted((row.done_s - row.sent_s) * 1000 for row in sent.rows)
    assert 1.0 <= service_ms[125] < 3.0, "what the server took, not the 4 ms until the next arrival"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux stamps replies")
def test_a_clock_that_was_set_does_not_reach_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stamps are in the system's time: one that jumps makes them unbelievable, and the time of reading is taken."""
    jumps = iter(range(10**9))
    monkeypatch.setattr(time, "time_ns", lambda: next(jumps) * 10**10)
    with Server(good).running() as server:
        sent = send(server.port)
    assert sent.outcomes == {"ok": 30}
    assert all(0 < row.done_s - row.sent_s < 1 for row in sent.rows)


@pytest.mark.usefixtures("kernel")
def test_keep_alive_uses_few_connections() -> None:
    """Connections are used again, one at a time each."""
    with Server(good).running() as server:
        sent = send(server.port, keep_alive=True, rate=300)
    assert sent.outcomes == {"ok": 90}
    assert server.requests == 90
    assert server.connections < 30


@pytest.mark.usefixtures("kernel")
def test_connections_that_die_while_idle_cost_no_arrival() -> None:
    """A server that closes each connection a moment after its answer: the sender notices, and makes new ones."""

    async def closes_when_idle(request: Received) -> None:
        request.reply(close=False)
        await request.writer.drain()
        await asyncio.sleep(0.005)
        request.keep_alive = False

    with Server(closes_when_idle).running() as server:
        sent = send(server.port, keep_alive=True, rate=20, seconds=1)
    assert sent.outcomes == {"ok": 20}
    assert server.connections == 20


def test_a_new_connection_for_each_arrival_leaves_the_port_to_the_server() -> None:
    """Who closes first blocks a local port for a minute: the sender lets the server close."""
    with Server(good).running() as server:
        send(server.port, rate=200)
        waiting = _time_wait(server.port)
    assert waiting["client"] == 0


def _time_wait(port: int) -> dict[str, int]:
    """Connections in TIME_WAIT, by the side that closed first."""
    table = Path("/proc/net/tcp")
    if not table.exists():
        pytest.skip("needs /proc/net/tcp")
    found = {"client": 0, "server": 0}
    for line in table.read_text().splitlines()[1:]:
        _, local, remote, state = line.split()[:4]
        if state == "06":
            found["server"] += int(local.split(":")[1], 16) == port
            found["client"] += int(remote.split(":")[1], 16) == port
    return found


def test_all_addresses_of_a_name_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A load balancer's addresses take turns."""
    monkeypatch.setattr(plain, "resolve", lambda _, port: [(socket.AF_INET, (f"127.0.0.{n}", port)) for n in (1, 2, 3)])
    with Server(good, host="0.0.0.0").running() as server:
        resolver = Resolver("balancer.test", server.port)
        resolver.resolve()
        sent = send(server.port, resolver=resolver)
    assert sent.outcomes == {"ok": 30}
    assert set(server.by_address.values()) == {10}


def test_ipv6_and_a_dead_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with an IPv6 address that works and an IPv4 address that refuses loses no arrival."""
    if not socket.has_ipv6:
        pytest.skip("this system has no IPv6")
    addresses = [(socket.AF_INET, ("127.0.0.9", 0)), (socket.AF_INET6, ("::1", 0, 0, 0))]
    monkeypatch.setattr(plain, "resolve", lambda _, port: [(f, (a[0], port, *a[2:])) for f, a in addresses])
    try:
        with Server(good, host="::1").running() as server:
            resolver = Resolver("balancer.test", server.port)
            resolver.resolve()
            sent = send(server.port, resolver=resolver)
    except OSError:
        pytest.skip("this system has no ::1")
    assert sent.outcomes == {"ok": 30}
    assert any("127.0.0.9" in detail and "trying another address" in detail for _, _, detail in sent.details)


def test_a_name_is_resolved_again_and_a_failure_keeps_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """New addresses are taken up; a resolver that fails for a while loses nothing."""
    answers: list[object] = [
        [(socket.AF_INET, ("127.0.0.1", 1))],
        OSError("no resolver"),
        [(socket.AF_INET, ("127.0.0.2", 1))],
    ]

    def resolve(host: str, port: int) -> object:
        del host, port
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(plain, "resolve", resolve)
    resolver = Resolver("balancer.test", 1)
    assert resolver.next() is None
    seen: list[object] = []
    for _ in range(3):
        resolver.resolve()
        seen.append((resolver.next() or (0, ("nobody", 0)))[1][0])
    assert seen == ["127.0.0.1", "127.0.0.1", "127.0.0.2"]


def test_a_name_that_never_resolves_is_said_by_name() -> None:
    """No address: arrivals are missed, and the example says which name and what to check."""
    resolver = Resolver("no-such-name.invalid", 80)
    resolver.resolve()
    sent = send(80, resolver=resolver)
    assert sent.outcomes == {"unresolved": 30}
    assert "no-such-name.invalid cannot be resolved" in sent.details[0][2]
    assert "check --host" in sent.details[0][2]


def test_arrivals_overdue_for_long_are_missed_not_sent_at_random() -> None:
    """A machine that slept for seconds does not send its backlog into another second's load."""
    with Server(good).running() as server:
        resolver = Resolver("127.0.0.1", server.port)
        resolver.resolve()
        sent = send(server.port, resolver=resolver, shares=[Share(0, 0, 30, 1, final=True)])
        assert sent.outcomes == {"ok": 30}
        before = server.requests
        from loadgen import sender as module  # noqa: PLC0415 - the limit of this one module is turned here

        limit = module.MAX_OVERDUE_S
        module.MAX_OVERDUE_S = -1.0
        try:
            sent = send(server.port)
        finally:
            module.MAX_OVERDUE_S = limit
    assert sent.outcomes == {"overdue": 30}
    assert server.requests == before


_CHILD = """
    import resource, sys
    sys.path[:0] = [{root!r}, {root!r} + "/locust"]
    import asyncio
    from loadgen.sender import Limits
    from tests.locust.servers import Received, Server, send

    async def never(request: Received) -> None:
        await request.reader.read()

    with Server(never).running() as server:
        {prepare}
        sent = send(server.port, rate=200, limits=Limits(time_limit_s=0.6))
    print(dict(sent.outcomes), [detail for _, cause, detail in sent.details if cause == {cause!r}][0])
"""


def _child(prepare: str, cause: str, *before: str) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).resolve().parents[2])
    code = textwrap.dedent(_CHILD).format(root=root, prepare=prepare, cause=cause)
    return subprocess.run(
        [*before, sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, cwd=root
    )


@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")
def test_local_ports_used_up_is_said_with_the_remedy() -> None:
    """No port left: missed, by name, with what to do. In a network namespace with 20 ports."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "-n", "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs the right to make a network namespace")
    script = 'ip link set lo up && echo 40000 40019 > /proc/sys/net/ipv4/ip_local_port_range && exec "$@"'
    child = _child("pass", "no_ports", "unshare", "-n", "sh", "-c", script, "sh")
    assert child.returncode == 0, child.stderr
    assert "'no_ports': 4" in child.stdout
    assert "'timeout': " in child.stdout
    assert "keep-alive connections, or widen net.ipv4.ip_local_port_range" in child.stdout


def test_descriptors_used_up_is_said_with_the_remedy() -> None:
    """No file descriptor left: missed, by name, with what to do."""
    prepare = "resource.setrlimit(resource.RLIMIT_NOFILE, (40, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))"
    child = _child(prepare, "no_descriptors")
    assert child.returncode == 0, child.stderr
    assert "'no_descriptors': " in child.stdout
    assert "ulimit -n" in child.stdout


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("name", "must be an URL such as"),
        ("https://name/", "plain http"),
        ("http://", "must be an URL such as"),
        ("http://name:port/", "give an URL such as"),
        ("http://name:99999/", "give an URL such as"),
        ("http://na me/", "percent-encode"),
        ("http://name/ü", "percent-encode"),
    ],
)
def test_a_wrong_host_is_named(url: str, message: str) -> None:
    """A --host that cannot be used is quoted, with what it should look like."""
    with pytest.raises(TargetError) as error:
        Target(url)
    assert message in str(error.value)
    assert repr(url) in str(error.value)
