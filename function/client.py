"""A thin cluster client: it finds a key's owner, follows redirects while slots move, and counts redirects and retries.

Every command has one key. A try ends in a reply or in one of these:

- MOVED, ASK: go where the cluster says (`redirects`).
- TRYAGAIN, CLUSTERDOWN, MASTERDOWN, READONLY, LOADING, a lost connection, no answer: wait a little, ask the cluster
  who owns the slot now, try again (`retries`).
- Anything else (credentials, a command that the server does not know): raise, because a second try would fail too.

The client tries again until the deadline. Each try gets a share of the time left, so one silent node cannot use all of
it. Commands must be safe to send twice: after a connection was lost, nobody knows whether the command was executed.
"""

import bisect
import random
import time
from collections.abc import Callable, Sequence
from typing import Self, TypeVar

from function.cache_settings import CacheSettings
from function.deadline import Deadline
from function.link import Link
from function.redispy import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    LostError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    SilentError,
    TryAgainError,
    key_slot,
)
from function.resolve import Address, UnresolvedError, resolve
from function.resp import RespReply, pack

A = TypeVar("A")
T = TypeVar("T")
NodeAddress = tuple[str, int]

TRIES = 100
HOPS = 5  # redirects of one try in a row, before the cluster is given time to agree with itself
CONNECT_S = 1.5  # one lost SYN is sent again after a second
LAYOUT_S = 2.0
REPLY_S = 5.0
RESOLVE_S = 5.0
TELLING_S = 0.05  # a try that began with less time than this does not tell a silent node from a slow one
PAUSE_S = 0.5  # the longest; the first is at most 5 ms

_ASKING = pack(["ASKING"])
_PASSING = (TryAgainError, ClusterDownError, MasterDownError, ReadOnlyError)
_PASSING_TEXTS = ("NOREPLICAS", "MISCONF")
_NO_HOST = (None, b"", b"?")
_REFUSALS = (AuthenticationError, AuthorizationError, NoPermissionError)


class CacheError(Exception):
    """The cache could not be used; the message is for the log."""


class UnavailableError(CacheError):
    """The cache cannot serve this key now; the message says why."""


class OutOfTimeError(CacheError):
    """The deadline came while a node stayed silent."""


class RefusedError(CacheError):
    """The cache refused, and would refuse again."""


class Command:
    """A command on one key, packed before the clock starts: packing is not the cache's time."""

    def __init__(self, key: str, *words: str) -> None:
        self.slot = key_slot(key.encode())
        self.packed = pack(words)


class Layout:
    """Who owns which slots, according to one node."""

    def __init__(self, rows: list[list[RespReply]], told_by: str) -> None:
        self._rows = {row[0]: row for row in rows}  # first slot, last slot, primary, replicas
        self._firsts = sorted(self._rows)
        self._told_by = told_by
        self._owners: dict[int, NodeAddress] = {}  # slots looked up before, corrected by MOVED
        self.contradicted = False  # whether a MOVED named another owner

    def owner(self, slot: int) -> NodeAddress | None:
        """Return the node that owns the slot; None if nobody does."""
        if slot in self._owners:
            return self._owners[slot]
        at = bisect.bisect_right(self._firsts, slot) - 1
        if at < 0:
            return None
        row = self._rows[self._firsts[at]]
        if slot > row[1]:
            return None
        self._owners[slot] = node = _node(row[2], self._told_by)
        return node

    def nodes(self) -> list[NodeAddress]:
        """Return every node, primaries first."""
        primaries = [_node(row[2], self._told_by) for row in self._rows.values()]
        replicas = [_node(node, self._told_by) for row in self._rows.values() for node in row[3:]]
        return list(dict.fromkeys([*primaries, *replicas]))

    def moved(self, slot: int, owner: NodeAddress) -> None:
        """Note what a MOVED said."""
        self._owners[slot] = owner
        self.contradicted = True


def _node(fields: list[RespReply], told_by: str) -> NodeAddress:
    """Read a node of CLUSTER SLOTS; no host means the host that answered."""
    return (told_by if fields[0] in _NO_HOST else fields[0].decode()), fields[1]


def redirected(reply: AskError, link: Link) -> NodeAddress:
    """Return the node that an ASK or MOVED names; no host means another port of the host that sent it."""
    host, port = reply.node_addr
    return (link.place[0] if host.encode() in _NO_HOST else host), port


def _telling(before: Exception | None, failure: Exception, left_s: float) -> Exception:
    """The failure to report: with almost no time left every node is silent, which does not tell what went wrong."""
    if before is not None and isinstance(failure, SilentError) and left_s < TELLING_S:
        return before
    return failure


