"""Sessions: what the audit relies on."""

import uuid

import pytest

from function import session


def test_fields_follow_from_the_id_alone() -> None:
    """The audit recomputes, in another process and another year, what the handler wrote: these values are for ever."""
    assert session.fields("6f8bb0c5-9b0e-4b1e-8f57-0c5b2d0a9f11") == {
        "name": "Edsger Yao",
        "email": "edsger.yao.8bb0c59b0e@example.com",
        "ip_address": "75.30.143.87",
        "company": "Yao Bridges 5b2d0a",
        "job": "Singer, grade 40721",
    }


def test_every_bit_of_the_id_shows_in_the_fields() -> None:
    """Two sessions that held the same fields could be swapped in the cluster without the audit seeing it."""
    number = uuid.uuid4().int
    whole = session.fields(str(uuid.UUID(int=number)))
    for bit in range(128):
        assert session.fields(str(uuid.UUID(int=number ^ (1 << bit)))) != whole, f"bit {bit}"


def test_new_ids_differ_and_keys_are_the_originals() -> None:
    """The original's key pattern lets its users' own tools find the sessions."""
    first, second = session.new_id(), session.new_id()
    assert first != second
    assert session.key(first) == f"session_:{first}"
    assert list(session.fields(first)) == ["name", "email", "ip_address", "company", "job"]


@pytest.mark.parametrize(
    ("reply", "held"),
    [([], {}), ([b"name", b"Ada"], {"name": "Ada"}), ([b"name", b"\xff"], {"name": "\N{REPLACEMENT CHARACTER}"})],
)
def test_a_reply_is_read_whatever_it_holds(reply: list[bytes], held: dict[str, str]) -> None:
    """A damaged value must show as different, not end the audit."""
    assert session.held(reply) == held
