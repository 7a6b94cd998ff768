"""The first thing a reader sees: one sentence with the headline's figures, then its limits and what to do next."""

from collections.abc import Mapping
from typing import Any

from report import cycles_verdict, gates, recovery
from report.formats import quantity
from report.mechanism import WAYS, retries
from report.wording import duration, percent, times

STATES = {"valid": "VALID", "failed": "GATE FAILED", "invalid": "INVALID"}


def exit_code(report: Mapping[str, Any]) -> int:
    """0 valid and every gate held, 1 a gate failed, 2 INVALID."""
    if not report["valid"]:
        return 2
    return 0 if all(gate["state"] == gates.PASSED for gate in report["gates"]) else 1


def state(report: Mapping[str, Any]) -> str:
    """The state's name: valid, failed or invalid."""
    return ("valid", "failed", "invalid")[exit_code(report)]


def sentences(report: Mapping[str, Any]) -> list[str]:
    """The verdict, plain text. The first entry is the one that pages print bold.

    An INVALID run gets no latency: neither the headline's, nor of its moves, nor whether a gate on one held.
    """
    if not report["valid"]:
        failed = times(len(report["reasons"]), "check")
        said = [
            f"INVALID: {failed} of this run failed, so its latencies must not be quoted.",
            _sentence(_survival(report)),
            *(_of_cycles(report) if report["cycles"] else _moved(report["reshard"], timed=False)),
        ]
    elif report["cycles"]:
        played, *effects = _of_cycles(report)
        said = [" ".join([_sentence(_survival(report)), *effects[:1]]), played, *effects[1:]]
    elif report["headline"] is None:
        nothing = [] if report["reshard"] else ["No slots moved in this run, so it says nothing about resharding."]
        said = [_sentence(_survival(report)), *nothing, *_moved(report["reshard"])]
    else:
        said = [f"{_sentence(_survival(report))} {_felt(report['headline'])}", *_moved(report["reshard"])]
        said += _back_to_normal(report["headline"]["back_to_normal"])
    return [*said, *retries(report["moves"]), *_gates_that_failed(report), limits(report)]


def _of_cycles(report: Mapping[str, Any]) -> list[str]:
    return cycles_verdict.sentences(report, WAYS.get(report["cycles"]["migration"] or "", ""))


def judged(report: Mapping[str, Any], gate: Mapping[str, Any]) -> bool:
    """Whether the gate's result may be shown: in an INVALID run only that of what the audit counted."""
    return bool(report["valid"]) or gate["gate"].startswith("audit.")


def _gates_that_failed(report: Mapping[str, Any]) -> list[str]:
    shown = [gate for gate in report["gates"] if judged(report, gate)]
    failed = [_not_held(gate) for gate in shown if gate["state"] != gates.PASSED]
    return [f"{len(failed)} of {len(shown)} gates did not hold: {_sentence('; '.join(failed))}"] if failed else []


def _not_held(gate: Mapping[str, Any]) -> str:
    measured, limit = (quantity(gate[side], gate["unit"]) for side in ("left", "right"))
    return f"{gate['gate']} ({gate['why'] or f'measured {measured}, limit {limit}'})"


def _sentence(text: str) -> str:
    return text if text.endswith(".") else text + "."


def _felt(headline: Mapping[str, Any]) -> str:
    """What callers felt while slots moved, against the control: slow requests and the response time."""
    p50, p99, slow, *_ = headline["rows"]
    against = "in the control" if headline["against"] == "control" else "before it (the run has no control)"
    said: list[str] = []
    if slow["during"] is not None:
        base = "" if slow["control"] is None else f", against {percent(slow['control'])} % {against}"
        said.append(f"{percent(slow['during'])} % of requests took {slow['figure']}{base}")
    name, row = ("p99", p99) if p99["difference"] is not None else ("p50", p50)
    if row["during"] is not None:
        base = "" if row["control"] is None else f", against {duration(row['control'])}"
        said.append(f"response {name} was {duration(row['during'])}{base}")
    length = headline["seconds"]
    if not said:
        return "No request was planned while slots moved."
    return f"In the {length} s in which slots moved, {'; '.join(said)}."


