"""Makes a golden run folder from a real one: `python -m tools.golden RUN NAME [--from S --to S]`.

Keeps what the report reads, without the function's log lines. Sessions are numbered instead of their ids, which nothing
reads and which do not compress. `--from` and `--to` keep the single arrivals between two times only; without them the
folder is whole and is kept as an archive. Then writes the present report.json of that folder beside it, for review.
"""

import argparse
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

from report import build

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "report" / "golden"
KEPT = ("run.json", "seconds.csv", "latency.hlog", "events.jsonl", "failures.jsonl", "audit.json", "server.jsonl")
EVERYTHING = (0.0, 1e9)


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
    sessions = (run / "sessions.bin").stat().st_size // 16
    (folder / "sessions.bin").write_bytes(b"".join(number.to_bytes(8, "big") * 2 for number in range(sessions)))


def names() -> list[str]:
    """The golden folders, archived or not."""
    return sorted({path.name.split(".")[0] for path in GOLDEN.iterdir()})


def copied(name: str, scratch: Path) -> Path:
    """A copy of a golden folder."""
    copy = scratch / name
    if (GOLDEN / name).is_dir():
        shutil.copytree(GOLDEN / name, copy)
    else:
        with tarfile.open(_archive(name)) as archive:
            archive.extractall(copy, filter="data")
    return copy


def _archive(name: str) -> Path:
    return GOLDEN / f"{name}.tar.xz"


def report_of(name: str, scratch: Path) -> dict[str, Any]:
    """The report.json of a golden folder, made in a copy of it."""
    copy = copied(name, scratch)
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
    parser.add_argument("--from", dest="from_s", type=float, default=EVERYTHING[0])
    parser.add_argument("--to", dest="to_s", type=float, default=EVERYTHING[1])
    options = parser.parse_args()
    folder = GOLDEN / options.name
    if options.name not in names():
        trim(options.run, folder, options.from_s, options.to_s)
        if (options.from_s, options.to_s) == EVERYTHING:
            with tarfile.open(_archive(options.name), "w:xz") as archive:
                for path in sorted(folder.iterdir()):
                    archive.add(path, path.name)
            shutil.rmtree(folder)
    scratch = GOLDEN.parent / "golden-scratch"
    try:
        report = report_of(options.name, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    expected(options.name).write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
