"""The verdict's sentences on a run of cycles: what many moves cost, and what that claim is worth."""

from collections.abc import Mapping, Sequence
from typing import Any

from report import coverage
from report.formats import change, p_value
from report.inference import ALPHA


def sentences(report: Mapping[str, Any], way: str) -> list[str]:
    """The sentences; `way` says how slots moved. An INVALID run's have no figure of an effect."""
    cycles: Mapping[str, Any] = report["cycles"]
    said = [_played(cycles, report["moves"], way)]
    if not report["valid"]:
        return said
    primary = cycles["outcomes"].get(cycles["primary"] or "")
    if cycles["problem"] or primary is None:
        told = _estimates(cycles["outcomes"])
        said.append(f"No interval and no p-value is told: {cycles['problem']}.")
        said.append(f"Estimates alone: {told}." if told else "The values of each block are in the table.")
    else:
        said += [*_primary(cycles["primary"], primary), _secondary(cycles["outcomes"], primary)]
    return [*said, _counts(cycles)] if cycles["blocks"] else said


def _played(cycles: Mapping[str, Any], moves: Sequence[Mapping[str, Any]], way: str) -> str:
    took = sorted(
        move["duration_ms"] / 1000 for move in moves if move["kind"] == "real" and move["duration_ms"] is not None
    )
    ends = list(dict.fromkeys(f"{seconds:.3g}" for seconds in (took[0], took[-1]))) if took else []
    durations = f", in {' to '.join(ends)} s each" if took else ""
    whole, left_out = len(cycles["blocks"]), cycles["left_out"]
    times, compared = "once" if len(took) == 1 else f"{len(took)} times", "block" if whole == 1 else "blocks"
    said = f"Slots moved {times}{way}{durations}; whole {compared} of a real and a sham move: {whole}"
    unplayed = cycles["declared"] - whole - len(left_out)
    if left_out:
        said += f"; {len(left_out)} left out (block {left_out[0]['cycle']}: {left_out[0]['why']})"
    return said + (f"; {unplayed} of {cycles['declared']} declared were not played." if unplayed > 0 else ".")


def name(outcome: str) -> str:
    """An outcome in words: "response p99", "share of slow responses"."""
    return {"response.slow": "share of slow responses", "response.slow_arrivals": "slow arrivals a move"}.get(
        outcome, outcome.replace(".", " ")
    )


def _primary(outcome: str, row: Mapping[str, Any]) -> list[str]:
    estimate = change(row["estimate"], row["unit"])
    blocks = f"{row['blocks']} blocks"
    if row["p"] <= ALPHA:
        said = (
            f"Moving slots changes the primary outcome, {name(outcome)}, by {estimate} beyond its sham "
            f"({_chance(row)}, {blocks})."
        )
    else:
        said = (
            f"No effect on the primary outcome, {name(outcome)}, is shown: {estimate} beyond the sham "
            f"({_chance(row)}, {blocks}); that does not show that there is none."
        )
    return [said] if row["coverage"] is None or row["coverage"] >= coverage.LEAST else [said, _shape(row)]


def _chance(row: Mapping[str, Any]) -> str:
    """The interval and the p-value."""
    if row["low"] is None:
        return f"no interval, because the blocks do not differ, {p_value(row['p'])}"
    return f"95 % interval {change(row['low'], row['unit'], to=row['high'])}, {p_value(row['p'])}"


def _shape(row: Mapping[str, Any]) -> str:
    """Why the interval may hold the true mean less often than it says."""
    shape = (
        f"are skewed ({row['skew']:.2g})"
        if row["coverage_by"] == "skew"
        else f"spread {row['spread']:.2g} times as much in one direction as in the other"
    )
    return (
        f"The blocks' differences {shape}: in simulation the interval of such data held the true mean in "
        f"{row['coverage']:.0%} of runs, not 95 %; play more blocks."
    )


def _secondary(outcomes: Mapping[str, Any], primary: Mapping[str, Any]) -> str:
    if primary["p"] > ALPHA:
        return f"The others are estimates alone, because its p is above {ALPHA}: {_estimates(outcomes)}."
    rows = {outcome: row for outcome, row in outcomes.items() if row["role"] == "secondary" and row["p"] is not None}
    shown = [
        f"{name(outcome)} {change(row['estimate'], row['unit'])} ({_chance(row)})"
        for outcome, row in rows.items()
        if row["p"] <= ALPHA
    ]
    rest = [name(outcome) for outcome, row in rows.items() if row["p"] > ALPHA]
    parts = [f"an effect on {', '.join(shown)}"] if shown else []
    parts += [f"none is shown on {', '.join(rest)}"] if rest else []
    return f"Of the secondary outcomes (p-values by Holm's method): {'; '.join(parts)}."


def _estimates(outcomes: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name(outcome)} {change(row['estimate'], row['unit'])}"
        for outcome, row in outcomes.items()
        if row["role"] == "secondary" and row["estimate"] is not None
    )


def _counts(cycles: Mapping[str, Any]) -> str:
    blocks = len(cycles["blocks"])
    real, sham = cycles["moved"]["real"], cycles["moved"]["sham"]
    return (
        f"In the windows {real['slow'] / blocks:.3g} arrivals a real move were slow (over {cycles['slow_ms']:g} ms), "
        f"{sham['slow'] / blocks:.3g} a sham; {real['failed']:,} and {sham['failed']:,} in all had no good reply."
    )
