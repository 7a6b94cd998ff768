"""Replies that are cut, never end, or are none: through a proxy in front of a real node, which announces the proxy."""

import select
import socket
import threading
import time
from collections.abc import Callable, Generator

import pytest

from function.cache_settings import CacheSettings
from rehearsal.cluster import Cluster
from rehearsal.ports import free_ports
from rehearsal.processes import Processes
from tests.function.support import Function, told

LIMIT_S = 2.0

Fault = Callable[[bytes, socket.socket], bool]


class Proxy:
    """Passes everything on, but for replies that begin like HGETALL's or HSET's while a fault is set."""

    def __init__(self, port: int, to: int) -> None:
        self.fault: Fault | None = None
        self.times = 0
        self._to = to
        self._listener = socket.create_server(("127.0.0.1", port))
        self._ended = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def break_replies(self, fault: Fault | None, times: int = 1_000_000) -> None:
        """Damage the next replies to data commands."""
        self.fault, self.times = fault, times

    def close(self) -> None:
        """Stop."""
        self._ended.set()
        self._listener.close()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._to)) as server:
            data_command = False
            while not self._ended.is_set():
                ready, _, _ = select.select([client, server], [], [], 0.2)
                try:
                    if client in ready:
                        sent = client.recv(65536)
                        data_command = b"HSET" in sent or b"HGETALL" in sent
                        server.sendall(sent)
                        if not sent:
                            return
                    if server in ready:
                        reply = server.recv(65536)
                        fault = self.fault if data_command and self.times else None
                        self.times -= fault is not None
                        if not reply or (fault and not fault(reply, client)):
                            return
                        if not fault:
                            client.sendall(reply)
                except OSError:
                    return


def _cut(reply: bytes, client: socket.socket) -> bool:
    client.sendall(reply[: len(reply) // 2])
    return False


def _stall(reply: bytes, client: socket.socket) -> bool:
    client.sendall(reply[: len(reply) // 2])
    return True


def _garbage(_: bytes, client: socket.socket) -> bool:
    client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    return True


def _dribble(_: bytes, client: socket.socket) -> bool:
    client.sendall(b"$1000\r\n")
    while True:  # until the client has gone: sendall then fails
        client.sendall(b"x")
        time.sleep(0.02)


@pytest.fixture(scope="module")
def proxied(processes: Processes) -> Generator[tuple[Proxy, CacheSettings]]:
    """A node whose layout names the proxy, so that data commands pass through it too."""
    (port,) = free_ports(1)
    node = Cluster(processes, shards=1, replicas=0, config={"cluster-announce-port": str(port)}).start()
    proxy = Proxy(port, node.primaries[0].port)
    yield proxy, CacheSettings("127.0.0.1", port)
    proxy.close()
    node.stop()


def test_a_reply_cut_once_is_read_again(function: Function, proxied: tuple[Proxy, CacheSettings]) -> None:
    """The write may have been carried out or not; sent again it is the same session with the same fields."""
    proxy, cache = proxied
    function.configure(cache)
    proxy.break_replies(_cut, times=1)
    done = function.invoke()
    assert (done.status, done.body["retries"]) == (200, 1)
    proxy.break_replies(_garbage, times=1)
    done = function.invoke()
    assert (done.status, done.body["retries"]) == (200, 1)


@pytest.mark.alone
@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        (_cut, 503, "unavailable"),
        (_garbage, 503, "unavailable"),
        (_stall, 504, "deadline"),
        (_dribble, 504, "deadline"),
    ],
)
def test_replies_that_stay_broken_end_in_time(
    fault: Fault, status: int, kind: str, function: Function, proxied: tuple[Proxy, CacheSettings]
) -> None:
    """A byte now and then keeps every socket time-out from coming: the limit must hold for the reply as a whole."""
    proxy, cache = proxied
    proxy.break_replies(fault)
    try:
        done = function.configure(cache).invoke(LIMIT_S)
    finally:
        proxy.break_replies(None)
    told(done, status, kind)
    assert done.seconds < LIMIT_S
    assert function.invoke().status == 200
