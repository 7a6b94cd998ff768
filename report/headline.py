"""The few figures that the verdict is made of: what the caller felt while slots moved, and in the control."""

from collections.abc import Mapping
from typing import Any

from contract.runread import Run
from report import measures, stalls
from report.measures import Latency, Mask
from report.recovery import recovery
from report.sessions import sessions_of
from report.windows import MoveWindows
from report.wording import figures, percent

P99, SLOW = "response.p99", "response.slow"
"""The primary outcome, as run.json and report.json name it."""

Figure = float | int | None


def headline(run: Run, windows: MoveWindows, *, usable: bool) -> dict[str, Any]:
    """report.json's `headline`: the rows, what they are compared with, and when response times were normal again."""
    during = windows.during
    base = windows.before if windows.control is None else windows.control_rows("during")
    here, there = _response(run, during), _response(run, base)
    slow_ms = stalls.slow_ms(run)
    tells_p99 = _p99(here) is not None and _p99(there) is not None
    sessions = sessions_of(run)
    lost = None if sessions is None else sessions.lost
    none_lost = 0 if lost == 0 else None  # which second a lost session was written in is not recorded
    return {
        "usable": usable,
        "primary": P99 if tells_p99 else SLOW,
        "slow_ms": slow_ms,
        "seconds": int(during.sum()),
        "against": "before" if windows.control is None else "control",
        "control": windows.control and {"phase": windows.control.name, "sham": windows.sham is not None},
        "rows": [
            _row("response p50", "ms", here.p50, there.p50),
            _row("response p99", "ms", _p99(here), _p99(there)),
            _row(f"over {slow_ms:g} ms", "%", _slow_percent(run, during), _slow_percent(run, base)),
            {**_row("failed", "requests", _failed(run, during), _failed(run, base)), "run": _failed(run)},
            {**_row("lost", "sessions", none_lost, none_lost), "run": lost},
        ],
        "back_to_normal": dict(recovery(run, windows).__dict__),
    }  # fmt: skip


def _row(figure: str, unit: str, during: Figure, control: Figure) -> dict[str, Any]:
    """One figure in both windows; the difference of two percentages is in percentage points."""
    apart = None if during is None or control is None else round(during - control, 6)
    return {"figure": figure, "unit": unit, "during": during, "control": control, "difference": apart}


def _response(run: Run, rows: Mask) -> Latency:
    return measures.latency_of(measures.merged(run, "response", rows))


def _p99(latency: Latency) -> float | None:
    return latency.p99 if latency.count >= measures.P99_SAMPLES else None


def _slow_percent(run: Run, rows: Mask) -> float | None:
    offered = int(run.seconds["offered"][rows].sum())
    return round(100 * stalls.slow_arrivals(run, rows) / offered, 4) if offered else None


def _failed(run: Run, rows: Mask | slice = slice(None)) -> int:
    return int(run.seconds["failed"][rows].sum())


def table(headline: Mapping[str, Any]) -> list[list[str]]:
    """The rows as text: a head, then during, control and difference; the whole run where it alone tells something."""
    rows = [row for row in headline["rows"] if any(row.get(key) is not None for key in ("during", "control", "run"))]
    base = "control" if headline["against"] == "control" else "before"
    shown = [["", *(row["figure"] for row in rows)]]
    for name, key in (("during", "during"), (base, "control"), ("difference", "difference")):
        shown.append([name, *(_cell(row[key], row["unit"], signed=key == "difference") for row in rows)])
    if any(row["run"] for row in rows if "run" in row):
        shown.append(["whole run", *(_cell(row["run"], row["unit"]) if "run" in row else "" for row in rows)])
    return shown


def note(headline: Mapping[str, Any]) -> str:
    """What the move is compared with, in words."""
    control = headline["control"]
    if control is None:
        return "Before: the seconds before the shard was requested. No earlier phase has the same rates: no control."
    sham = "; there a sham moved slots between nodes that the application does not use" if control["sham"] else ""
    return f"Control: the same seconds of phase {control['phase']!r}, which has the same rates{sham}."


def _cell(value: Figure, unit: str, *, signed: bool = False) -> str:
    """A dash where there is no value; differences with their sign, of percentages in points."""
    if value is None:
        return "-"
    sign = "+" if signed else ""
    if unit == "ms":
        return f"{figures(value, sign)} ms" if abs(value) < 1000 else f"{value / 1000:{sign}.3g} s"
    if unit == "%":
        return f"{percent(value, sign)} {'points' if signed else '%'}"
    return f"{value:{sign},}" if value else "0"