class ClusterClient:
    """A client of the cluster behind one endpoint. Not for use by several threads at once."""

    def __init__(self, cache: CacheSettings) -> None:
        self.redirects = 0
        self.retries = 0
        self._cache = cache
        self._layout: Layout | None = None
        self._known: Layout | None = None  # the last, for the nodes it names
        self._links: dict[NodeAddress, Link] = {}
        self._suspects: set[NodeAddress] = set()

    def connect(self, key: str, deadline: Deadline) -> None:
        """Connect to the owner of key: resolve the endpoint, connect, learn the layout, connect to the owner.

        Reuses open connections and the layout of an earlier invocation, unless a MOVED contradicted that layout.
        """
        if self._layout and self._layout.contradicted:
            self._layout = None
        for node in list(self._links):
            if node in self._links and not self._links[node].idle():
                self.drop(node)
        self.persist(self._connect_owner, key_slot(key.encode()), deadline)

    def execute(self, command: Command, deadline: Deadline) -> RespReply:
        """Send a command to its key's current owner and return the reply."""
        return self.persist(self._follow, command, deadline)

    def close(self) -> None:
        """Close every connection."""
        for link in self._links.values():
            link.close()
        self._links = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def persist(self, step: Callable[[A, Deadline], T], subject: A, deadline: Deadline) -> T:
        """Repeat a step, each time after a pause and with a new layout, until it succeeds or the time is up."""
        error: Exception | None = None
        for number in range(TRIES):
            left_s = deadline.left()
            try:
                return step(subject, deadline)
            except _REFUSALS as failure:
                raise RefusedError(f"{self._cache} refused: {failure}") from failure
            except OutOfMemoryError as failure:
                raise UnavailableError(f"{self._cache} is out of memory: {failure}") from failure
            except (*_PASSING, LostError, SilentError, UnresolvedError) as failure:
                error = _telling(error, failure, left_s)
            except ResponseError as failure:
                if not str(failure).startswith(_PASSING_TEXTS):
                    raise RefusedError(f"{self._cache} refused: {failure}") from failure
                error = failure
            pause = random.uniform(0.001, min(PAUSE_S, 0.005 * 2**number))  # noqa: S311 - spreads retries, no secret
            if pause >= deadline.left():
                break
            time.sleep(pause)
            self.retries += 1
            self._layout = None
        if isinstance(error, SilentError):
            raise OutOfTimeError(f"no answer in time from {self._cache}: {error}") from error
        raise UnavailableError(f"{self._cache} cannot serve: {error}") from error

    def owner(self, slot: int, deadline: Deadline) -> NodeAddress:
        """Return the slot's owner; asks for the layout if it is unknown."""
        if self._layout is None:
            self._layout = self._known = self._learn(deadline)
        owner = self._layout.owner(slot)
        if owner is None:
            raise ClusterDownError(f"no node owns slot {slot}")
        return owner

    def moved(self, slot: int, owner: NodeAddress) -> None:
        """Note a MOVED: the slot's next command goes to `owner`, and `connect` asks for the whole layout again."""
        if self._layout:
            self._layout.moved(slot, owner)

    def forget_layout(self) -> None:
        """Ask for the layout again before the next command."""
        self._layout = None

    def link(self, node: NodeAddress, deadline: Deadline) -> Link:
        """Return the connection to a node; connects if there is none."""
        if node not in self._links:
            self._links[node] = self._connect(node[0], resolve(*node, deadline.share(1 / 2, RESOLVE_S)), deadline)
        return self._links[node]

    def drop(self, node: NodeAddress) -> None:
        """Close the connection to a node that failed, and try that node last from now on."""
        link = self._links.get(node)
        if link is not None:
            link.close()
            self._suspects.add(link.place)
            self._links = {name: kept for name, kept in self._links.items() if kept is not link}

    def _connect_owner(self, slot: int, deadline: Deadline) -> Link:
        return self.link(self.owner(slot, deadline), deadline)

    def _follow(self, command: Command, deadline: Deadline) -> RespReply:
        """Make one try, following redirects."""
        slot, packed = command.slot, command.packed
        node = self.owner(slot, deadline)
        asking = False
        for _ in range(HOPS):
            link = self.link(node, deadline)
            try:
                sent, count = (_ASKING + packed, 2) if asking else (packed, 1)
                reply = link.exchange(sent, count, deadline.share(1 / 3, REPLY_S))[-1]
            except (LostError, SilentError):
                self.drop(node)
                raise
            if not isinstance(reply, AskError):  # of which MovedError is one
                if isinstance(reply, ResponseError):
                    raise reply
                return reply
            self.redirects += 1
            node = redirected(reply, link)
            asking = not isinstance(reply, MovedError)
            if not asking:
                self.moved(slot, node)
        raise ClusterDownError(f"slot {slot} was redirected {HOPS} times in a row, last to {node[0]}:{node[1]}")

    def _learn(self, deadline: Deadline) -> Layout:
        """Ask for the layout: open connections first, then the endpoint and known nodes; failed ones last."""
        for node, link in list(self._links.items()):
            try:
                return self._ask(link, deadline)
            except (LostError, SilentError):
                self.drop(node)
        candidates: list[tuple[str, Address]] = []
        error: Exception | None = None
        for host, port in ((self._cache.host, self._cache.port), *(self._known.nodes() if self._known else ())):
            try:
                candidates += [(host, address) for address in resolve(host, port, deadline.share(1 / 2, RESOLVE_S))]
            except UnresolvedError as failure:
                error = error or failure
        candidates.sort(key=lambda candidate: candidate[1].place in self._suspects)
        for host, address in candidates:
            try:
                link = self._links[address.place] = self._connect(host, [address], deadline)
                return self._ask(link, deadline)
            except (LostError, SilentError) as failure:
                if isinstance(failure, _REFUSALS):
                    raise
                self.drop(address.place)
                error = failure
                self.retries += 1
        raise error or UnresolvedError(f"{self._cache} has no address")

    @staticmethod
    def _ask(link: Link, deadline: Deadline) -> Layout:
        return Layout(link.call("CLUSTER", "SLOTS", until=deadline.share(1 / 3, LAYOUT_S)), link.place[0])

    def _connect(self, name: str, addresses: Sequence[Address], deadline: Deadline) -> Link:
        """Return a connection to the first address that answers; an open one is reused."""
        error: Exception | None = None
        for address in addresses:
            if address.place in self._links:
                return self._links[address.place]
            try:
                return Link(name, address, self._cache, deadline.share(1 / 3, CONNECT_S))
            except (LostError, SilentError) as failure:
                if isinstance(failure, _REFUSALS):
                    raise
                self._suspects.add(address.place)
                error = failure
        raise error or UnresolvedError(f"{name} has no address")
