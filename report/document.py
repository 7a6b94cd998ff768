"""report.json: everything that the report says, as data. `report/schema.json` describes it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from contract.runread import Run, number
from report import cloudwatch, gates, measures, stalls
from report.effect import Effect
from report.findings import Findings
from report.headline import headline
from report.moves import PlayedMove, is_cycles
from report.sessions import sessions_of
from report.windows import load_end_s

FORMAT = 2
WINDOWS = ("before", "during", "after")


def document(findings: Findings) -> dict[str, Any]:
    """report.json without its gates, verdict and advice, which are worked out from it afterwards."""
    run = findings.run
    everything = np.ones(len(run.seconds), dtype=np.bool_)
    whole = measures.measure(run, everything)
    aws = cloudwatch.as_json(run)
    return {
        "format": FORMAT,
        "id": run.text("id", run.path.name),
        "valid": findings.usable,
        "reasons": findings.reasons,
        "where": run.text("where", "unknown"),
        "ended": run.text("ended", "unknown"),
        **whole.counts,
        "cold": whole.cold,
        "timings": list(run.timings),
        "send_lag_ms": whole.latency["lag"].as_json(),
        "latency": _latency(whole),
        "phases": [_phase(findings, place) for place in range(len(run.phases))],
        "headline": None if findings.windows is None else headline(run, findings.windows, usable=findings.usable),
        "reshard": _reshard(findings),
        "moves": [{"usable": findings.usable, **_played(run, move)} for move in findings.moves],
        "cycles": None if findings.cycles is None else findings.cycles.as_json(),
        "selftest": findings.selftest.as_json(usable=findings.usable),
        "audit": _audit(run),
        "failures": _failures(run),
        **({} if aws is None else {"aws": aws}),
        "checks": [dict(check.__dict__) for check in findings.checks],
        "gates": [],
        "next": [],
        "run": _what_ran(run),
    }


def judge(report: Mapping[str, Any], asked: Sequence[gates.Gate]) -> list[dict[str, Any]]:
    """The gates' results, each gate once; that no session is missing or different is always one of them."""
    always = [gates.parse(f"audit.{name} == 0") for name in ("missing", "different")] if report["audit"] else []
    by_text = {gate.text: gate for gate in asked}
    every = [*(gate for gate in always if gate.text not in by_text), *by_text.values()]
    return [dict(gate.judge(report).__dict__) for gate in every]


def _latency(measured: measures.Measures) -> dict[str, Any]:
    return {series: latency.as_json() for series, latency in measured.latency.items()}


def _window(findings: Findings, rows: measures.Mask) -> dict[str, Any]:
    measured = measures.measure(findings.run, rows)
    return {
        "usable": findings.usable,
        "seconds": measured.seconds,
        **measured.counts,
        "cold": measured.cold,
        "slow": stalls.slow_arrivals(findings.run, rows),
        "latency": _latency(measured),
    }


def _phase(findings: Findings, place: int) -> dict[str, Any]:
    phase = findings.run.phases[place]
    return {
        "name": phase.name,
        "start_s": phase.start_s,
        "duration_s": phase.duration_s,
        "rate_from": phase.rate_from,
        "rate_to": phase.rate_to,
        "planned": phase.arrivals,
        **_window(findings, findings.run.seconds.phase == place),
    }


def _reshard(findings: Findings) -> dict[str, Any] | None:
    declared = findings.run.table("reshard")
    end = load_end_s(findings.run)
    if findings.windows is None:
        real = [move for move in findings.moves if move.kind == "real"]
        if not real or is_cycles(findings.moves):
            return None
        return {**_move(real[0], declared, end), **dict.fromkeys((*WINDOWS, "control", "effect", "stall"))}
    windows = findings.windows
    control = None
    if windows.control is not None:
        control = {
            "phase": windows.control.name,
            **{name: _window(findings, windows.control_rows(name)) for name in WINDOWS},
        }
    by_series: dict[str, dict[str, Any]] = {}
    for effect in findings.effects:
        by_series.setdefault(effect.series, {})[effect.stat] = _effect(effect)
    return {
        **_move(windows.move, declared, end),
        "phase": windows.phase.name,
        **{name: _window(findings, windows.rows(name)) for name in WINDOWS},
        "control": control,
        "effect": by_series,
        "stall": _around(findings.around),
        "control_stall": _around(findings.around_sham),
        "sham": None if windows.sham is None else _move(windows.sham, {}, end),
    }


def _move(move: PlayedMove, declared: Mapping[str, Any], load_end_s: float) -> dict[str, Any]:
    return {
        "from": declared.get("from"),
        "to": declared.get("to"),
        "migration": move.migration or None,
        "requested_s": _rounded(move.requested_s),
        "started_s": _rounded(move.started_s),
        "finished_s": _rounded(move.finished_s),
        "duration_ms": None if move.duration_s is None else _rounded(move.duration_s * 1000),
        "under_load": move.finished_s is not None and move.finished_s <= load_end_s,
        "slots": move.slots,
        "keys": move.keys,
        "error": move.error or None,
    }


def _played(run: Run, move: PlayedMove) -> dict[str, Any]:
    """One move or sham, with what single arrivals tell about it."""
    stall = stalls.around(run, move)
    return {
        "kind": move.kind,
        "cycle": move.cycle,
        "direction": move.direction or None,
        "migration": move.migration or None,
        "started_s": _rounded(move.started_s),
        "duration_ms": None if move.duration_s is None else _rounded(move.duration_s * 1000),
        "slots": move.slots,
        "keys": move.keys,
        "retried": move.retried,
        "stall_ms": None if stall is None else _rounded(stall.stall_ms),
        "slow": None if stall is None else stall.slow,
        "arrivals": None if stall is None else stall.arrivals,
    }


def _effect(effect: Effect) -> dict[str, Any]:
    placebo = effect.placebo
    return {
        "paired": effect.paired,
        "effect_ms": _rounded(effect.effect),
        "aftermath_ms": _rounded(effect.aftermath),
        "placebo": None
        if placebo is None
        else {"windows": len(placebo.values), "as_large": placebo.as_large, "p": _rounded(placebo.p)},
    }


def _around(around: stalls.Around | None) -> dict[str, Any] | None:
    if around is None:
        return None
    return {key: _rounded(value) if isinstance(value, float) else value for key, value in around.__dict__.items()}


def _audit(run: Run) -> dict[str, Any] | None:
    sessions = sessions_of(run)
    return None if sessions is None else dict(sessions.__dict__)


def _failures(run: Run) -> list[dict[str, Any]]:
    totals: dict[str, int] = {}
    for causes in run.seconds.causes:
        for cause, count in causes.items():
            totals[cause] = totals.get(cause, 0) + count
    examples: dict[str, list[dict[str, Any]]] = {}
    for failure in run.failures:
        cause = str(failure.get("cause"))
        examples.setdefault(cause, []).append(
            {"t_s": _rounded(number(failure.get("t_s"))), "detail": str(failure.get("detail"))[:500]}
        )
    causes = sorted({*totals, *examples}, key=lambda cause: (-totals.get(cause, 0), cause))
    return [
        {"cause": cause, "count": totals.get(cause, 0), "examples": examples.get(cause, [])[:3]} for cause in causes
    ]


def _what_ran(run: Run) -> dict[str, Any]:
    """run.json without what report.json holds elsewhere, so that report.json can be read alone."""
    apart = {"format", "id", "totals", "ended", "where"}
    return {key: value for key, value in run.meta.items() if key not in apart}


def _rounded(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 6)
