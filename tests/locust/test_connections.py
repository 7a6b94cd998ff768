"""The sender's connections: made, refused, kept alive and closed; what it lacks is said with the remedy."""

import asyncio
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from loadgen.sender import Limits
from tests.locust.servers import Received, Server, good, send


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


@pytest.mark.usefixtures("kernel")
def test_keep_alive_uses_few_connections() -> None:
    """Connections are used again, one at a time each."""
    with Server(good).running() as server:
        sent = send(server.port, keep_alive=True, rate=300)
    assert sent.outcomes == {"ok": 90}
    assert server.requests == 90
    assert server.connections < 30


@pytest.mark.alone
@pytest.mark.usefixtures("kernel")
def test_connections_that_die_while_idle_cost_no_arrival() -> None:
    """A server that closes each connection a moment after its answer: the sender notices, and makes new ones."""

    async def closes_when_idle(request: Received) -> None:
        request.reply(close=False)
        await request.writer.drain()
        await asyncio.sleep(0.005)
        request.keep_alive = False

    with Server(closes_when_idle).running() as server:
        sent = send(server.port, keep_alive=True, rate=5, seconds=2)
    assert sent.outcomes == {"ok": 10}
    assert server.connections == 10


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
    waiting = {"client": 0, "server": 0}
    for line in table.read_text().splitlines()[1:]:
        _, local, remote, state = line.split()[:4]
        if state == "06":
            waiting["server"] += int(local.split(":")[1], 16) == port
            waiting["client"] += int(remote.split(":")[1], 16) == port
    return waiting


_CHILD = """
    import resource, sys
    sys.path[:0] = [{root!r}, {root!r} + "/locust"]
    from loadgen.sender import Limits
    from tests.locust.servers import Server, never, send

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
