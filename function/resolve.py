"""Names to addresses, within a time limit.

getaddrinfo has no time limit: without an answer from the resolver it blocks for ten seconds or more. So a thread looks
names up. It is kept between invocations, because starting one each time would cost as much as the connection that is
measured; a thread that hangs is abandoned and replaced. Numeric addresses need no resolver.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

SocketAddress = tuple[Any, ...]


class UnresolvedError(OSError):
    """The name has no address, or none was found in time."""


@dataclass(frozen=True)
class Address:
    """One address of a name."""

    family: int
    sockaddr: SocketAddress

    @property
    def place(self) -> tuple[str, int]:
        """Numeric host and port: equal for two names of one node."""
        return str(self.sockaddr[0]), int(self.sockaddr[1])


ResolverAnswer = SimpleQueue["Sequence[Address] | OSError"]


def resolve(host: str, port: int, until: float) -> Sequence[Address]:
    """Return the addresses of host in the resolver's order; `until` is a moment on the monotonic clock."""
    with contextlib.suppress(OSError, ValueError):
        socket.inet_pton(socket.AF_INET, host)
        return [Address(socket.AF_INET, (host, port))]
    with contextlib.suppress(OSError, ValueError):
        socket.inet_pton(socket.AF_INET6, host)
        return [Address(socket.AF_INET6, (host, port, 0, 0))]
    answer = _Resolver.ask(host, port, until)
    if isinstance(answer, OSError):
        raise UnresolvedError(f"{host} does not resolve: {answer}") from answer
    return answer


def _look_up(host: str, port: int) -> Sequence[Address]:
    answer = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [Address(family, sockaddr) for family, _, _, _, sockaddr in answer]


class _Resolver:
    """The thread that waits for getaddrinfo."""

    _current: "_Resolver | None" = None

    def __init__(self) -> None:
        self.questions: SimpleQueue[tuple[str, int, ResolverAnswer]] = SimpleQueue()
        threading.Thread(target=self._serve, name="resolver", daemon=True).start()

    def _serve(self) -> None:
        while True:
            host, port, answer = self.questions.get()
            try:
                answer.put(_look_up(host, port))
            except OSError as error:
                answer.put(error)
            except ValueError as error:  # a label that is too long, a NUL: not a name at all
                answer.put(OSError(str(error)))

    @classmethod
    def ask(cls, host: str, port: int, until: float) -> "Sequence[Address] | OSError":
        resolver = cls._current
        if resolver is None:
            resolver = cls._current = cls()
        answer: ResolverAnswer = SimpleQueue()
        resolver.questions.put((host, port, answer))
        try:
            return answer.get(timeout=max(0.0, until - time.monotonic()))
        except Empty:
            cls._current = None
            return TimeoutError("the resolver did not answer in time")
