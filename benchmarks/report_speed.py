"""Time and memory for the report of the original's whole load: 3,000 s, 927,000 arrivals.

    python -m benchmarks.report_speed [--keep FOLDER]

Makes such a run (with every log line of the function, and single arrivals kept over `--around` seconds), reports on it
in a process of its own, several times, and prints JSON: seconds, CPU seconds, peak memory, the page's size, and how
long decoding all histograms takes with numpy against hdrh. Exits 1 when a goal is missed (GOALS).
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hdrh.histogram import HdrHistogram

from benchmarks import results
from contract import runfolder
from contract.exits import end
from contract.hdrread import build, unwrap
from contract.parser import Parser
from contract.runread import read_run
from contract.runtables import histogram_lines
from tools.synthetic import Planted, Synthetic, write

PHASES = (("Warm up", 1200, 60, 450), ("Higher load", 600, 150, 900), ("Cool Down", 1200, 60, 450))
RUNS = 5
GOALS = {"cpu_median_s": 5.0, "peak_mb": 500.0, "html_mb": 6.0}
"""The most that is acceptable. CPU seconds, not elapsed ones: the machine may have other work."""


def original(around_s: float) -> Synthetic:
    """The original's three tasks, with a reshard at 65 % and its sham."""
    return Synthetic(
        phases=PHASES, moves=(Planted("sham", 150, around_s, 40), Planted("real", 1950, around_s, 140)), lead_s=5
    )


def add_log_lines(folder: Path, arrivals: int) -> None:
    """The function's own line for every arrival."""
    line = (
        '{"type": "ECL", "requestId": "00000000-0000-4000-8000-%012d", "session": "00000000-0000-4000-8000-%012d", '
        '"connection": 0.000161, "write": 0.000098, "read": 0.000097, "redirects": 0, "retries": 0}\n'
    )
    with (folder / runfolder.FUNCTION).open("a", encoding="utf-8") as stream:
        stream.writelines(line % (k, k) for k in range(arrivals))


def report_once(folder: Path) -> tuple[float, float, float]:
    """Seconds, CPU seconds and peak MB of `python -m report` as a process."""
    begun = time.perf_counter()
    child = os.posix_spawn(
        sys.executable, [sys.executable, "-m", "report", str(folder)], os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )  # fmt: skip
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - begun
    if os.waitstatus_to_exitcode(status) not in (0, 1, 2):
        raise SystemExit(f"python -m report {folder} exited {os.waitstatus_to_exitcode(status)}")
    scale = 1024 if sys.platform == "linux" else 1024 * 1024  # macOS gives bytes
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / scale


def decoding(folder: Path) -> dict[str, float]:
    """Seconds to decode every histogram of the run and take its p99, with numpy and with hdrh."""
    payloads = [payload for *_, payload in histogram_lines(folder / runfolder.LATENCY, [])]
    begun = time.perf_counter()
    build(list(range(len(payloads))), [unwrap(payload) for payload in payloads], len(payloads)).per_row(0.99)
    numpy_s = time.perf_counter() - begun
    part = payloads[:: max(len(payloads) // 200, 1)]
    begun = time.perf_counter()
    for payload in part:
        HdrHistogram.decode(payload).get_value_at_percentile(99)
    return {
        "histograms": len(payloads),
        "numpy_s": round(numpy_s, 3),
        "hdrh_s": round((time.perf_counter() - begun) * len(payloads) / len(part), 1),
    }


def main() -> int:
    """Make, report, print; 1 when a goal is missed."""
    parser = Parser(prog="python -m benchmarks.report_speed", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--around", type=float, default=60, help="how long slots move, in seconds (60)")
    parser.add_argument("--keep", type=Path, help="make the run folder here and leave it")
    options = parser.parse_args()
    began = time.time()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary) / "run"
        if not folder.exists():
            write(folder, original(options.around))
            add_log_lines(folder, 927_000)
        figures = [report_once(folder) for _ in range(RUNS)]
        result: dict[str, Any] = {
            "arrivals": 927_000,
            "seconds_of_load": 3_000,
            "single_arrivals": len(read_run(folder).arrivals),
            "run_folder_mb": round(sum(path.stat().st_size for path in folder.iterdir()) / 1e6, 1),
            "report_s": [round(seconds, 2) for seconds, _, _ in figures],
            "report_median_s": round(statistics.median(seconds for seconds, _, _ in figures), 2),
            "cpu_median_s": round(statistics.median(cpu_s for _, cpu_s, _ in figures), 2),
            "peak_mb": round(max(peak for _, _, peak in figures)),
            "html_mb": round((folder / "report.html").stat().st_size / 1e6, 2),
            "decoding": decoding(folder),
            "goals": GOALS,
        }
    path = results.save("report_speed", began, result)
    sys.stdout.write(path.read_text() + f"{path}\n")
    missed = [
        f"{name} is {result[name]}, the goal {most:g} at most" for name, most in GOALS.items() if result[name] > most
    ]
    sys.stderr.write("".join(f"{line}\n" for line in missed))
    return 1 if missed else 0


if __name__ == "__main__":
    end("python -m benchmarks.report_speed", main)
