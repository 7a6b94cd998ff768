"""The whole suite as `make test` runs it: in parallel, then one by one what may not be disturbed.

    python -m tests [--everything] [options of pytest]

Tests marked `alone` time something, or end processes at chosen moments: beside others they would measure the others.
`--everything` adds what needs minutes or Debian's packages. The last line counts both parts; the exit code is the first
part's that failed.
"""

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

from contract.exits import DEFECT, OK, USAGE, end

ONLY_CI = ("rehearsal", "image", "engine", "browser")
# Tests wait for processes most of the time, so twice as many run as there are cores.
WORKERS = 2 * (os.cpu_count() or 2)
# Where Python may write no bytecode beside the sources, it is kept here: hundreds of processes are started, and each
# would compile all that it imports.
BYTECODE = Path(__file__).resolve().parent.parent / "build" / "bytecode"
NO_TESTS = 5  # pytest's exit code when nothing was selected
CODES = {3: DEFECT, 4: USAGE}  # pytest's own for an error of its own and for a wrong option; 1 and 2 mean the same


def run(words: list[str], report: Path) -> tuple[int, Counter[str]]:
    """Run one part; its exit code, and its tests by outcome."""
    environment = dict(os.environ)
    if environment.pop("PYTHONDONTWRITEBYTECODE", ""):
        environment["PYTHONPYCACHEPREFIX"] = str(BYTECODE)
    command = [sys.executable, "-m", "pytest", f"--junit-xml={report}", *words]
    done = subprocess.run(command, env=environment, check=False)
    counts: Counter[str] = Counter()
    if report.exists():
        for suite in ET.parse(report).getroot():  # noqa: S314 - pytest has just written it
            for outcome in ("tests", "failures", "errors", "skipped"):
                counts[outcome] += int(suite.get(outcome, "0"))
    return done.returncode, counts


def main(words: list[str]) -> int:
    """Run both parts and say what came of them."""
    started = time.monotonic()
    everything = "--everything" in words
    options = [word for word in words if word != "--everything"]
    chosen = [] if everything else [f"not {mark}" for mark in ONLY_CI]
    parts = {
        "In parallel": (["-n", str(WORKERS), "--dist", "worksteal"], "not alone"),
        "One by one": ([], "alone"),
    }
    codes: list[int] = []
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="tests-") as folder:
        for name, (how, mark) in parts.items():
            print(f"{name}:", flush=True)
            code, counts = run([*how, "-m", " and ".join([mark, *chosen]), *options], Path(folder) / f"{mark}.xml")
            codes.append(0 if code == NO_TESTS else code)
            total += counts
    if not everything:
        print("Left out: whole rehearsals, image, engine, browser. .ci/run has them: python -m tests --everything")
    failed = total["failures"] + total["errors"]
    passed = total["tests"] - failed - total["skipped"]
    outcome = [f"{failed} failed"] * (failed > 0) + [f"{passed} passed", f"{total['skipped']} skipped"]
    print(f"===== {', '.join(outcome)} in {time.monotonic() - started:.0f}s, both parts together =====")
    code = next((code for code in codes if code), OK)
    return CODES.get(code, code)


if __name__ == "__main__":
    end("python -m tests", lambda: main(sys.argv[1:]))
