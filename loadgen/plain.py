"""The operating system's own threads, sockets and polling, also inside a process that gevent has patched.

The sender runs on a real thread beside Locust's hub; gevent hides what it needs (epoll altogether), and keeps the
originals.
"""

import _thread
import ctypes
import errno
import select
import socket
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, Protocol

_PR_SET_TIMERSLACK = 29
# One vocabulary for events: Linux's. EOF means that the peer sent its last byte, or that the connection is dead.
READ, WRITE, EOF = 0x1, 0x4, 0x8 | 0x10 | 0x2000
_EOF_ONCE = 0x2000 | 1 << 30  # EPOLLRDHUP, EPOLLONESHOT


def original(module: ModuleType, name: str) -> Any:
    """A module's attribute as it was before gevent patched or removed it; None if the system has none."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None:
        try:
            return monkey.get_original(module.__name__, name)
        except AttributeError:
            return None
    return getattr(module, name, None)


def start_thread(function: Callable[[], None]) -> None:
    """Run a function on a real thread that does not keep the process alive."""
    original(_thread, "start_new_thread")(function, ())


def fine_timers() -> None:
    """Let this thread's sleeps end on time: Linux groups wake-ups within 50 us by default."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)


def plain_socket() -> Any:
    """The C class under socket.socket: no Python wrapper around each call."""
    import _socket  # noqa: PLC0415 - private, and only here

    return _socket.socket


def resolve(host: str, port: int) -> list[tuple[int, Any]]:
    """All stream addresses of a name, as (family, address); blocks, and never goes through gevent's resolver."""
    found = original(socket, "getaddrinfo")(host, port, 0, socket.SOCK_STREAM)
    seen: dict[tuple[int, Any], None] = {}
    for family, _, _, _, address in found:
        if family in (socket.AF_INET, socket.AF_INET6):
            seen[int(family), address] = None
    return list(seen)


class Poller(Protocol):
    """What the sender needs of epoll or kqueue. A closed descriptor leaves by itself."""

    def watch_read(self, fd: int) -> None:
        """Wake once when there is something to read, or the peer is done."""
        ...

    def watch_write(self, fd: int) -> None:
        """Wake when a connection is made, or failed."""
        ...

    def now_read(self, fd: int) -> None:
        """Again, or from `watch_write` to `watch_read`."""
        ...

    def wait(self, timeout_s: float) -> list[tuple[int, int]]:
        """(descriptor, events) after at most the timeout, which is kept to well under a millisecond."""
        ...

    def close(self) -> None:
        """Give the descriptor back."""
        ...


class EpollPoller(Poller):
    """Linux. epoll's own timeout is in whole milliseconds; a `select` on its descriptor sleeps to the microsecond."""

    def __init__(self) -> None:
        self._epoll = original(select, "epoll")()
        self._fd = [self._epoll.fileno()]
        # select() cannot watch descriptors from 1024 on
        self._select = original(select, "select") if self._fd[0] < 1024 else None

    def watch_read(self, fd: int) -> None:  # noqa: D102 - see Poller
        self._epoll.register(fd, READ | _EOF_ONCE)

    def watch_write(self, fd: int) -> None:  # noqa: D102 - see Poller
        self._epoll.register(fd, WRITE)

    def now_read(self, fd: int) -> None:  # noqa: D102 - see Poller
        self._epoll.modify(fd, READ | _EOF_ONCE)

    def wait(self, timeout_s: float) -> list[tuple[int, int]]:  # noqa: D102 - see Poller
        if timeout_s > 0:
            if self._select is None:
                return self._epoll.poll(timeout_s, 256)
            if not self._select(self._fd, (), (), timeout_s)[0]:
                return []
        return self._epoll.poll(0, 256)

    def close(self) -> None:  # noqa: D102 - see Poller
        self._epoll.close()


class KqueuePoller(Poller):
    """macOS and the BSDs: kqueue's timeout is in nanoseconds already."""

    def __init__(self) -> None:
        self._kqueue = original(select, "kqueue")()
        self._kevent = original(select, "kevent")
        self._filter_read = original(select, "KQ_FILTER_READ")
        self._filter_write = original(select, "KQ_FILTER_WRITE")
        self._add = original(select, "KQ_EV_ADD")
        self._once = original(select, "KQ_EV_ONESHOT")
        self._eof = original(select, "KQ_EV_EOF")

    def watch_read(self, fd: int) -> None:  # noqa: D102 - see Poller
        self._kqueue.control([self._kevent(fd, self._filter_read, self._add | self._once)], 0, 0)

    def watch_write(self, fd: int) -> None:  # noqa: D102 - see Poller
        self._kqueue.control([self._kevent(fd, self._filter_write, self._add | self._once)], 0, 0)

    def now_read(self, fd: int) -> None:  # noqa: D102 - see Poller
        self.watch_read(fd)

    def wait(self, timeout_s: float) -> list[tuple[int, int]]:  # noqa: D102 - see Poller
        events: list[tuple[int, int]] = []
        for event in self._kqueue.control(None, 256, max(timeout_s, 0)):
            flags = READ if event.filter == self._filter_read else WRITE
            if event.flags & self._eof:
                flags |= 0x2000
            events.append((event.ident, flags))
        return events

    def close(self) -> None:  # noqa: D102 - see Poller
        self._kqueue.close()


def poller() -> Poller:
    """This system's poller."""
    if original(select, "epoll") is not None:
        return EpollPoller()
    if original(select, "kqueue") is not None:
        return KqueuePoller()
    raise OSError(
        errno.ENOSYS, f"this system ({sys.platform}) has neither epoll nor kqueue; run the load on Linux or macOS"
    )
