"""Did the events happen in an order that is possible?"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from contract.runfolder import EVENT_NAMES
from contract.runread import Event, Run, number
from report.checks.check import RunCheck, judged
from report.checks.counts import is_count
from report.checks.promises import AWS, limit_of, place_of
from report.moves import PlayedMove

_ENDED_WRITTEN_S = 0.1
_SLOTS = 16_384
_REQUESTED, _STARTED, _MOVING, _MOVED, _ENDED, _FAILED = 0, 3, 4, 5, 6, 7  # between them: declared, nodes joined


def events(run: Run, moves: Sequence[PlayedMove]) -> Iterator[RunCheck]:
    """Every event is known, and each follows those that it needs."""
    unknown = sorted({event.name for event in run.events if event.name not in EVENT_NAMES})
    gaps = [
        *([f"unknown event {', '.join(unknown)[:100]!r}"] if unknown else []),
        *_run(run),
        *_phases(run),
        *_epochs(run),
        *_stories(run),
        *_declared(run),
        *_several(run, moves),
    ]
    yield judged(
        "Events in order",
        not gaps,
        "; ".join(gaps[:5]) + ("" if len(gaps) < 6 else f"; and {len(gaps) - 5} more") or f"{len(run.events)} events",
        "a possible order, one reshard unless there are cycles",
        "The windows that are compared are cut by the events.",
    )


def _named(run: Run, *names: str) -> list[Event]:
    return [event for event in run.events if event.name in names]


def _run(run: Run) -> Iterator[str]:
    started, ended = _named(run, "run.started"), _named(run, "run.finished", "run.interrupted")
    if len(started) != 1 or started[0].t_s != 0:
        yield f"the run starts {len(started)} time(s)" if len(started) != 1 else f"it starts at {started[0].t_s:g} s"
    if run.text("ended") != "finished":
        return
    if len(ended) != 1 or ended[0].name != "run.finished":
        yield f"the run ends {len(ended)} time(s)" if len(ended) != 1 else "run.interrupted, and run.json says finished"
    elif ended[0].t_s < run.number("duration_s") - _ENDED_WRITTEN_S:
        yield f"the run ends at {ended[0].t_s:g} s, before its last arrival"


def _phases(run: Run) -> Iterator[str]:
    started = _named(run, "phase.started")
    indices = [int(number(event.fields.get("phase"), -1.0)) for event in started]
    if any(not 0 <= index < len(run.phases) for index in indices):
        yield "a phase starts that run.json does not list"
    elif indices != sorted(set(indices)):
        yield "phases start twice or out of order"
    elif any(
        abs(event.t_s - run.phases[index].start_s) > _ENDED_WRITTEN_S
        for event, index in zip(started, indices, strict=True)
    ):
        yield "a phase starts at another time than run.json says"


def _epochs(run: Run) -> Iterator[str]:
    joined: set[object] = set()
    lost: set[object] = set()
    epoch = -1.0
    for event in _named(run, "worker.joined", "worker.lost", "epoch.started"):
        worker = event.fields.get("worker")
        if event.name == "worker.joined":
            if worker in joined:
                yield f"worker {worker!r} joins twice"
            joined.add(worker)
        elif event.name == "worker.lost":
            if worker not in joined - lost:
                yield f"worker {worker!r} is lost without having joined"
            lost.add(worker)
        else:
            number_of, workers = number(event.fields.get("epoch")), number(event.fields.get("workers"))
            if not number_of > epoch:
                yield f"epoch {event.fields.get('epoch')!r} follows epoch {epoch:g}"
            if not 0 <= workers <= len(joined - lost):
                yield f"epoch {number_of:g} has {event.fields.get('workers')!r} workers of {len(joined - lost)}"
            epoch = number_of


def _stories(run: Run) -> Iterator[str]:
    yield from _Story(run, "reshard.", "").problems()
    yield from _Story(run, "sham.", "sham.").problems()


class _Story:
    """The events of the moves of one kind: each move from its request to its end.

    On AWS the second `pulumi up` returns when the slots have moved, or later, so its event has no place of its own.
    """

    def __init__(self, run: Run, outer: str, inner: str) -> None:
        self._run = run
        self._stage_of = {
            outer + "requested": _REQUESTED, outer + "declared": 1, inner + "nodes.joined": 2,
            inner + "slots.started": _STARTED, inner + "slots.progress": _MOVING, inner + "slots.retried": _MOVING,
            inner + "slots.finished": _MOVED, outer + "finished": _ENDED, outer + "failed": _FAILED,
        }  # fmt: skip
        if place_of(run) == AWS:
            del self._stage_of[outer + "declared"]
        self._stage: int | None = None
        self._total: object = None
        self._moved = 0.0

    def problems(self) -> Iterator[str]:
        """What is impossible in them."""
        last = ""
        for event in self._run.events:
            stage = self._stage_of.get(event.name)
            if stage is None:
                continue
            where = f"{event.name} at {event.t_s:g} s"
            if wrong := self._place(stage):
                yield f"{where} {wrong}" + (f" (after {last})" if last else "")
            if stage == _REQUESTED:
                self._total, self._moved = None, 0.0
            else:
                yield from (f"{where} {problem}" for problem in self._slots(event, stage))
            self._stage = None if stage in (_ENDED, _FAILED) else stage
            last = event.name
        if self._stage is not None and self._run.text("ended") == "finished":
            yield f"the move after {last} has no end"

    def _place(self, stage: int) -> str:
        """What is wrong with an event at this place of the story."""
        now = self._stage
        if stage == _REQUESTED:
            return "" if now is None else "before the move that was requested earlier has ended"
        if now is None:
            return "without a request"
        if stage != _FAILED and (stage < now or (stage == now != _MOVING)):
            return "out of order"
        if stage in (_MOVING, _MOVED) and now < _STARTED:
            return "before slots started to move"
        return "before its slots have moved" if stage == _ENDED and now in (_STARTED, _MOVING) else ""

    def _slots(self, event: Event, stage: int) -> Iterator[str]:
        """How many slots an event names, against those before it. AWS may name none."""
        fields = event.fields
        named = fields.get("total" if stage == _MOVING else "slots")
        if event.name.endswith("slots.retried") or stage not in (_STARTED, _MOVING, _MOVED):
            return
        if named is not None and not 0 < number(named) <= _SLOTS:
            yield f"names {named!r} slots"
        if self._total is not None and named != self._total:
            yield f"names {named!r} slots, the move began with {self._total!r}"
        self._total = named if self._total is None else self._total
        if stage == _MOVING and fields.get("moved") is not None:
            moved = number(fields.get("moved"))
            if not self._moved <= moved <= number(named, math.inf):
                yield f"says that {fields.get('moved')!r} of {named!r} slots moved, {self._moved:g} had before"
            self._moved = moved
        if stage == _MOVED and any(not is_count(fields.get(key, 0)) for key in ("keys", "bytes")):
            yield f"names {fields.get('keys')!r} keys, {fields.get('bytes')!r} bytes"


def _declared(run: Run) -> Iterator[str]:
    """Events against run.json's reshard."""
    declared = run.table("reshard")
    for event in run.events:
        if not event.name.startswith(("reshard.requested", "slots.started", "sham.requested", "sham.slots.started")):
            continue
        if "cycle" in event.fields or run.table("cycles"):
            continue
        for key in ("from", "to"):
            said, meant = event.fields.get(key), declared.get(key)
            if isinstance(said, int) and said != meant:
                yield f"{event.name} at {event.t_s:g} s is {key} {said}, run.json's reshard {key} {meant!r}"
        migration = event.fields.get("migration")
        if migration is not None and migration != declared.get("migration"):
            yield f"{event.name} is by {migration!r}, run.json's reshard by {declared.get('migration')!r}"
        if event.name == "reshard.requested" and event.t_s < number(declared.get("at_s"), -math.inf) - 1:
            yield f"the reshard is requested at {event.t_s:g} s, declared for {declared.get('at_s')} s"


