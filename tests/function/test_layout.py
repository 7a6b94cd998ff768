"""Who owns which slot, as CLUSTER SLOTS says it."""

from typing import Any

import pytest

from function.client import Layout

_ROWS: list[list[Any]] = [
    [5461, 10922, [b"10.0.0.2", 6379, b"b", []]],
    [0, 5460, [b"node-1.example", 6379, b"a", []], [b"10.0.0.4", 6380, b"d", []]],
    [12000, 12000, [b"", 7003, b"c", []]],
    [12001, 12002, [None, 7004, b"e", []]],
    [12003, 12003, [b"?", 7005, b"f", []]],
]


@pytest.mark.parametrize(
    ("slot", "owner"),
    [
        (0, ("node-1.example", 6379)),
        (5460, ("node-1.example", 6379)),
        (5461, ("10.0.0.2", 6379)),
        (10922, ("10.0.0.2", 6379)),
        (10923, None),
        (11999, None),
        (12000, ("10.0.0.9", 7003)),
        (12002, ("10.0.0.9", 7004)),
        (12003, ("10.0.0.9", 7005)),
        (12004, None),
        (16383, None),
    ],
)
def test_a_slots_owner_is_found_at_every_bound(slot: int, owner: tuple[str, int] | None) -> None:
    """An owner off by one costs a redirect on each command; a host that is not told is the one that answered."""
    assert Layout(_ROWS, "10.0.0.9").owner(slot) == owner


def test_a_moved_changes_one_slot_and_marks_the_rest() -> None:
    """The next command goes where MOVED said, and the next session asks for the whole layout again."""
    layout = Layout(_ROWS, "10.0.0.9")
    assert not layout.contradicted
    layout.moved(5461, ("10.0.0.3", 6379))
    assert layout.owner(5461) == ("10.0.0.3", 6379)
    assert layout.owner(5462) == ("10.0.0.2", 6379)
    assert layout.contradicted


def test_primaries_are_known_before_replicas() -> None:
    """When the layout must be asked for again, a primary's answer is the newest."""
    known = Layout(_ROWS, "10.0.0.9").nodes()
    assert [port for _, port in known] == [6379, 6379, 7003, 7004, 7005, 6380]


def test_a_cluster_without_slots_has_no_owner() -> None:
    """A node that has not joined yet answers with an empty list."""
    assert Layout([], "10.0.0.9").owner(0) is None
