"""Processes end with the rehearsal, however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rehearsal.processes import ProcessError, Processes

_PARENT = """
import sys, time
from pathlib import Path
from rehearsal.processes import Processes
process = Processes(Path(sys.argv[1])).start("child", [sys.executable, "-c", "import time; time.sleep(60)"])
print(process.pid, flush=True)
time.sleep(60)
"""


def gone(pid: int, within_s: float) -> bool:
    """Whether a process has ended (or is only waiting to be reaped) within so many seconds."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        status = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
        if status.stdout.strip().startswith("Z"):
            return True
        time.sleep(0.05)
    return False


def test_no_orphan_when_the_rehearsal_is_killed(tmp_path: Path) -> None:
    """SIGKILL leaves no handler time to run: the guard ends what was started."""
    with subprocess.Popen([sys.executable, "-c", _PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    assert gone(child, 10)


def test_a_process_that_ignores_sigterm_is_killed(processes: Processes) -> None:
    """Ending is bounded: SIGKILL follows."""
    stubborn = processes.start(
        "stubborn",
        [
            sys.executable,
            "-c",
            "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)",
        ],
    )
    while "up" not in stubborn.tail():
        time.sleep(0.02)
    processes.stop(stubborn, wait_s=0.2)
    assert stubborn.popen.returncode == -signal.SIGKILL


def test_a_process_that_ended_is_reported_with_its_last_words(processes: Processes) -> None:
    """The message holds the status and what the process said."""
    process = processes.start("short", [sys.executable, "-c", "import sys; sys.exit('no such cluster')"])
    process.popen.wait()
    with pytest.raises(ProcessError, match=r"short ended with status 1:\nno such cluster"):
        process.check()


def test_a_program_that_is_not_there_is_named(processes: Processes) -> None:
    """A missing program gives its name and the reason, no stack trace."""
    with pytest.raises(ProcessError, match="node cannot be started: /no/such/server: No such file"):
        processes.start("node", ["/no/such/server"])
