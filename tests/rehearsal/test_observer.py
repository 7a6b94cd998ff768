"""What the observer samples of the machine."""

import os
import signal
import subprocess
import sys
import time

from rehearsal.observer import OwnCpu

_BURN = """
import sys, time
end = time.process_time() + float(sys.argv[1])
while time.process_time() < end:
    pass
"""
_IN_A_CHILD_OF_ITS_OWN = """
import subprocess, sys
subprocess.run([sys.executable, "-c", sys.argv[1], sys.argv[2]], check=True)
"""
_ORPHAN = """
import subprocess, sys
quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
print(subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[2]], **quiet).pid)
"""


def core_seconds(own: OwnCpu, since_s: float) -> float:
    """CPU seconds since the share was last asked for, at `since_s`."""
    return own.share() * (time.monotonic() - since_s) * (os.cpu_count() or 1)


def test_own_cpu_is_that_of_every_process_below_and_of_those_that_ended() -> None:
    """A child's child that burned 0.4 s of CPU and ended is the rehearsal's own; an idle stretch is nearly nothing."""
    own = OwnCpu()
    own.share()
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", _IN_A_CHILD_OF_ITS_OWN, _BURN, "0.4"], check=True)
    used = core_seconds(own, began)
    assert 0.4 <= used < 0.4 + 0.3  # two interpreters started as well
    began = time.monotonic()
    time.sleep(0.2)
    assert core_seconds(own, began) < 0.1


def test_own_cpu_leaves_other_programs_out() -> None:
    """A process that this one did not start, or that lost its parent, is another program."""
    own = OwnCpu()
    started = subprocess.run([sys.executable, "-c", _ORPHAN, _BURN, "10"], check=True, capture_output=True, text=True)
    try:
        own.share()
        began = time.monotonic()
        time.sleep(0.5)
        assert core_seconds(own, began) < 0.1
    finally:
        os.kill(int(started.stdout), signal.SIGKILL)
