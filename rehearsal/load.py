"""The declared task definitions as Locust processes: one master and as many workers as are declared."""

import json
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from contract.master import Master, MasterError
from experiment.errors import ExperimentError
from experiment.program import ROOT, ProgramError
from rehearsal.declared import Container, DeclaredStack
from rehearsal.names import LocalNames
from rehearsal.ports import free_ports
from rehearsal.processes import Process, Processes

_START_LIMIT_S = 60.0
_SILENT_LIMIT_S = 30.0


class LoadError(ExperimentError):
    """The load generator does not work here; the message has its last output."""


def entry_point(dockerfile: Path = ROOT / "locust" / "Dockerfile") -> list[str]:
    """The load image's entry point, from its Dockerfile.

    Raises:
        ProgramError: the Dockerfile has no ENTRYPOINT in the exec form.
    """
    declared = re.findall(r"^ENTRYPOINT\s+(\[.*\])\s*$", dockerfile.read_text(), re.MULTILINE)
    if not declared:
        raise ProgramError(
            f"{dockerfile.name} declares no ENTRYPOINT [...]: the rehearsal starts what the image starts"
        )
    return [str(word) for word in json.loads(declared[-1])]


class LocalLoad:
    """Master and workers. `master` answers once `start` has returned."""

    def __init__(self, declared: DeclaredStack, processes: Processes, names: LocalNames) -> None:
        self._declared = declared
        self._processes = processes
        self._names = names
        self._running: list[Process] = []
        self._answered_s = 0.0
        self.host = ""
        """Where the declared command sends the load, as a local URL."""
        self.master = Master("")

    def start(self, listener_url: str, environment: Mapping[str, str]) -> None:
        """Start the declared tasks; returns when the master has all workers.

        Args:
            listener_url: where the declared listener answers here; the command must send the load there.
            environment: variables that differ from the declared ones here.

        Raises:
            ProgramError: master or workers are wired to something that is not declared.
            LoadError: they did not come up.
        """
        for name in self._declared.names:
            self._names.stand_in(name, "127.0.0.1", "Cloud Map's name of the master")
        for name, value in environment.items():
            self._names.substitutions[name] = f"{value!r}" if name != "LOAD_RUN_DIR" else "the run folder"
        master, worker = self._declared.master, self._declared.worker
        if not any(self._names.local(word) == "127.0.0.1" for word in worker.command):
            raise ProgramError(
                f"the worker's command {' '.join(worker.command)} has no name that Cloud Map resolves to the master; "
                f"declared are {', '.join(sorted(self._declared.names)) or 'no names'}"
            )
        self.host = self._declared_host(listener_url)
        bus_port, web_port = free_ports(2)
        bus = ["--master-bind-host", "127.0.0.1", "--master-bind-port", str(bus_port)]
        web = ["--web-port", str(web_port), "--web-host", "127.0.0.1"]
        self.master = Master(f"http://127.0.0.1:{web_port}")
        self._start("master", master, environment, [*bus, *web])
        for number in range(1, worker.count + 1):
            self._start(f"worker-{number}", worker, environment, ["--master-port", str(bus_port)])
        self._wait_for_workers(worker.count)

    def live(self) -> dict[str, Any] | None:
        """The master's live state; None while it does not answer.

        Raises:
            ProcessError: the master or a worker has ended.
            LoadError: the master has not answered for 30 s.
        """
        self._check()
        try:
            state = self.master.live()
        except MasterError as error:
            if time.monotonic() - self._answered_s > _SILENT_LIMIT_S:
                raise LoadError(f"the Locust master has not answered for {_SILENT_LIMIT_S:.0f} s: {error}") from error
            return None
        self._answered_s = time.monotonic()
        return state

    def stop(self) -> None:
        """End master and workers; the master closes the run folder first."""
        running, self._running = self._running, []
        for process in running:
            self._processes.stop(process, wait_s=20.0)

    def _check(self) -> None:
        for process in self._running:
            process.check()

    def _start(self, name: str, container: Container, environment: Mapping[str, str], extra: Sequence[str]) -> None:
        program, *words = entry_point()
        command = [str(Path(sys.executable).with_name(program)), *words]
        command += [self._names.local(word) for word in container.command]
        declared = {key: self._names.local(value) for key, value in container.environment.items()}
        inherited = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR", "LANG") if key in os.environ}
        env = {**inherited, **declared, **environment}
        self._running.append(self._processes.start(name, [*command, *extra], env=env, cwd=ROOT))

    def _wait_for_workers(self, count: int) -> None:
        self._answered_s = time.monotonic()
        deadline = self._answered_s + _START_LIMIT_S
        workers = 0
        while workers != count:
            if time.monotonic() > deadline:
                raise LoadError(
                    f"{workers} of {count} workers joined within {_START_LIMIT_S:.0f} s:\n"
                    + "\n".join(process.tail(4) for process in self._running)
                )
            time.sleep(0.1)
            workers = int((self.live() or {}).get("workers", 0))

    def _declared_host(self, listener_url: str) -> str:
        words = self._declared.master.command
        host = next((after for word, after in pairwise(words) if word == "--host"), "")
        here = self._names.local(host)
        if here.rstrip("/") != listener_url:
            listener = self._declared.listener
            raise ProgramError(
                f"the master's command sends the load to --host {host or '(none)'}, which is not the declared listener "
                f"http://{listener.host} (port {listener.port})"
            )
        return here
