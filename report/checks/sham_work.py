"""Was each sham the same work as its real move?"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence

from contract.runread import Run
from report.checks.check import RunCheck, judged
from report.moves import PlayedMove

APART_SHARE = 0.05
_TOLD = 3
"""Differences that are told; of more, how many there are."""

Pair = Mapping[str, Sequence[PlayedMove]]
"""Moves by kind, `real` and `sham`: one of each, if all is well."""


def sham_work(run: Run, moves: Sequence[PlayedMove]) -> Iterator[RunCheck]:
    """Each sham moved as many keys, bytes and slots as its real move, in the same direction and way.

    How long both took is told and not judged: that may be what the comparison is about.
    """
    if run.text("where") != "rehearsal":  # no other place promises a sham
        return
    pairs = _pairs(moves)
    if not pairs:
        return
    apart = [f"{name}{said}" for name, pair in pairs.items() for said in _different(pair)]
    told = "; ".join(apart[:_TOLD]) + (f"; and {len(apart) - _TOLD} more" if len(apart) > _TOLD else "")
    yield judged(
        "Sham comparable",
        not apart,
        f"{told or _alike(pairs.values())}; {_took(pairs.values())}",
        f"keys, bytes and slots within {APART_SHARE:.0%}, same direction and way",
        "A sham that moves less than the real move leaves copying work in the effect.",
    )


def _pairs(moves: Sequence[PlayedMove]) -> dict[str, Pair]:
    """By what to call it: each block of a run of cycles; of a single run its first moves, if slots of both moved."""
    blocks = sorted({move.cycle for move in moves if move.cycle is not None})
    if blocks:
        return {f"block {block}: ": _by_kind([m for m in moves if m.cycle == block]) for block in blocks}
    begun = [move for move in moves if not math.isnan(move.started_s)]
    pair = {kind: played[:1] for kind, played in _by_kind(begun).items()}
    return {"": pair} if all(pair.values()) else {}


def _by_kind(moves: Sequence[PlayedMove]) -> Pair:
    return {kind: [move for move in moves if move.kind == kind] for kind in ("real", "sham")}


def _different(pair: Pair) -> Iterator[str]:
    counts = {kind: len(moves) for kind, moves in pair.items()}
    if set(counts.values()) != {1}:
        yield f"{counts['real']} real and {counts['sham']} sham move(s)"
        return
    [real], [sham] = pair["real"], pair["sham"]
    for name in ("keys", "bytes", "slots"):
        here, there = _count(real, name), _count(sham, name)
        if here is None or there is None:
            kinds = " and ".join(kind for kind, count in (("real", here), ("sham", there)) if count is None)
            yield f"{name} of the {kinds} move not told"
        elif _apart(here, there) > APART_SHARE:
            yield f"{here:,} {name}, {there:,} in the sham ({_apart(here, there):.1%} apart)"
    for name in ("direction", "migration"):
        here, there = str(getattr(real, name)), str(getattr(sham, name))
        if here != there:
            yield f"{name} {here or 'unknown'}, {there or 'unknown'} in the sham"


def _count(move: PlayedMove, name: str) -> int | None:
    """A count that the end of the move told; a negative one is none."""
    value: int | None = None if move.finished_s is None else getattr(move, name)
    return None if value is None or value < 0 else value


def _apart(one: int, other: int) -> float:
    return abs(one - other) / max(one, other, 1)


def _alike(pairs: Collection[Pair]) -> str:
    worst = {
        name: max(_apart(_count(pair["real"][0], name) or 0, _count(pair["sham"][0], name) or 0) for pair in pairs)
        for name in ("keys", "bytes", "slots")
    }
    of_pairs = "" if len(pairs) == 1 else f" in {len(pairs)} pairs"
    return ", ".join(f"{name} {share:.1%}" for name, share in worst.items()) + f" apart at most{of_pairs}"


def _took(pairs: Collection[Pair]) -> str:
    told: list[str] = []
    for kind in ("real", "sham"):
        known = [move.duration_s for pair in pairs for move in pair[kind] if move.duration_s is not None]
        told.append("unknown" if not known else f"{sum(known) / len(known):.1f} s")
    mean = "" if len(pairs) == 1 else " on average"
    return f"slots moved for {told[0]}, {told[1]} in the sham{mean}"
