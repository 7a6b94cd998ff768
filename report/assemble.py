"""The report of one run folder, made and judged: `build` is all that other rooms call."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract.files import replace
from contract.runfolder import TIMINGS
from contract.runread import read_run
from report import advice, document, escapes, gates, page, picture, summary, terminal, verdict
from report.findings import examine

DEFAULT_GATES = Path(__file__).resolve().parent.parent / "gates.txt"


@dataclass(frozen=True)
class ReportResult:
    """What came out. `exit_code` is 0 valid and every gate held, 1 a gate failed, 2 INVALID."""

    exit_code: int
    verdict: str
    reasons: list[str]
    html: Path
    report: dict[str, Any]


def build(run_dir: Path, gate_texts: Sequence[str] | None = None, *, added: Sequence[str] = ()) -> ReportResult:
    """Write report.html, report.json, report.md, timeline.svg and timeline.png into the run folder.

    Args:
        run_dir: the run folder.
        gate_texts: the gates to judge it by; if None, those that run.json keeps, or else the repository's gates.txt.
        added: gates beside them.

    Raises:
        contract.runfolder.RunFolderError: it is no run folder, or one of another format version.
        report.gates.GateError: a gate cannot be understood, or names a timing that the run's application does not tell.
    """
    run = read_run(run_dir)
    timings = run.timings if run.meta else TIMINGS
    own: Sequence[gates.Gate] = ()
    if gate_texts is None:
        own = gates.kept_in(run.meta, timings)
        gate_texts = [] if own else gates.read_gates(DEFAULT_GATES)
    asked = [*own, *(gates.parse(text, timings) for text in (*gate_texts, *added))]
    findings = examine(run)
    report = document.document(findings)
    report["gates"] = document.judge(report, asked)
    report["exit_code"] = verdict.exit_code(report)
    report["verdict"] = verdict.sentences(report)
    report["next"] = advice.advice(report)

    png = picture.draw(findings, run_dir)
    html = run_dir / "report.html"
    replace(html, page.render(report, findings, png).encode())
    replace(run_dir / "report.md", summary.markdown(report).encode())
    replace(run_dir / "report.json", escapes.json_file(report).encode())
    return ReportResult(report["exit_code"], terminal.text(report), list(report["reasons"]), html, report)