def _shards(reshard: Mapping[str, Any]) -> str:
    if isinstance(reshard["from"], int) and isinstance(reshard["to"], int):
        verb = "Adding" if reshard["to"] > reshard["from"] else "Removing"
        count = abs(reshard["to"] - reshard["from"])
        return f"{verb} {'a shard' if count == 1 else f'{count} shards'} ({reshard['from']} to {reshard['to']})"
    return "The reshard"


def _moved(reshard: Mapping[str, Any] | None, *, timed: bool = True) -> list[str]:
    """How many slots moved and how; without the time that they took unless `timed`."""
    if reshard is None:
        return []
    who = _shards(reshard)
    if reshard["error"]:
        return [f"{who} failed: {_sentence(reshard['error'])}"]
    if reshard["started_s"] is None:
        return [f"{who} was requested, but no slot moved before the load ended."]
    if reshard["finished_s"] is None:
        return [f"{who} began; slots were still moving at the record's end, so there are no seconds after it."]
    slots = f"{reshard['slots']:,} slots" if reshard["slots"] is not None else "slots"
    took = f" in {duration(reshard['duration_ms'])}" if timed else ""
    said = [f"{who} moved {slots}{took}{WAYS.get(reshard['migration'] or '', '')}."]
    if not reshard["under_load"]:
        said.append(
            "Slots were still moving when the load ended: the rest was not measured; there are no seconds after it."
        )
    if reshard["during"] is None:
        said.append("It did not happen inside a phase of the load, so there is nothing to compare it with.")
    return said


def _back_to_normal(found: Mapping[str, Any]) -> list[str]:
    if found["state"] == recovery.AT_ONCE:
        return ["Response times were back to normal at once."]
    if found["state"] == recovery.AFTER:
        return [f"Response times were back to normal {found['after_s']} s after the move."]
    if found["state"] == recovery.NOT_SEEN:
        return [f"Response times were not back to normal within the {found['watched_s']} s recorded after the move."]
    return [f"When response times were back to normal cannot be told: {found['why']}."]


def _survival(report: Mapping[str, Any]) -> str:
    """Requests that failed and sessions that were lost, over the whole run."""
    told = _failed(report)
    sessions = report["audit"]
    if sessions is None:
        return f"{told}; whether sessions were lost was not checked"
    missing, different = sessions["missing"], sessions["different"]
    if not sessions["expected"]:
        return f"{told}; no session was acknowledged, so none could be lost"
    if not sessions["complete"] or sessions["checked"] < sessions["expected"]:
        partly = f"only {sessions['checked']:,} of {sessions['expected']:,} sessions were read back afterwards"
        if sessions["checked"] >= sessions["expected"]:
            partly = "the audit of the sessions did not end"
        return f"{told}; {partly}; of these, {missing:,} were missing and {different:,} different"
    if missing or different:
        return (
            f"{told}; of {sessions['checked']:,} sessions {missing:,} were lost and {different:,} came back different"
        )
    return f"{told} and no session was lost"


def _failed(report: Mapping[str, Any]) -> str:
    others = [
        f"{report[count]:,} {what}"
        for count, what in (("missed", "could not be sent"), ("unknown", "may have been sent: their worker was lost"))
        if report[count]
    ]
    if not report["offered"]:
        return "No request was planned"
    if report["failed"]:
        first = f"{report['failed']:,} of {report['offered']:,} requests failed"
        headline = report["headline"]
        if headline is not None:
            row = next(row for row in headline["rows"] if row["figure"] == "failed")
            against = "the control" if headline["against"] == "control" else "the seconds before"
            first += f" ({row['during']:,} while slots moved, {row['control']:,} in {against})"
    else:
        first = "No request failed"
    return ", ".join([first, *others])


def limits(report: Mapping[str, Any]) -> str:
    """What the claim is limited to."""
    engine = report["run"].get("engine") or {}
    named = (
        " ".join(str(engine[key]) for key in ("name", "version") if engine.get(key)) if isinstance(engine, dict) else ""
    )
    if report["where"] == "aws":
        where = f"AWS{f' ({named})' if named else ''}"
    elif report["where"] == "rehearsal":
        where = f"one machine{f' ({named})' if named else ''}: a rehearsal, not AWS"
    else:
        where = f"whatever answered at {report['run'].get('host', 'an address that was not recorded')}"
    is_one_event = report["reshard"] is not None and not report["cycles"]
    return f"This is one event on {where}." if is_one_event else f"The claim is limited to {where}."
