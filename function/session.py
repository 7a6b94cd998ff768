"""A session and its fields.

The fields are derived from the session's id, so that whoever knows the id (the audit, weeks later, from another
machine) knows what the cluster must hold. Each of the id's random bits ends up in some field: two sessions never hold
the same values.
"""

import uuid

from function.redispy import key_slot

# ruff: disable[SIM905] - sixteen words on a line read better than sixteen lines
_FIRST = "Ada Alan Anita Barbara Claude Donald Edsger Frances Grace Hedy John Karen Ken Leslie Margaret Radia".split()
_LAST = "Allen Borg Dijkstra Hamilton Hoare Hopper Jones Knuth Lamarr Liskov Perlman Shannon Shaw Turing Wu Yao".split()
_TRADE = (
    "Bridges Engines Gears Glass Lenses Looms Motors Optics Paper Pumps Rails Relays Rotors Signals Tools Wire".split()
)
_JOB = (
    "Analyst Artist Baker Coach Cook Doctor Editor Farmer Guide Lawyer Nurse Pilot Singer Tailor Teacher Writer".split()
)
# ruff: enable[SIM905]


def new_id() -> str:
    """Draw the id of a new session."""
    return str(uuid.uuid4())


def key(session: str) -> str:
    """Return the key of a session's hash."""
    return f"session_:{session}"


def slot(session: str) -> int:
    """Return the cluster slot of a session."""
    return key_slot(key(session).encode())


def fields(session: str) -> dict[str, str]:
    """Return the fields that a session's hash must hold; its id determines them."""
    raw = uuid.UUID(session).bytes
    first, last = _FIRST[raw[0] >> 4], _LAST[raw[0] & 15]
    return {
        "name": f"{first} {last}",
        "email": f"{first}.{last}.{raw[1:6].hex()}@example.com".lower(),
        "ip_address": f"{raw[6]}.{raw[7]}.{raw[8]}.{raw[9]}",
        "company": f"{last} {_TRADE[raw[10] >> 4]} {raw[11:14].hex()}",
        "job": f"{_JOB[raw[10] & 15]}, grade {int.from_bytes(raw[14:16], 'big')}",
    }


def flat(values: dict[str, str]) -> list[str]:
    """Return the fields as HSET's arguments: name, value, name, value ..."""
    return [word for pair in values.items() for word in pair]


def held(reply: list[bytes]) -> dict[str, str]:
    """Read HGETALL's reply; empty if the hash is not there."""
    words = [word.decode(errors="replace") for word in reply]
    return dict(zip(words[::2], words[1::2], strict=True))
