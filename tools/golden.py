"""Makes a golden run folder from a real one: `python -m tools.golden RUN NAME [--from S --to S]`.

Keeps what the report reads, without the function's log lines and the sessions, and only the single arrivals between the
two times. Then writes the present report.json of that folder beside it, for review.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from report import build

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "report" / "golden"
KEPT = ("run.json", "seconds.csv", "latency.hlog", "events.jsonl", "failures.jsonl", "audit.json", "server.jsonl")


def trim(run: Path, folder: Path, from_s: float, to_s: float) -> None:
    """Copy the kept files."""
    folder.mkdir(parents=True)
    for name in KEPT:
        if (run / name).exists():
            shutil.copy(run / name, folder / name)
    lines = (run / "function.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "function.jsonl").write_text(
        "".join(line for line in lines if '"environments"' in line), encoding="utf-8"
    )
    head, *rows = (run / "arrivals.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [row for row in rows if from_s <= float(row.split(",")[1]) < to_s]
    (folder / "arrivals.csv").write_text("".join([head, *kept]), encoding="utf-8")


def report_of(folder: Path, scratch: Path) -> dict[str, Any]:
    """The report.json of a golden folder, made in a copy of it."""
    copy = scratch / folder.name
    shutil.copytree(folder, copy)
    build(copy, ["failed == 0", "read.p99 < 5ms"])
    report_json: dict[str, Any] = json.loads((copy / "report.json").read_text(encoding="utf-8"))
    return report_json


def expected(name: str) -> Path:
    """The path of a golden folder's expected report.json."""
    return GOLDEN / f"{name}.report.json"


def main() -> None:
    """Trim a run; for an existing golden folder only write its expected report.json."""
    parser = argparse.ArgumentParser(prog="python -m tools.golden", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--from", dest="from_s", type=float, default=0.0)
    parser.add_argument("--to", dest="to_s", type=float, default=1e9)
    options = parser.parse_args()
    folder = GOLDEN / options.name
    if not folder.exists():
        trim(options.run, folder, options.from_s, options.to_s)
    scratch = GOLDEN.parent / "golden-scratch"
    try:
        report = report_of(folder, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    expected(options.name).write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
