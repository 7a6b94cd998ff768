"""The first thing a reader sees: a few sentences with numbers, and what the claim is limited to."""

from collections.abc import Mapping, Sequence
from typing import Any

from contract.histograms import LATENCIES
from report import cycles_verdict, escapes, gates
from report.formats import quantity
from report.mechanism import WAYS, retries

STATES = {"valid": "VALID", "failed": "GATE FAILED", "invalid": "INVALID"}


def exit_code(report: Mapping[str, Any]) -> int:
    """0 valid and every gate held, 1 a gate failed, 2 INVALID."""
    if not report["valid"]:
        return 2
    return 0 if all(gate["state"] == gates.PASSED for gate in report["gates"]) else 1


def state(report: Mapping[str, Any]) -> str:
    """The state's name: valid, failed or invalid."""
    return ("valid", "failed", "invalid")[exit_code(report)]


def text(report: Mapping[str, Any]) -> str:
    """The verdict for a terminal: why the run is INVALID a line each, then the sentences."""
    first, *others = map(escapes.terminal, report["verdict"])
    reasons = [f"  - {escapes.terminal(reason)}" for reason in report["reasons"]]
    return "\n".join([first, *reasons, " ".join(others)] if reasons else [" ".join([first, *others])])


def sentences(report: Mapping[str, Any]) -> list[str]:
    """The verdict, plain text."""
    said: list[str] = []
    if not report["valid"]:
        failed = len(report["reasons"])
        checks = f"{failed} check{'' if failed == 1 else 's'} of this run failed"
        said.append(f"INVALID: {checks}, so its latencies must not be quoted.")
    if report["cycles"]:
        said += cycles_verdict.sentences(report, WAYS.get(report["cycles"]["migration"] or "", ""))
    elif report["reshard"] is None:
        said.append("No slots moved in this run, so it says nothing about resharding.")
    else:
        said += _reshard(report["reshard"])
    said += retries(report["moves"])
    said.append(_survival(report))
    # An INVALID run's latencies must not be quoted: its gates are named without what they measured.
    failed = [
        _not_held(gate) if report["valid"] else gate["gate"]
        for gate in report["gates"]
        if gate["state"] != gates.PASSED
    ]
    if failed:
        said.append(f"{len(failed)} of {len(report['gates'])} gates did not hold: {_joined(failed)}")
    said.append(limits(report))
    return said


def _not_held(gate: Mapping[str, Any]) -> str:
    measured, limit = (quantity(gate[side], gate["unit"]) for side in ("left", "right"))
    return f"{gate['gate']} ({gate['why'] or f'measured {measured}, limit {limit}'})"


def _joined(parts: Sequence[str]) -> str:
    return "; ".join(parts) + ("" if parts and parts[-1].endswith(".") else ".")


def _time(value: float | None) -> str:
    """Three significant figures in ms, or in s from one second on; "unknown" for None."""
    if value is None:
        return "unknown"
    if abs(value) >= 1000:
        return f"{value / 1000:.3g} s"
    return f"{_figures(value)} ms"


def _figures(value: float, sign: str = "") -> str:
    """Three significant figures; `sign` "+" gives both signs."""
    if abs(value) >= 1000:
        return f"{value:{sign}.0f}"
    return f"{value:{sign}.3f}" if abs(value) < 1 else f"{value:{sign}.3g}"


def _shards(report: Mapping[str, Any]) -> str:
    if isinstance(report["from"], int) and isinstance(report["to"], int):
        verb = "Adding" if report["to"] > report["from"] else "Removing"
        count = abs(report["to"] - report["from"])
        return f"{verb} {'a shard' if count == 1 else f'{count} shards'} ({report['from']} to {report['to']})"
    return "The reshard"


def _reshard(reshard: Mapping[str, Any]) -> list[str]:
    if reshard["error"]:
        return [f"{_shards(reshard)} failed: {reshard['error']}."]
    if reshard["started_s"] is None:
        return [f"{_shards(reshard)} was requested, but no slot moved before the load ended."]
    if reshard["finished_s"] is None:
        return [
            f"{_shards(reshard)} began; slots were still moving at the record's end, so there are no seconds after it."
        ]
    slots = f"{reshard['slots']:,} slots" if reshard["slots"] is not None else "slots"
    way = WAYS.get(reshard["migration"] or "", "")
    said = [f"{_shards(reshard)} moved {slots} in {_time(reshard['duration_ms'])}{way}."]
    if not reshard["under_load"]:
        said.append(
            "Slots were still moving when the load ended: the rest was not measured; there are no seconds after it."
        )
    during, control = reshard["during"], reshard["control"]
    if during is None:
        return [*said, "It did not happen inside a phase of the load, so there is nothing to compare it with."]
    against = control["during"]["latency"] if control else reshard["before"]["latency"]
    parts = [
        f"{series} p50 {_time(now['p50'])} and p99 {_time(now['p99'])} "
        f"({_time(against[series]['p50'])} and {_time(against[series]['p99'])})"
        for series in reversed(during["latency"])
        if series not in LATENCIES and (now := during["latency"][series])["count"]
    ]
    if parts:
        base = "the control" if control else "the seconds before; the run has no control"
        said.append(f"While they moved (in brackets: {base}): {', '.join(parts)}.")
    stall = reshard["stall"]
    if stall and stall["stall_ms"]:
        said.append(
            f"The longest stall was {_time(stall['stall_ms'])}{_in_the_sham(reshard['control_stall'])}; "
            f"{stall['slow']:,} of {stall['arrivals']:,} arrivals waited over {stall['slow_ms']:g} ms."
        )
    return said


def _in_the_sham(stall: Mapping[str, Any] | None) -> str:
    return f" ({_time(stall['stall_ms'])} in the sham)" if stall else ""


def _survival(report: Mapping[str, Any]) -> str:
    lost = report["failed"] + report["missed"] + report["unknown"]
    load = f"{report['ok']:,} of {report['offered']:,} arrivals got a good reply"
    if lost:
        load += f" ({report['failed']:,} failed, {report['missed']:,} missed, {report['unknown']:,} unknown)"
    audit = report["audit"]
    if audit is None:
        return f"{load}; whether the sessions survived was not checked."
    if audit["missing"] or audit["different"]:
        return (
            f"{load}; of {audit['checked']:,} sessions read back afterwards "
            f"{audit['missing']:,} were missing and {audit['different']:,} different."
        )
    return f"{load}; all {audit['checked']:,} sessions read back afterwards were intact."


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
