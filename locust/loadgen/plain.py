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
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any, Protocol

_PR_SET_TIMERSLACK = 29
# One vocabulary for events: Linux's. EOF means that the peer sent its last byte, or that the connection is dead.
READ, WRITE, EOF = 0x1, 0x4, 0x8 | 0x10 | 0x2000
LAST = READ | 0x2000  # something to read, and the peer sent its last byte, in good order
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
    answers = original(socket, "getaddrinfo")(host, port, 0, socket.SOCK_STREAM)
    seen: dict[tuple[int, Any], None] = {}
    for family, _, _, _, address in answers:
        if family in (socket.AF_INET, socket.AF_INET6):
            seen[int(family), address] = None
    return list(seen)


class Poller(Protocol):
    """What the sender needs of epoll or kqueue. A closed descriptor leaves by itself."""

    def watch_read(self, fd: int) -> None:
        """Give one event when there is something to read, or the peer has closed."""
        ...

    def watch_write(self, fd: int) -> None:
        """Give an event when a connection is made or has failed."""
        ...

    def again_read(self, fd: int) -> None:
        """`watch_read` once more."""
        ...

    def connected(self, fd: int) -> None:
        """From `watch_write` to `watch_read`."""
        ...

    def sleep(self, timeout_s: float, *, replies: bool, connections: bool) -> None:
        """Sleep until an event or the timeout, to well under a millisecond.

        Where the system can, replies and connections that are not asked for do not end the sleep.
        """
        ...

    def ready(self) -> list[tuple[int, int]]:
        """(descriptor, events) of each descriptor that has an event now."""
        ...

    def close(self) -> None:
        """Give the descriptors back."""
        ...


class EpollPoller(Poller):
    """Linux. epoll's own timeout is in whole milliseconds; a `select` on its descriptor sleeps to the microsecond.

    Connections are watched by an epoll of their own, inside the one for replies, so that one can be waited for alone.
    """

    def __init__(self) -> None:
        self._replies = original(select, "epoll")()
        self._connections = original(select, "epoll")()
        self._all, self._some = [self._replies.fileno()], [self._connections.fileno()]
        self._connections_fd: int = self._some[0]
        self._replies.register(self._connections_fd, READ)
        # select() cannot watch descriptors from 1024 on
        fine = max(self._all[0], self._connections_fd) < 1024
        self._select = original(select, "select") if fine else None
        self._sleep = original(time, "sleep")

    def watch_read(self, fd: int) -> None:  # noqa: D102 - see Poller
        self._replies.register(fd, READ | _EOF_ONCE)

    def watch_write(self, fd: int) -> None:  # noqa: D102 - see Poller
        self._connections.register(fd, WRITE)

    def again_read(self, fd: int) -> None:  # noqa: D102 - see Poller
        self._replies.modify(fd, READ | _EOF_ONCE)

    def connected(self, fd: int) -> None:  # noqa: D102 - see Poller
        self._connections.unregister(fd)
        self._replies.register(fd, READ | _EOF_ONCE)

    def sleep(self, timeout_s: float, *, replies: bool, connections: bool) -> None:  # noqa: D102 - see Poller
        if not replies and not connections:
            self._sleep(timeout_s)
        elif self._select is not None:
            self._select(self._all if replies else self._some, (), (), timeout_s)
        else:
            (self._replies if replies else self._connections).poll(timeout_s, 1)

    def ready(self) -> list[tuple[int, int]]:  # noqa: D102 - see Poller
        events: list[tuple[int, int]] = self._replies.poll(0, 256)
        for at, (fd, _) in enumerate(events):
            if fd == self._connections_fd:
                events[at : at + 1] = self._connections.poll(0, 256)
                break
        return events

    def close(self) -> None:  # noqa: D102 - see Poller
        self._connections.close()
        self._replies.close()


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
        self._waiting: list[Any] = []

    def watch_read(self, fd: int) -> None:  # noqa: D102 - see Poller
        self._kqueue.control([self._kevent(fd, self._filter_read, self._add | self._once)], 0, 0)

    def watch_write(self, fd: int) -> None:  # noqa: D102 - see Poller
        self._kqueue.control([self._kevent(fd, self._filter_write, self._add | self._once)], 0, 0)

    def again_read(self, fd: int) -> None:  # noqa: D102 - see Poller
        self.watch_read(fd)

    def connected(self, fd: int) -> None:  # noqa: D102 - see Poller
        self.watch_read(fd)

    def sleep(self, timeout_s: float, *, replies: bool, connections: bool) -> None:  # noqa: D102 - see Poller
        del replies, connections  # one queue for both
        self._waiting = self._kqueue.control(None, 256, max(timeout_s, 0))

    def ready(self) -> list[tuple[int, int]]:  # noqa: D102 - see Poller
        kevents, self._waiting = self._waiting or self._kqueue.control(None, 256, 0), []
        events: list[tuple[int, int]] = []
        for event in kevents:
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
