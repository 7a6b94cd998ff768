"""Memory and time of the report on run folders that were made to harm it, each as bad as 50 MB allow.

    python -m benchmarks.hostile [--only TEXT] [--mb 50]

Makes each folder of tools/hostile.py, reports on it in a process of its own, and prints a table: elapsed and CPU
seconds, peak memory, the page's size, exit code. Exits 1 when a goal is missed: 600 MB, 30 s of CPU (the machine may
have other work), an exit code of the project's other than 70, and no trace.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from contract.exits import GATE_FAILED, INVALID, OK, USAGE, end
from contract.parser import Parser
from tools import hostile

MOST_S, MOST_MB = 30.0, 600.0
_GIVE_UP_S = 300.0
_ADDRESS_SPACE_BYTES = 6 << 30  # beyond it an allocation fails: the machine that measures stays alive
_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class HostileRow:
    """What came of one folder."""

    name: str
    folder_mb: float
    seconds: float
    cpu_s: float
    peak_mb: float
    page_mb: float
    exit_code: int
    said: str

    @property
    def held(self) -> bool:
        """Whether it kept every goal."""
        ended = self.exit_code in (OK, GATE_FAILED, INVALID, USAGE)
        return ended and self.cpu_s <= MOST_S and self.peak_mb <= MOST_MB and "Traceback" not in self.said


def measure(name: str, folder: Path, size: int) -> HostileRow:
    """Spoil the run in `folder` and report on it."""
    hostile.FOLDERS[name](folder, size)
    folder_bytes = sum(path.lstat().st_blocks * 512 for path in folder.iterdir())
    with tempfile.TemporaryFile() as output:
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "report", str(folder)],
            cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE_BYTES, _ADDRESS_SPACE_BYTES)),  # noqa: PLW1509 - no thread is running
        )  # fmt: skip
        usage = None
        while usage is None:
            ended, status, used = os.wait4(process.pid, os.WNOHANG)
            if ended:
                process.returncode, usage = os.waitstatus_to_exitcode(status), used
            elif time.monotonic() - began > _GIVE_UP_S:
                process.kill()
            time.sleep(0.02)
        seconds = time.monotonic() - began
        output.seek(0)
        said = output.read().decode("utf-8", "replace")
    scale = 1024 if sys.platform == "linux" else 1024 * 1024  # macOS gives bytes
    page = folder / "report.html"
    page_mb = page.stat().st_size / 1e6 if page.exists() else 0.0
    cpu_s = usage.ru_utime + usage.ru_stime
    return HostileRow(
        name, folder_bytes / 1e6, seconds, cpu_s, usage.ru_maxrss / scale, page_mb, process.returncode, said
    )


def main() -> int:
    """Make, report, print."""
    parser = Parser(prog="python -m benchmarks.hostile", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", default="", help="folders whose name holds this")
    parser.add_argument("--mb", type=float, default=50.0, help="how large a folder may be (50)")
    options = parser.parse_args()
    rows: list[HostileRow] = []
    sys.stdout.write(
        "| folder | MB | seconds | CPU s | peak MB | page MB | exit |\n|---|---:|---:|---:|---:|---:|---:|\n"
    )
    with tempfile.TemporaryDirectory() as temporary:
        whole = hostile.plain(Path(temporary) / "whole")
        for name in hostile.FOLDERS:
            if options.only in name:
                folder = Path(temporary) / "run"
                shutil.copytree(whole, folder)
                row = measure(name, folder, int(options.mb * 1e6))
                rows.append(row)
                mark = "" if row.held else " **missed**"
                sys.stdout.write(
                    f"| {name} | {row.folder_mb:.1f} | {row.seconds:.1f} | {row.cpu_s:.1f} | {row.peak_mb:.0f} | "
                    f"{row.page_mb:.1f} | {row.exit_code}{mark} |\n"
                )
                sys.stdout.flush()
                if not row.held:
                    sys.stderr.write(row.said[-2000:] + "\n")
                shutil.rmtree(folder)
    return OK if all(row.held for row in rows) else GATE_FAILED


if __name__ == "__main__":
    end("python -m benchmarks.hostile", main)
