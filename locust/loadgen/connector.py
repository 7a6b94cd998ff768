"""Sends an arrival's request: on an idle connection, else on a new one; where an address refuses, to another."""

import errno
import os
import socket
from collections.abc import Callable
from typing import Any

from loadgen import outcomes, plain
from loadgen.connections import Connections
from loadgen.exchange import Exchange, Exchanges
from loadgen.resolver import Address, Resolver
from loadgen.timelimits import TimeLimits

_CONNECTING = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN, 0})
_NO_PORT = frozenset({errno.EADDRNOTAVAIL, errno.EADDRINUSE})
_OUTCOME_OF_ERRNO = {
    errno.ECONNREFUSED: outcomes.REFUSED,
    errno.ECONNRESET: outcomes.RESET,
    errno.EPIPE: outcomes.RESET,
    errno.ECONNABORTED: outcomes.RESET,
    errno.ETIMEDOUT: outcomes.CONNECT_TIMEOUT,
}
_NO_CONNECTION = frozenset({outcomes.REFUSED, outcomes.UNREACHABLE, outcomes.CONNECT_TIMEOUT})


class Connector:
    """Sends requests. An arrival that it cannot send ends here, with the reason and what to do about it."""

    def __init__(
        self,
        request: bytes,
        *,
        exchanges: Exchanges,
        connections: Connections,
        time_limits: TimeLimits,
        resolver: Resolver,
        poller: plain.Poller,
        now: Callable[[], float],
    ) -> None:
        self._request = request
        self._exchanges = exchanges
        self._connections = connections
        self._connecting = time_limits.connecting
        self._resolver = resolver
        self._poller = poller
        self._now = now

    def send(self, exchange: Exchange) -> None:
        """Send a planned arrival's request now, or as soon as a connection for it is made."""
        if self._connections.idle:
            self._reuse(exchange, *self._connections.take_idle())
        else:
            self._connect(exchange)

    def writable(self, exchange: Exchange) -> None:
        """Its connection is made or refused; sending the request shows which."""
        try:
            exchange.sock.send(self._request)
        except BlockingIOError:
            return
        except OSError as error:
            code = exchange.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or error.errno or errno.EIO
            self._refused(exchange, code)
            return
        self._exchanges.requested(exchange)
        self._poller.connected(exchange.fd)

    def _connect(self, exchange: Exchange) -> None:
        address = self._resolver.next()
        if address is None:
            self._exchanges.missed(exchange, outcomes.UNRESOLVED, self._resolver.problem)
            return
        try:
            sock = self._connections.open(address[0])
        except OSError as error:
            detail = f"{error.strerror}; raise the limit of open files (ulimit -n), or lower the rate"
            self._exchanges.missed(exchange, outcomes.NO_DESCRIPTORS, detail)
            return
        self._exchanges.connecting(exchange, sock, address, self._now())
        try:
            code = sock.connect_ex(address[1])
        except OSError as error:
            code = error.errno or errno.EINVAL
        if code not in _CONNECTING:
            self._refused(exchange, code)
            return
        try:
            sock.send(self._request)  # on loopback the connection is made already; elsewhere this says EAGAIN
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ENOTCONN):
                self._refused(exchange, error.errno or errno.EIO)
                return
            self._connecting.append(exchange)
            self._poller.watch_write(exchange.fd)
            return
        self._exchanges.requested(exchange)
        self._poller.watch_read(exchange.fd)

    def _reuse(self, exchange: Exchange, sock: Any, address: Address) -> None:
        """Send on an idle connection. If that fails, the server may have the request: it is not sent again."""
        self._exchanges.connecting(exchange, sock, address, self._now())
        try:
            sock.send(self._request)
        except OSError as error:
            outcome = _OUTCOME_OF_ERRNO.get(error.errno or 0, outcomes.RESET)
            self._exchanges.failed(exchange, self._now(), outcome, f"on an idle connection: {error.strerror}")
            return
        self._exchanges.requested(exchange)

    def _refused(self, exchange: Exchange, code: int) -> None:
        """No connection could be made. Nothing was sent, so another address of the name may be tried."""
        self._exchanges.disconnect(exchange)
        detail = f"{exchange.where}: {os.strerror(code)}"
        if code in _NO_PORT:
            remedy = (
                "this machine's local ports are used up (a closed connection blocks one for a minute); use "
                "more load tasks, keep-alive connections, or widen net.ipv4.ip_local_port_range"
            )
            self._exchanges.missed(exchange, outcomes.NO_PORTS, f"{detail}: {remedy}")
            return
        outcome = _OUTCOME_OF_ERRNO.get(code, outcomes.UNREACHABLE)
        if outcome in _NO_CONNECTION:
            self._resolver.down(exchange.address)
            if exchange.tries < self._resolver.count and self._resolver.any_up():
                self._exchanges.example(outcome, f"{detail}; trying another address of the name")
                self._connect(exchange)
                return
        self._exchanges.end(exchange, self._now(), outcome, detail=detail)
