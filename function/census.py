"""The census: what each node of the cluster holds, asked of the nodes themselves.

The audit of sessions sees what the cluster's own routing leads to. The census also sees keys that no client would find,
and replicas that differ from their primary:

- every node: how many keys each slot has, and whether it holds keys of slots that its shard does not own;
- primary and replicas: a digest over keys and values, of all slots or, in a large shard, of every n-th.

A replica lags, and nodes learn of a new owner one after the other, so a census that finds a difference is taken again
until it finds none or `SETTLE_S` are over. The cluster must be written to by nobody meanwhile.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from function.client import REPLY_S, ClusterClient, NodeAddress
from function.deadline import Deadline
from function.redispy import LostError, ResponseError, SilentError
from function.resolve import UnresolvedError
from function.resp import RespReply, pack

SLOTS = 16384
BATCH = 500  # commands in flight to one node, as in the audit
SETTLE_S = 10.0
PAUSE_S = 0.5
# Keys of a node whose values are read, about: 4 s of Python for a shard with one replica.
VALUES = 50_000
SLOT_VALUES = 5_000  # a slot with more keys holds no sessions: its values are left out
EXAMPLES = 20

_COUNTS = [pack(["CLUSTER", "COUNTKEYSINSLOT", str(slot)]) for slot in range(SLOTS)]
_NO_HOST = (None, b"", b"?")
_FAILURES = (LostError, SilentError, UnresolvedError, ResponseError)


@dataclass(frozen=True)
class Member:
    """A node, as another node describes it."""

    address: NodeAddress
    is_primary: bool
    is_down: bool

    def __str__(self) -> str:
        return f"{'primary' if self.is_primary else 'replica'} {self.address[0]}:{self.address[1]}"


@dataclass(frozen=True)
class ShardNodes:
    """A shard: its slots and its nodes."""

    slots: frozenset[int]
    members: tuple[Member, ...]


@dataclass
class Held:
    """What one node holds: keys by slot, and a digest of keys and values by compared slot."""

    counts: list[int]
    digests: dict[int, int] = field(default_factory=dict[int, int])


class Census:
    """One census after the other until nothing differs. `answer` has the last one's result."""

    def __init__(self, cluster: ClusterClient, deadline: Deadline, *, tls: bool) -> None:
        self._cluster = cluster
        self._deadline = deadline
        self._tls = tls
        self._nodes: list[dict[str, Any]] = []
        self._problems: list[str] = []
        self._values = 0

    def take(self) -> dict[str, Any]:
        """Return the census as the audit function answers it (docs/function.md)."""
        until = time.monotonic() + min(SETTLE_S, self._deadline.left() / 2)
        while True:
            self._nodes, self._problems, self._values = [], [], 0
            for number, shard in enumerate(self._cluster.persist(self._learn, 0, self._deadline), 1):
                self._compare(number, shard)
            if not self._problems or time.monotonic() > until:
                break
            time.sleep(PAUSE_S)
            self._cluster.forget_layout()
        keys = sum(node["keys"] - node["unowned"] for node in self._nodes if node["role"] == "primary")
        problems = self._problems[:EXAMPLES]
        return {"keys": keys, "values": self._values, "nodes": self._nodes, "problems": problems}

    def _learn(self, slot: int, deadline: Deadline) -> list[ShardNodes]:
        """Every shard, also those without slots, which CLUSTER SLOTS does not name."""
        link = self._cluster.link(self._cluster.owner(slot, deadline), deadline)
        rows = link.call("CLUSTER", "SHARDS", until=deadline.share(1 / 3, REPLY_S))
        return [_shard(_pairs(row), link.place[0], tls=self._tls) for row in rows]

    def _compare(self, number: int, shard: ShardNodes) -> None:
        primary: Held | None = None
        if not any(member.is_primary for member in shard.members):
            self._problems.append(f"{', '.join(map(str, shard.members))}: follows no primary")
        for member in sorted(shard.members, key=lambda member: not member.is_primary):
            if member.is_down:
                self._problems.append(f"{member} is down, as another node says")
                continue
            try:
                held = self._held(shard, member, primary)
            except _FAILURES as error:
                self._cluster.drop(member.address)
                self._problems.append(f"{member} cannot be asked: {error}")
                continue
            self._note(number, shard, member, held)
            if member.is_primary:
                primary = held
                self._values += sum(held.counts[slot] for slot in held.digests)
            elif primary is not None:
                self._judge(member, held, primary)

    def _note(self, number: int, shard: ShardNodes, member: Member, held: Held) -> None:
        strays = [slot for slot, count in enumerate(held.counts) if count and slot not in shard.slots]
        unowned = sum(held.counts[slot] for slot in strays)
        if strays:
            self._problems.append(f"{member} holds {unowned} keys of {_named(strays)}, which its shard does not own")
        host, port = member.address
        role = "primary" if member.is_primary else "replica"
        self._nodes.append(
            {"node": f"{host}:{port}", "shard": number, "role": role, "keys": sum(held.counts), "unowned": unowned}
        )

    def _judge(self, member: Member, held: Held, primary: Held) -> None:
        counted = [slot for slot in range(SLOTS) if held.counts[slot] != primary.counts[slot]]
        if counted:
            keys, others = sum(held.counts), sum(primary.counts)
            self._problems.append(
                f"{member} holds {keys} keys, its primary {others}; they hold different numbers in {_named(counted)}"
            )
        differing = [
            slot for slot in primary.digests if slot not in counted and held.digests.get(slot) != primary.digests[slot]
        ]
        if differing:
            self._problems.append(f"{member} and its primary hold different keys or values in {_named(differing)}")

    # -- asking one node

    def _held(self, shard: ShardNodes, member: Member, primary: Held | None) -> Held:
        if not member.is_primary:
            self._ask(member, [pack(["READONLY"])])
        held = Held(self._ask(member, _COUNTS))
        if primary is None:
            owned = [slot for slot in sorted(shard.slots) if 0 < held.counts[slot] <= SLOT_VALUES]
            every = -(-sum(held.counts[slot] for slot in owned) // VALUES)
            compared = owned[:: max(1, every)]
        else:
            compared = [slot for slot in primary.digests if 0 < held.counts[slot] <= SLOT_VALUES]
        for first in range(0, len(compared), BATCH):
            self._digest(member, held, compared[first : first + BATCH])
        return held

    def _digest(self, member: Member, held: Held, slots: Sequence[int]) -> None:
        names = [pack(["CLUSTER", "GETKEYSINSLOT", str(slot), str(SLOT_VALUES)]) for slot in slots]
        keys = [(slot, key) for slot, found in zip(slots, self._ask(member, names), strict=True) for key in found]
        values = self._ask(member, [pack(["HGETALL", key]) for _, key in keys])
        held.digests.update(dict.fromkeys(slots, 0))
        for (slot, key), value in zip(keys, values, strict=True):
            # A sum does not depend on the order of keys, nor do sorted fields on the order of fields.
            held.digests[slot] += int.from_bytes(blake2b(_content(key, value), digest_size=16).digest(), "big")

    def _ask(self, member: Member, packed: Sequence[bytes]) -> list[RespReply]:
        """Send commands to one node and return the replies; an error reply is one, except a refusal."""
        link = self._cluster.link(member.address, self._deadline)
        replies: list[RespReply] = []
        for first in range(0, len(packed), BATCH):
            batch = packed[first : first + BATCH]
            replies += link.exchange(b"".join(batch), len(batch), self._deadline.share(1 / 3, REPLY_S))
        refusal = next((reply for reply in replies if isinstance(reply, ResponseError)), None)
        if refusal is not None and not str(refusal).startswith("WRONGTYPE"):
            raise refusal
        return replies


def _content(key: bytes, value: RespReply) -> bytes:
    if isinstance(value, list):
        words: list[bytes] = value
        return repr((key, sorted(zip(words[::2], words[1::2], strict=True)))).encode()
    return repr((key, "not a hash")).encode()


def _named(slots: Sequence[int]) -> str:
    shown = ", ".join(map(str, slots[:3]))
    return f"slot {shown}" if len(slots) == 1 else f"{len(slots)} slots ({shown}{', ...' if len(slots) > 3 else ''})"


def _pairs(row: list[RespReply]) -> dict[bytes, RespReply]:
    return dict(zip(row[::2], row[1::2], strict=True))


def _shard(row: dict[bytes, RespReply], told_by: str, *, tls: bool) -> ShardNodes:
    bounds: list[int] = row[b"slots"]
    slots = {slot for first, last in zip(bounds[::2], bounds[1::2], strict=True) for slot in range(first, last + 1)}
    members: list[Member] = []
    for node in map(_pairs, row[b"nodes"]):
        host = node.get(b"endpoint")
        host = node.get(b"ip") if host in _NO_HOST else host
        port: int = node[b"tls-port" if tls else b"port"]
        address = (told_by if host in _NO_HOST else host.decode(), port)
        members.append(Member(address, node[b"role"] == b"master", node[b"health"] == b"fail"))
    return ShardNodes(frozenset(slots), tuple(members))
