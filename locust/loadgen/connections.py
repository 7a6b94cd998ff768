"""The sender's connections while no exchange holds them: new, idle (keep-alive), or left for the server to close."""

import socket
from typing import Any

from loadgen import plain
from loadgen.closing import Closing
from loadgen.resolver import Address
from loadgen.stamps import stamp

_MADE_NONBLOCKING = getattr(socket, "SOCK_NONBLOCK", 0)  # saves a system call where the system has it
_STREAM = socket.SOCK_STREAM | _MADE_NONBLOCKING


class Connections:
    """Opens connections, and takes them back when their reply is read."""

    def __init__(self, poller: plain.Poller, *, keep_alive: bool, stamped: bool) -> None:
        self._poller = poller
        self._keep_alive = keep_alive
        self._stamped = stamped  # whether the kernel can stamp replies with the time they came
        self._socket = plain.plain_socket()
        self.idle: dict[int, tuple[Any, Address]] = {}  # by descriptor, the one used last at the end
        self._closing = Closing()

    def open(self, family: int) -> Any:
        """A new socket; OSError if this process has no file descriptor left."""
        sock = self._socket(family, _STREAM)
        if not _MADE_NONBLOCKING:
            sock.setblocking(False)
        if self._stamped:
            stamp(sock)
        return sock

    def take_idle(self) -> tuple[Any, Address]:
        """The idle connection used last, since the server closes those first that are idle for long."""
        return self.idle.popitem()[1]

    def give_back(self, sock: Any, address: Address, now_s: float, *, reusable: bool, closed: bool) -> None:
        """Its reply is read: keep the connection if it may carry another request, else see that it is closed."""
        if closed:
            sock.close()
        elif self._keep_alive and reusable:
            fd = sock.fileno()
            self.idle[fd] = sock, address
            self._poller.again_read(fd)  # tells when the server closes it meanwhile
        else:
            self._closing.add(sock, now_s)

    def told(self, fd: int) -> None:
        """Drop an idle connection that became readable: the server closed it, or sent bytes nobody asked for."""
        if fd in self.idle:
            self.idle.pop(fd)[0].close()

    def tidy(self, now_s: float) -> None:
        """Check the connections that the server should close."""
        self._closing.tidy(now_s)

    def close(self) -> None:
        """Close every connection now."""
        for sock, _ in self.idle.values():
            sock.close()
        self._closing.close()
