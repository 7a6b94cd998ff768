"""The declared stack, running on this machine: cluster, function host, Locust master and workers."""

import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

from rehearsal import declared as declared_parts
from rehearsal.cluster import Cluster
from rehearsal.declared import Declared, Function
from rehearsal.function_host import HostConfig
from rehearsal.invocations import FunctionSpec
from rehearsal.load import Master, MasterError, local, start_container
from rehearsal.ports import free_ports
from rehearsal.processes import Process, Processes
from rehearsal.program import ROOT, ProgramError

_START_LIMIT_S = 60.0


class StackError(Exception):
    """The declared stack does not work here; the message says which part and what it answered."""


class Stack:
    """What is declared, started part by part; `stop` ends every process and removes every temporary file."""

    def __init__(self, stack: Declared, *, environments: int, server: Path | None) -> None:
        self.declared = stack
        self.substitutions: dict[str, str] = {}
        self.environments = environments
        self._folder = Path(tempfile.mkdtemp(prefix="rehearsal-"))
        self.processes = Processes(self._folder / "logs")
        self._server = server
        self.cluster = self._cluster("application")
        self.sham: Cluster | None = None
        self._names: dict[str, str] = {}
        self._host: subprocess.Popen[str] | None = None
        self._api = ""
        self.url = ""
        self.host = ""  # where the declared command sends the load
        self.master: Master
        self._locust: list[Process] = []

    def _cluster(self, group: str) -> Cluster:
        cache = self.declared.cache
        return Cluster(self.processes, shards=cache.shards, replicas=cache.replicas, group=group, server=self._server)

    def start_clusters(self, *, sham: bool) -> None:
        """Start the declared cluster and, for a sham, one of the same shape that the application does not know."""
        clusters = [self.cluster]
        if sham:
            self.sham = self._cluster("sham")
            clusters.append(self.sham)
        problems: list[BaseException] = []

        def start(cluster: Cluster) -> None:
            try:
                cluster.start()
            except Exception as error:  # noqa: BLE001 - raised again below, in the caller's thread
                problems.append(error)

        threads = [threading.Thread(target=start, args=(cluster,)) for cluster in clusters]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if problems:
            raise problems[0]
        cache = self.declared.cache
        self._stand_in(cache.host, "127.0.0.1", "the configuration endpoint")
        self.substitutions["TLS, node type, engine version"] = (
            f"{cache.engine} is declared; {' '.join(self.cluster.engine().values())} runs here"
        )

    def start_functions(self, run_dir: Path) -> None:
        """Extract both functions' archives and host them; what they print goes into the run folder.

        Raises:
            StackError: a handler cannot be loaded, or the first invocation fails.
        """
        listener = self.declared.listener
        listener_port, api_port = free_ports(2)
        config = HostConfig(
            functions=[
                self._spec(listener.function, self.environments, run_dir / "function.jsonl"),
                self._spec(self.declared.audit, 1, self._folder / "audit.jsonl"),
            ],
            listener_port=listener_port,
            listener_function=listener.function.name,
            target_group_arn=listener.target_group_arn,
            api_port=api_port,
        )
        # Not one of self.processes: it ends when its standard input closes, and says its one line on standard output.
        self._host = subprocess.Popen(
            [sys.executable, "-m", "rehearsal.function_host"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            start_new_session=True,
        )
        if self._host.stdin is None or self._host.stdout is None:
            raise StackError("the function host has no pipes")
        self._host.stdin.write(json.dumps(asdict(config)) + "\n")
        self._host.stdin.flush()
        said = self._host.stdout.readline()
        problem = json.loads(said).get("error") if said.strip() else "the function host ended without a word"
        if problem:
            raise StackError(str(problem))
        self._api = f"http://127.0.0.1:{api_port}"
        self.url = f"http://127.0.0.1:{listener_port}"
        authority = listener.host if listener.port == 80 else f"{listener.host}:{listener.port}"
        self._stand_in(authority, f"127.0.0.1:{listener_port}", "the load balancer")
        self._check_function(run_dir)

    def start_load(self, run_dir: Path, environment: Mapping[str, str]) -> None:
        """Start the declared master and workers; returns when the master has them all.

        Raises:
            StackError: they did not come up.
        """
        for name in self.declared.names:
            self._stand_in(name, "127.0.0.1", "Cloud Map's name of the master")
        bus_port, web_port = free_ports(2)
        # Two variables name things of AWS that a rehearsal has no counterpart for: it records the same evidence itself.
        changed = {
            "LOAD_RUN_DIR": str(run_dir),
            "LOAD_RESULTS_BUCKET": "",
            "LOAD_CACHE_ID": "",
            "LOAD_AUTOSTART": "false",
            **environment,
        }
        for name, value in changed.items():
            self.substitutions[name] = f"{value!r}" if name != "LOAD_RUN_DIR" else "the run folder"
        master, worker = self.declared.master, self.declared.worker
        if not any(local(word, self._names) == "127.0.0.1" for word in worker.command):
            raise ProgramError(
                f"the worker's command {' '.join(worker.command)} names no master that Cloud Map knows; "
                f"declared are {', '.join(sorted(self.declared.names)) or 'no names'}"
            )
        self.host = self._declared_host()
        self._locust = [
            start_container(
                self.processes, "master", master, local_names=self._names, environment=changed,
                extra=["--master-bind-host", "127.0.0.1", "--master-bind-port", str(bus_port), "--web-port",
                       str(web_port), "--web-host", "127.0.0.1"],
            )
        ]  # fmt: skip
        self.master = Master(web_port)
        for number in range(1, worker.count + 1):
            self._locust.append(
                start_container(
                    self.processes, f"worker-{number}", worker, local_names=self._names, environment=changed,
                    extra=["--master-port", str(bus_port)],
                )
            )  # fmt: skip
        deadline = time.monotonic() + _START_LIMIT_S
        state: dict[str, Any] = {}
        while state.get("workers") != worker.count:
            self.check_load()
            if time.monotonic() > deadline:
                raise StackError(
                    f"{state.get('workers', 0)} of {worker.count} workers joined within {_START_LIMIT_S:.0f} s:\n"
                    + "\n".join(process.tail(4) for process in self._locust)
                )
            try:
                state = self.master.live()
            except MasterError:
                time.sleep(0.2)
                continue
            time.sleep(0.1)

    def check_load(self) -> None:
        """Raise ProcessError with its last words if the master or a worker has ended."""
        for process in self._locust:
            process.check()

    def tell_start(self, started_at_unix_s: float) -> None:
        """Let the function host know the run's start, for the times that it writes."""
        self._post("/run", {"started_at_unix_s": started_at_unix_s})

    def limit_was_reached(self) -> bool:
        """Whether an invocation has had to wait because as many environments as allowed were busy."""
        return bool(self._post("/limit", {})["limit_was_reached"])

    def invoke_audit(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Invoke the audit function through Lambda's Invoke API."""
        return self._post(f"/2015-03-31/functions/{self.declared.audit.name}/invocations", event)

    def clusters(self) -> list[Cluster]:
        """The clusters that are running now."""
        return [each for each in (self.cluster, self.sham) if each is not None]

    def stop_load(self) -> None:
        """End master and workers; the master closes the run folder first."""
        for process in self._locust:
            self.processes.stop(process, wait_s=20.0)
        self._locust = []

    def stop_sham(self) -> None:
        """End the sham's cluster."""
        sham, self.sham = self.sham, None  # first out of sight: the observer must not ask nodes that are ending
        if sham is not None:
            sham.stop()

    def stop(self) -> None:
        """End everything, in the reverse order of starting."""
        self.stop_load()
        if self._host is not None:
            if self._host.stdin:
                self._host.stdin.close()
            try:
                self._host.wait(5)
            except subprocess.TimeoutExpired:
                self._host.kill()
                self._host.wait()
            if self._host.stdout:
                self._host.stdout.close()
            self._host = None
        self.stop_sham()
        self.cluster.stop()
        self.processes.stop_all()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _declared_host(self) -> str:
        words = self.declared.master.command
        host = next((after for word, after in pairwise(words) if word == "--host"), "")
        here = local(host, self._names)
        if here.rstrip("/") != self.url:
            raise ProgramError(
                f"the master's command sends the load to --host {host or '(none)'}, which is not the declared listener "
                f"http://{self.declared.listener.host} (port {self.declared.listener.port})"
            )
        return here

    def _stand_in(self, name: str, here: str, what: str) -> None:
        self._names[name] = here
        self.substitutions[what] = f"{name} -> {here}"

    def _spec(self, function: Function, limit: int, output: Path) -> FunctionSpec:
        root = self._folder / function.name
        _extract(function, root)
        port = self.declared.cache.port
        here = {key: local(value, self._names) for key, value in function.environment.items()}
        if here.get("CACHE_PORT") == str(port):
            here["CACHE_PORT"] = str(self.cluster.primaries[0].port)
        return FunctionSpec(
            name=function.name,
            root=str(root),
            handler=function.handler,
            memory_mb=function.memory_mb,
            timeout_s=function.timeout_s,
            environment={
                **here,
                # Lambda's own variables, as far as they mean something here.
                "AWS_LAMBDA_FUNCTION_NAME": function.name,
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
                "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
                "AWS_REGION": "rehearsal",
                "LAMBDA_TASK_ROOT": str(root),
                "_HANDLER": function.handler,
                "TZ": ":UTC",
                "LANG": "en_US.UTF-8",
            },
            limit=limit,
            output=str(output),
        )

    def _check_function(self, run_dir: Path) -> None:
        """One request through the listener, one call of the audit: a wrong variable shows now, not under load."""
        try:
            with urllib.request.urlopen(self.url, timeout=30) as answer:  # noqa: S310 - the listener on loopback
                reply = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise StackError(
                f"the declared function answers {error.code} {error.read().decode(errors='replace')[:300]}; it logged: "
                f"{_last_line(run_dir / 'function.jsonl')}"
            ) from error
        except (OSError, ValueError) as error:
            raise StackError(f"the declared function does not answer at {self.url}: {error}") from error
        found = self.invoke_audit({"sessions": [reply["session"]]})
        if found.get("checked") != 1 or found.get("missing") or found.get("different"):
            raise StackError(
                f"the declared audit function, asked for the session just written, answers {found}; it logged: "
                f"{_last_line(self._folder / 'audit.jsonl')}"
            )

    def _post(self, path: str, content: Mapping[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - the host's own address on loopback
            self._api + path, data=json.dumps(content).encode(), headers={"content-type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=self.declared.audit.timeout_s + 10) as answer:  # noqa: S310 - see above
                answered: dict[str, Any] = json.loads(answer.read())
        except (OSError, ValueError) as error:
            raise StackError(f"the function host does not answer POST {path}: {error}") from error
        return answered


def read(resources: list[Any]) -> Declared:
    """The parts of a declaration; refuses what cannot be rehearsed.

    Raises:
        ProgramError: TLS is declared, which the bundled server does not have, or the wiring is incomplete.
    """
    found = declared_parts.read(resources)
    if found.cache.tls:
        raise ProgramError(
            "transitEncryption: true cannot be rehearsed, for the bundled Valkey has no TLS; rehearse with "
            "--set transitEncryption=false"
        )
    return found


def _extract(function: Function, root: Path) -> None:
    for name, asset in function.archive.items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if "file" in asset:
            shutil.copyfile(asset["file"], target)
        else:
            target.write_text(asset["text"])


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    return lines[-1][:500] if lines else "nothing"
