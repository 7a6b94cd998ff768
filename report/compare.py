"""Two runs or more side by side: charts overlaid, a table of differences, and the settings in which the runs differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from contract.files import replace
from contract.runread import mapping, read_run
from report import compare_tables, standalone, verdict
from report.charts.chart import LOOKS
from report.charts.compared import overlaid, series_of
from report.charts.timeline import shading
from report.document import document
from report.findings import Findings, examine

MOST_RUNS = len(LOOKS)
_ALIKE = (
    "where", "scale", "compress", "workers", "connection", "time_limit_s", "duration_s", "max_in_flight", "engine",
    "machine", "function", "cluster_medium", "versions", "settings",
)  # fmt: skip


class CompareError(ValueError):
    """Runs that cannot be compared; the message says why."""


@dataclass(frozen=True)
class CompareResult:
    """What came out; `exit_code` is 2 when one of the runs is INVALID."""

    exit_code: int
    html: Path
    unlike: list[str]
    invalid: list[str]


def compare(folders: Sequence[Path], out: Path) -> CompareResult:
    """Write the comparison of the runs into the file `out`.

    Raises:
        CompareError: fewer than two runs, or too many to tell apart; no file can be written there.
        contract.runread.RunFolderError: a folder is no run folder.
    """
    if not 2 <= len(folders) <= MOST_RUNS:
        raise CompareError(f"compare takes 2 to {MOST_RUNS} runs, got {len(folders)}")
    if out.is_dir() or not out.parent.is_dir():
        raise CompareError(f"--out {out}: name a file, in a folder that exists")
    runs = [examine(read_run(folder)) for folder in folders]
    reports = [document(findings) for findings in runs]
    for report in reports:
        report["verdict"] = verdict.sentences(report)
    names = _names(folders)
    unlike = _differences_of_runs(runs)
    invalid = [name for name, report in zip(names, reports, strict=True) if not report["valid"]]
    drawn = overlaid(runs, names)
    page = standalone.fill(
        "compare.html.jinja",
        drawn,
        shading(runs[0]),
        title=f"{len(names)} runs compared",
        names=names,
        runs=list(zip(names, reports, strict=True)),
        unlike=unlike,
        invalid=invalid,
        unusable=f"{', '.join(name[0] for name in invalid)} INVALID: not usable" if invalid else "",
        drawn=drawn,
        rows=compare_tables.figure_rows(reports, series_of(runs)),
        cycles=compare_tables.cycle_rows(runs),
    )
    replace(out, page.encode())
    return CompareResult(2 if invalid else 0, out, unlike, invalid)


def _names(folders: Sequence[Path]) -> list[str]:
    """A letter and the folder's name for each run: the same folder may be named twice."""
    return [f"{chr(ord('A') + place)}: {folder.resolve().name}" for place, folder in enumerate(folders)]


def _differences_of_runs(runs: Sequence[Findings]) -> list[str]:
    """Each setting in which the runs differ, with its value in each run."""
    seen: dict[str, list[str]] = {}
    for place, findings in enumerate(runs):
        for name, value in _facts(findings).items():
            seen.setdefault(name, ["not recorded"] * len(runs))[place] = value
    return [f"{name}: {' | '.join(values)}" for name, values in seen.items() if len(set(values)) > 1]


def _facts(findings: Findings) -> dict[str, str]:
    run = findings.run
    profile = run.table("profile")
    facts = {
        "profile": str(profile.get("name", "unknown")),
        "arrivals": str(profile.get("arrivals", "unknown")),
        "phases": "; ".join(
            f"{phase.name} {phase.duration_s:g} s {phase.rate_from:g} to {phase.rate_to:g}/s" for phase in run.phases
        ),
    }
    for key in _ALIKE:
        value = run.meta.get(key)
        if isinstance(value, dict):
            facts |= {f"{key} {inner}": _fact(held) for inner, held in mapping(value).items()}
        elif value is not None:
            facts[key] = _fact(value)
    for key in ("from", "to", "migration"):
        if (value := run.table("reshard").get(key)) is not None:
            facts[f"reshard {key}"] = str(value)
    return facts


def _fact(value: object) -> str:
    """A setting's value as text; floats are rounded to nine digits, so that rounding errors are no difference."""
    return f"{value:.9g}" if isinstance(value, float) else str(value)
