"""Child processes that never outlive the rehearsal, however it ends.

Each process gets its own session, so Ctrl-C in the terminal reaches only the rehearsal, which then ends the processes
in order. A guard, a small process that reads a pipe, keeps a list of them. When the rehearsal ends, even by SIGKILL,
the pipe closes and the guard ends what is left.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from experiment.errors import ExperimentError

_GUARD = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
groups = set()
for line in sys.stdin:
    sign, group = line.split()
    (groups.add if sign == "+" else groups.discard)(int(group))
for sig in (signal.SIGTERM, signal.SIGKILL):
    for group in groups:
        try:
            os.killpg(group, sig)
        except OSError:
            pass
    if groups:
        time.sleep(2)
"""


class ProcessError(ExperimentError):
    """A process that the rehearsal needs could not be started or ended early; the message says which and why."""


class Process:
    """One child process, its name and its output file."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.popen = popen
        self.log = log

    @property
    def pid(self) -> int:
        """The process id, which is its group's too."""
        return self.popen.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.popen.poll() is None

    def tail(self, lines: int = 12) -> str:
        """The last lines that the process printed, for an error message."""
        try:
            text = self.log.read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def check(self) -> None:
        """Raise ProcessError with the process's last output if it has ended."""
        if not self.running:
            raise ProcessError(f"{self.name} ended with status {self.popen.returncode}:\n{self.tail()}")


class Processes:
    """A set of child processes that is ended in reverse order of starting."""

    def __init__(self, log_dir: Path) -> None:
        self._log_dir = log_dir
        self._lock = threading.Lock()
        self._running: list[Process] = []
        self._guard: subprocess.Popen[str] | None = None

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Process:
        """Start `command`; its output goes to `<log_dir>/<name>.log`.

        Raises:
            ProcessError: the program cannot be executed.
        """
        log = self._log_dir / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with self._lock, log.open("ab") as output:
            try:
                popen = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=dict(env) if env is not None else None,
                    cwd=cwd,
                    start_new_session=True,
                )
            except OSError as error:
                raise ProcessError(f"{name} cannot be started: {command[0]}: {error.strerror}") from error
            process = Process(name, popen, log)
            self._running.append(process)
            self._tell_guard("+", popen.pid)
        return process

    def stop(self, process: Process, *, sig: signal.Signals = signal.SIGTERM, wait_s: float = 10.0) -> None:
        """End one process and its group: `sig`, then SIGKILL once `wait_s` has passed."""
        self._signal(process, sig)
        try:
            process.popen.wait(wait_s)
        except subprocess.TimeoutExpired:
            self._signal(process, signal.SIGKILL)
            process.popen.wait()
        self._signal_group(process, signal.SIGKILL)
        with self._lock:
            if process in self._running:
                self._running.remove(process)
                self._tell_guard("-", process.pid)

    def stop_all(self, *, wait_s: float = 5.0) -> None:
        """End every process: SIGTERM to all, last started first, then SIGKILL to those still there after `wait_s`."""
        with self._lock:
            processes = list(reversed(self._running))
        for process in processes:
            self._signal(process, signal.SIGTERM)
        deadline = time.monotonic() + wait_s
        for process in processes:
            self.stop(process, wait_s=max(0.0, deadline - time.monotonic()))
        with self._lock:
            if self._guard is not None and not self._running:
                if self._guard.stdin:
                    self._guard.stdin.close()
                self._guard.wait()
                self._guard = None

    def _tell_guard(self, sign: str, pid: int) -> None:
        if self._guard is None:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _GUARD],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            )
        if self._guard.stdin:
            self._guard.stdin.write(f"{sign} {pid}\n")
            self._guard.stdin.flush()

    @staticmethod
    def _signal(process: Process, sig: signal.Signals) -> None:
        if process.running:
            process.popen.send_signal(sig)

    @staticmethod
    def _signal_group(process: Process, sig: signal.Signals) -> None:
        try:
            os.killpg(process.pid, sig)
        except (ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
            return
