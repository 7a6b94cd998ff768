"""Slots move with their keys, by each way, and the plan of moves is the smallest."""

import random
from collections import Counter
from collections.abc import Callable
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from function import session
from rehearsal.cluster import SLOTS, Cluster, ClusterError
from rehearsal.fill import fill
from rehearsal.jobs import FailedTry, ranges_of
from rehearsal.reshard import Migration, SlotTransfer, close_slot, move_keys, move_slots, open_slot, plan, reshard

Make = Callable[[int, int], Cluster]


def even(shards: int) -> dict[int, int]:
    """Slots dealt out as a new cluster has them."""
    return {slot: 1 + slot * shards // SLOTS for slot in range(SLOTS)}


def after(owners: dict[int, int], moves: list[SlotTransfer]) -> dict[int, int]:
    """Owners once the moves are done; a slot is only moved from where it is."""
    result = dict(owners)
    for move in moves:
        for slot in move.slots:
            assert result[slot] == move.source
            result[slot] = move.target
    return result


@pytest.mark.parametrize(
    ("before", "remaining", "moved"),
    [(1, [1, 2], 8192), (2, [1, 2, 3], 5461), (2, [1], 8192), (3, [1], 10922), (3, [1, 2, 3], 0), (4, [1, 2], 8192)],
)
def test_plan_moves_no_more_slots_than_it_must(before: int, remaining: list[int], moved: int) -> None:
    """Half of the slots go to a second shard, a third to a third, and a balanced cluster is left alone."""
    owners = even(before)
    moves = plan(owners, remaining)
    assert sum(len(move.slots) for move in moves) == moved
    sizes = Counter(after(owners, moves).values())
    assert set(sizes) == set(remaining)
    assert max(sizes.values()) - min(sizes.values()) <= 1


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 999))
def test_plan_balances_any_layout(before: int, count: int, seed: int) -> None:
    """Whatever the slots' owners are, each remaining shard ends with its share, give or take one."""
    draw = random.Random(seed)  # noqa: S311 - layouts to try, not secrets
    owners = {slot: draw.randint(1, before) for slot in range(SLOTS)}
    sizes = Counter(after(owners, plan(owners, list(range(1, count + 1)))).values())
    assert len(sizes) == count
    assert max(sizes.values()) - min(sizes.values()) <= 1


def test_plan_refuses_slots_without_an_owner() -> None:
    """A cluster that does not cover all slots is not resharded, and the message says how many lack."""
    owners = even(1)
    del owners[7]
    with pytest.raises(ValueError, match="1 of 16384 slots have no owner"):
        plan(owners, [1, 2])


def test_ranges_are_inclusive_runs() -> None:
    """MIGRATESLOTS gets each unbroken run of slots once."""
    assert ranges_of((1, 2, 3, 7, 9, 10)) == [(1, 3), (7, 7), (9, 10)]


def keys_by_shard(cluster: Cluster) -> dict[int, int]:
    """Keys that each shard's primary holds."""
    return {shard.number: int(shard.primary.admin.dbsize()) for shard in cluster.shards}


def test_shards_come_and_go_with_their_keys(make_cluster: Make) -> None:
    """1 -> 2 -> 3 -> 1 shards, atomically: no key is lost, new replicas follow, nodes that left are gone."""
    cluster = make_cluster(1, 1)
    fill(cluster, 3000)
    events: list[tuple[str, dict[str, Any]]] = []
    ways: list[tuple[int, Migration]] = [(2, "atomic"), (3, "batches"), (1, "atomic")]
    for to, way in ways:
        reshard(cluster, to, way, lambda event, /, **fields: events.append((event, fields)), slots_per_s=3000)
        cluster.wait_until_covered()
        held = keys_by_shard(cluster)
        assert len(held) == to
        assert sum(held.values()) == 3000
        assert min(held.values()) > 0.8 * 3000 / to
        sizes = Counter(cluster.owners().values())
        assert max(sizes.values()) - min(sizes.values()) <= 1
    moved = [fields["keys"] for event, fields in events if event == "slots.finished"]
    assert moved[0] == pytest.approx(1500, rel=0.2)
    assert [fields["nodes"] for event, fields in events if event == "nodes.joined"] == [
        ["0002-001", "0002-002"],
        ["0003-001", "0003-002"],
    ]
    admin = cluster.primaries[0].admin
    size = sum(int(admin.memory_usage(key) or 0) for key in admin.scan_iter(count=1000)) / 3000
    sampled = [fields["bytes"] for event, fields in events if event == "slots.finished"]
    assert sampled == pytest.approx([keys * size for keys in moved], rel=0.02)


def test_filling_adds_what_lacks_evenly_over_the_slots(make_cluster: Make) -> None:
    """A cluster is filled up to a count, and half of the slots hold half of the keys, to the key."""
    cluster = make_cluster(2, 0)
    for count in (640, 1920):
        fill(cluster, count)
        assert keys_by_shard(cluster) == {1: count / 2, 2: count / 2}
    fill(cluster, 100)
    assert cluster.keys() == 1920
    admin = cluster.primaries[0].admin
    key = next(admin.scan_iter("session_:*"))
    held: Any = admin.hgetall(key)
    told = {name.decode(): value.decode() for name, value in held.items()}
    assert told == session.fields(key.decode().split(":")[1])


@pytest.mark.parametrize("migration", get_args(Migration))
def test_keys_arrive_where_the_slot_went(make_cluster: Make, migration: Migration) -> None:
    """After a move each key is on the new owner, by each way, and progress ends at every slot."""
    cluster = make_cluster(1, 0)
    fill(cluster, 2000)
    [added] = cluster.add_shards(1)
    slots = tuple(range(200))
    held: list[bytes] = list(cluster.primaries[0].admin.scan_iter("*"))
    there = [key for key in held if key_slot(key) in slots]
    progress: list[int] = []
    retried: list[FailedTry] = []
    keys = move_slots(cluster, [SlotTransfer(1, 2, slots)], migration, progress.append, retried.append)
    assert (keys, retried) == (len(there), [])
    assert there
    assert sorted(added.primary.admin.keys("*")) == sorted(there)
    assert added.primary.slots() == list(slots)
    assert progress == sorted(progress)
    assert progress[-1] == len(slots)


def test_an_open_slot_answers_ask_and_then_moved(make_cluster: Make) -> None:
    """The steps of a slot's move are the protocol's: ASK while it is open, MOVED once it has a new owner."""
    cluster = make_cluster(1, 0)
    [added] = cluster.add_shards(1)
    source, target = cluster.shards[0].primary, added.primary
    slot = key_slot(b"{a}1")
    source.admin.set("{a}1", "x")
    open_slot(source, target, slot)
    assert move_keys(source, target, slot, 10) == 1
    with pytest.raises(Exception, match=rf"^{slot} 127.0.0.1:{target.port}$") as asked:
        source.admin.get("{a}1")
    assert type(asked.value).__name__ == "AskError"
    close_slot(source, target, [], slot)
    with pytest.raises(Exception, match=rf"^{slot} 127.0.0.1:{target.port}$") as moved:
        source.admin.get("{a}1")
    assert type(moved.value).__name__ == "MovedError"


def test_a_shard_with_slots_cannot_be_removed(make_cluster: Make) -> None:
    """Removing a shard that still owns slots would lose them: it is refused with their number."""
    cluster = make_cluster(2, 0)
    with pytest.raises(ClusterError, match="shard 2 still owns 8192 slots"):
        cluster.remove_shards(cluster.shards[1:])
