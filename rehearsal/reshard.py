"""Online resharding: what ElastiCache does when the number of shards changes, by the server's own commands.

New shards join without slots; slots move with their keys while clients go on; shards without slots leave. Slots move
in one of three ways:

- "batches": CLUSTER MIGRATESLOTS (Valkey 9) on a few slots at a time. The source keeps their keys until the slots
  change their owner, all of a batch at once (rehearsal/jobs.py).
- "atomic": the same with one job for all slots that go from one shard to another.
- "slots": slot by slot. The target imports, the source migrates, keys go over with MIGRATE, then the slot changes its
  owner. Clients meet ASK for keys already gone, MOVED afterwards.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from typing import Literal

from redis.exceptions import RedisError

from experiment.errors import ExperimentError
from experiment.place import Emit
from rehearsal.cluster import SLOTS, Cluster, Node
from rehearsal.jobs import FailedTry, migrate

Migration = Literal["batches", "slots", "atomic"]

_KEYS_A_MIGRATE = 100
_MIGRATE_TIMEOUT_MS = 5000
_TRIES = 3
_PROGRESS_EVERY_S = 0.5
# Every node writes nodes.conf after each round of its event loop that changed a slot: that is most of a move's cost,
# and slots in flight together share it. CPU ms a slot, all nodes and this client (2 x (1 + 1) nodes, 2 cores, 300
# slots/s): 4.5 with 1 in flight, 3.5 with 8, 2.4 with 16, 1.6 with 32, 2.0 with 64.
_SLOTS_IN_FLIGHT = 32
# Slots of one job of atomic migration. The server takes a snapshot, by a fork, and goes on with a job ten times a
# second: one job takes 0.1 to 0.2 s whatever its size. Jobs one after the other, 300 slots/s asked for, the same nodes
# and machine as above (busy: load 8 to 11), 25,000 keys in the cluster:
#
#     slots a job         1     8    16    32    64    96   128   256  | slot by slot
#     slots/s reached     8    68   123   281   304   298   314   333  |  300
#     CPU ms a slot    13.1   2.2   1.0   0.4   0.3   0.2   0.2   0.1  |  1.8
#
# 64 are the fewest that keep the pace.
SLOTS_A_JOB = 64
# Without a limit a move takes a whole core, which the application lacks on a machine with two.
SLOTS_PER_S = 300.0


class ReshardError(ExperimentError):
    """Slots could not be moved; the message names the slot, the nodes and the answer. The cluster still serves."""


@dataclass(frozen=True)
class SlotTransfer:
    """Slots that go from one shard to another, sorted."""

    source: int
    target: int
    slots: tuple[int, ...]


def plan(owners: Mapping[int, int], shards: Sequence[int]) -> list[SlotTransfer]:
    """Return the fewest slot moves after which each of `shards` owns 16384/len(shards) slots, give or take one.

    Args:
        owners: slot -> number of the shard that owns it now, all 16384.
        shards: numbers of the shards that own slots afterwards.

    Raises:
        ValueError: a slot has no owner, or `shards` is empty.
    """
    if not shards:
        raise ValueError("at least one shard must own slots afterwards")
    if len(owners) != SLOTS:
        raise ValueError(f"{SLOTS - len(owners)} of {SLOTS} slots have no owner: repair the cluster before resharding")
    held: dict[int, list[int]] = {number: [] for number in {*owners.values(), *shards}}
    for slot in sorted(owners):
        held[owners[slot]].append(slot)
    base, rest = divmod(SLOTS, len(shards))
    # The largest shards get the extra slots, so a balanced cluster needs no move.
    by_size = sorted(shards, key=lambda number: (-len(held[number]), number))
    shares = {number: base + (1 if position < rest else 0) for position, number in enumerate(by_size)}

    moves: list[SlotTransfer] = []
    lacking = [(number, shares[number] - len(held[number])) for number in shards if shares[number] > len(held[number])]
    for source in sorted(held):
        spare = held[source][shares.get(source, 0) :]
        while spare:
            target, lack = lacking.pop(0)
            slots, spare = spare[:lack], spare[lack:]
            moves.append(SlotTransfer(source, target, tuple(slots)))
            if lack > len(slots):
                lacking.insert(0, (target, lack - len(slots)))
    return moves


def reshard(cluster: Cluster, to: int, migration: Migration, emit: Emit, *, slots_per_s: float = SLOTS_PER_S) -> None:
    """Change the number of shards of a cluster in use to `to`; returns when the last node has joined or left.

    Emits `nodes.joined`, `slots.started`, `slots.progress`, `slots.retried`, `slots.finished`.

    Raises:
        ReshardError, MigrationError: slots could not be moved.
        ClusterError: nodes did not start or join.
    """
    count = len(cluster.shards)
    if to > count:
        added = cluster.add_shards(to - count)
        emit("nodes.joined", nodes=[node.name for shard in added for node in shard.nodes])
    remaining = [shard.number for shard in cluster.shards[:to]]
    moves = plan(cluster.owners(), remaining)
    total = sum(len(move.slots) for move in moves)
    key_bytes = _key_bytes(cluster, moves)  # asked before: it would lengthen the move
    emit("slots.started", slots=total, **{"from": count, "to": to})
    keys = move_slots(
        cluster,
        moves,
        migration,
        lambda moved: emit("slots.progress", moved=moved, total=total),
        lambda failure: emit("slots.retried", **asdict(failure)),
        slots_per_s=slots_per_s,
    )
    emit("slots.finished", slots=total, keys=keys, bytes=round(keys * key_bytes))
    if to < count:
        cluster.remove_shards(cluster.shards[to:])


def _key_bytes(cluster: Cluster, moves: Sequence[SlotTransfer]) -> float:
    """The mean size of a key that will move, from a sample at each source."""
    primary = {shard.number: shard.primary for shard in cluster.shards}
    sizes = [(primary[move.source].key_bytes(move.slots), len(move.slots)) for move in moves]
    known = [(size, slots) for size, slots in sizes if size]
    return sum(size * slots for size, slots in known) / max(1, sum(slots for _, slots in known))


def move_slots(
    cluster: Cluster,
    moves: Sequence[SlotTransfer],
    migration: Migration,
    on_progress: Callable[[int], None],
    on_retry: Callable[[FailedTry], None],
    *,
    slots_per_s: float = SLOTS_PER_S,
) -> int:
    """Move slots with their keys, online; returns the number of keys moved.

    `on_progress` gets the number of slots moved so far, about twice a second; `on_retry` each job of atomic migration
    that failed and is tried again. `slots_per_s` limits all ways but "atomic", which goes at the server's own speed.
    """
    primary = {shard.number: shard.primary for shard in cluster.shards}
    keys = moved = 0
    last_report = time.monotonic()
    for move in moves:
        source, target = primary[move.source], primary[move.target]
        if migration == "slots":
            others = [node for node in cluster.primaries if node not in (source, target)]
            steps = _slot_by_slot(source, target, others, move.slots, slots_per_s)
        else:
            size, pace = (SLOTS_A_JOB, slots_per_s) if migration == "batches" else (len(move.slots), None)
            batches = [move.slots[first : first + size] for first in range(0, len(move.slots), size)]
            steps = migrate(source, target, batches, slots_per_s=pace, on_retry=on_retry)
        for slots, held in steps:
            moved += slots
            keys += held
            if time.monotonic() - last_report >= _PROGRESS_EVERY_S:
                last_report = time.monotonic()
                on_progress(moved)
        on_progress(moved)
    cluster.wait_until_agreed()
    return keys


def open_slot(source: Node, target: Node, slot: int) -> None:
    """Begin to move a slot: from now on the source answers ASK for keys that it no longer holds."""
    target.cluster("SETSLOT", slot, "IMPORTING", source.id)
    source.cluster("SETSLOT", slot, "MIGRATING", target.id)


def move_keys(source: Node, target: Node, slot: int, count: int) -> int:
    """Move up to `count` keys of an open slot; returns how many there were to move."""
    keys: list[bytes] = source.cluster("GETKEYSINSLOT", slot, count)
    if keys:
        arguments = ["MIGRATE", "127.0.0.1", target.port, "", 0, _MIGRATE_TIMEOUT_MS, "KEYS", *keys]
        source.admin.execute_command(*arguments)
    return len(keys)


def close_slot(source: Node, target: Node, others: Sequence[Node], slot: int) -> None:
    """Give an emptied slot to the target: the target first, so that the slot is never without an owner."""
    for node in (target, source, *others):
        node.cluster("SETSLOT", slot, "NODE", target.id)


class _Pace:
    """Starts slots at a mean rate, in groups of `_SLOTS_IN_FLIGHT` that share the writes of nodes.conf."""

    def __init__(self, slots_per_s: float) -> None:
        self._started_s = time.monotonic()
        self._group_s = _SLOTS_IN_FLIGHT / slots_per_s

    def wait(self, index: int) -> None:
        """Sleep until the slot of this index may start."""
        at_s = self._started_s + index // _SLOTS_IN_FLIGHT * self._group_s
        time.sleep(max(0.0, at_s - time.monotonic()))


def _slot_by_slot(
    source: Node, target: Node, others: Sequence[Node], slots: Sequence[int], slots_per_s: float
) -> Iterator[tuple[int, int]]:
    """Move slots one by one, some at the same time; yields 1 and the number of keys for each, in order."""
    move = partial(_move_in_turn, _Pace(slots_per_s), source, target, others)
    with ThreadPoolExecutor(_SLOTS_IN_FLIGHT, thread_name_prefix="slots") as pool:
        for keys in pool.map(move, enumerate(slots)):
            yield 1, keys


def _move_in_turn(pace: _Pace, source: Node, target: Node, others: Sequence[Node], numbered: tuple[int, int]) -> int:
    index, slot = numbered
    pace.wait(index)
    return _move_slot(source, target, others, slot)


def _move_slot(source: Node, target: Node, others: Sequence[Node], slot: int) -> int:
    total = 0
    for attempt in range(1, _TRIES + 1):
        try:
            if attempt == 1 or slot in source.slots():
                open_slot(source, target, slot)
                while moved := move_keys(source, target, slot, _KEYS_A_MIGRATE):
                    total += moved
            close_slot(source, target, others, slot)
        except RedisError as error:
            if attempt == _TRIES:
                raise ReshardError(
                    f"slot {slot} from {source.name} ({source.address}) to {target.name} ({target.address}) "
                    f"failed {_TRIES} times; last answer: {error}"
                ) from error
            time.sleep(0.05 * 2**attempt)
        else:
            break
    return total