def _several(run: Run, moves: Sequence[PlayedMove]) -> Iterator[str]:
    """One real move and at most one sham, or the moves of the declared blocks; never two at a time."""
    kinds = {kind: [move for move in moves if move.kind == kind] for kind in ("real", "sham")}
    if run.table("cycles") or any(move.cycle is not None for move in moves):
        yield from _blocks(run, kinds)
    else:
        for kind, played in kinds.items():
            if len(played) > 1:
                yield f"{len(played)} {kind} moves in a run without cycles"
    if kinds["sham"] and limit_of(run, "sham"):
        yield f"there is a sham, and there is none on {place_of(run)}"
    in_turn = sorted((move for move in moves if not math.isnan(move.started_s)), key=lambda move: move.started_s)
    for one, other in pairwise(in_turn):
        if one.finished_s is None or one.finished_s > other.started_s:
            yield f"the move that starts at {other.started_s:g} s starts before the one of {one.started_s:g} s ends"


def _blocks(run: Run, kinds: dict[str, list[PlayedMove]]) -> Iterator[str]:
    count = run.table("cycles").get("count")
    for kind, played in kinds.items():
        if number(count) != len(played):
            yield f"{len(played)} {kind} moves, run.json's cycles say {count!r}"
    if number(run.table("cycles").get("window_s")) > 0:  # blocks: both moves carry the block's number
        for kind, played in kinds.items():
            if [move.cycle for move in played] != list(range(len(played))):
                yield f"the blocks of the {kind} moves are not numbered in order"
        if [move.direction for move in kinds["real"]] != [move.direction for move in kinds["sham"]]:
            yield "a block's two moves have other directions"
        window_s = number(run.table("cycles").get("window_s"))
        for move in (*kinds["real"], *kinds["sham"]):
            if move.finished_s is not None and move.finished_s - move.started_s > window_s:
                yield f"the move at {move.started_s:g} s takes longer than its window of {window_s:g} s"
