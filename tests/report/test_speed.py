"""The report of the original's whole load: 3,000 s and 927,000 arrivals inside 5 s and 500 MB."""

import os
import sys
from pathlib import Path

from benchmarks.report_speed import add_log_lines, original
from tests.report.synthetic import write


def test_the_whole_load_takes_under_5_s_and_500_mb(tmp_path: Path) -> None:
    """CPU seconds are counted, not the clock's: this machine has other work. The page stays under 6 MB."""
    run = write(tmp_path / "run", original(60))
    add_log_lines(run, 927_000)
    child = os.posix_spawn(sys.executable, [sys.executable, "-m", "report", str(run)], os.environ)
    _, status, usage = os.wait4(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert usage.ru_utime + usage.ru_stime < 5.0
    assert usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) < 500e6
    assert (run / "report.html").stat().st_size < 6_000_000
