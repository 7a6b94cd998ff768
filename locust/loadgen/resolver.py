"""The target's addresses: a thread resolves the name every 20 seconds, and arrivals use all addresses in turn.

A load balancer gets more addresses as it grows; a generator that resolves once sends all its load to the first ones.
"""

import time
from typing import Any
from urllib.parse import urlsplit

from loadgen import plain

RESOLVE_EVERY_S = 20.0
DOWN_FOR_S = 5.0  # an address that refused is left out this long, while another one works

Address = tuple[int, Any]


class TargetError(ValueError):
    """A --host that cannot be used."""


class Target:
    """The URL under test, taken apart, and the request that every arrival sends."""

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise TargetError(f"host {url!r}: {error}; give an URL such as http://name:port/") from None
        if parts.scheme != "http" or not parts.hostname:
            raise TargetError(
                f"host {url!r}: must be an URL such as http://name:port/ (plain http: the load balancer's listener)"
            )
        self.url = url
        self.host = parts.hostname
        self.port = port or 80
        self.path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if not self.path.isascii() or any(character <= " " for character in self.path + parts.netloc):
            raise TargetError(f"host {url!r}: has characters that an URL may not have; percent-encode them")
        self.authority = parts.netloc.rpartition("@")[2]

    def request(self, *, keep_alive: bool) -> bytes:
        """The bytes of one request."""
        connection = "keep-alive" if keep_alive else "close"
        lines = (
            f"GET {self.path} HTTP/1.1",
            f"Host: {self.authority}",
            "User-Agent: arrivals",
            "Accept: */*",
            f"Connection: {connection}",
        )
        return "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii")


class Resolver:
    """Addresses in turn, without those that just refused."""

    def __init__(self, host: str, port: int, *, every_s: float = RESOLVE_EVERY_S) -> None:
        self.host, self.port = host, port
        self.problem = f"{host} has not been resolved yet"
        self._every_s = every_s
        self._addresses: tuple[Address, ...] = ()
        self._down: dict[Address, float] = {}
        self._turn = 0
        self._quit = False

    @property
    def count(self) -> int:
        """How many addresses the name has."""
        return len(self._addresses)

    def start(self) -> None:
        """Resolve now (this blocks), and from then on in the background."""
        self.resolve()
        plain.start_thread(self._run)

    def quit(self) -> None:
        """Stop resolving."""
        self._quit = True

    def resolve(self) -> None:
        """Look the name up once; a failure keeps the addresses known so far."""
        try:
            addresses = tuple(plain.resolve(self.host, self.port))
        except (OSError, UnicodeError) as error:
            self.problem = f"{self.host} cannot be resolved: {error}; check --host"
            return
        if set(addresses) != set(self._addresses):  # the same addresses in another order change nothing
            self._addresses = addresses

    def next(self) -> Address | None:
        """The next address in turn; None if the name never resolved."""
        addresses = self._addresses
        if not addresses:
            return None
        self._turn += 1
        if self._down:
            now = time.monotonic()
            up = [address for address in addresses if self._down.get(address, 0.0) <= now]
            if len(up) == len(addresses):
                self._down.clear()
            addresses = up or addresses
        return addresses[self._turn % len(addresses)]

    def down(self, address: Address) -> None:
        """Leave an address out for a while."""
        self._down[address] = time.monotonic() + DOWN_FOR_S

    def any_up(self) -> bool:
        """Whether another address is worth a try."""
        now = time.monotonic()
        return any(self._down.get(address, 0.0) <= now for address in self._addresses)

    def _run(self) -> None:
        pause = plain.original(time, "sleep")
        waited = 0.0
        while not self._quit:
            pause(0.25)
            waited += 0.25
            if waited >= self._every_s or not self._addresses:
                waited = 0.0
                self.resolve()
