"""The declared functions, hosted on this machine: the listener's port and Lambda's Invoke API."""

import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from contract import runfolder
from experiment.errors import ExperimentError
from experiment.program import ROOT
from rehearsal.declared import DeclaredFunction, DeclaredStack
from rehearsal.function_host import HostConfig
from rehearsal.invocations import FunctionSpec
from rehearsal.names import LocalNames
from rehearsal.ports import free_ports


class FunctionsError(ExperimentError):
    """A declared function does not work here; the message says which and what it answered."""


class LocalFunctions:
    """The process that hosts both functions.

    Args:
        declared: what the program declares.
        environments: the maximum of environments of the function behind the listener.
        folder: where archives are extracted.
        names: local counterparts of declared names; the listener's is added.
    """

    def __init__(self, declared: DeclaredStack, *, environments: int, folder: Path, names: LocalNames) -> None:
        self._declared = declared
        self._environments = environments
        self._folder = folder
        self._names = names
        self._host: subprocess.Popen[str] | None = None
        self._api = ""
        self.url = ""

    def start(self, run_dir: Path, *, cache_port: int) -> None:
        """Extract both archives, host them, try each; their output goes into the run folder.

        `cache_port` is a running node's port; it replaces the declared one.

        Raises:
            FunctionsError: a handler cannot be loaded, or the first invocation fails.
        """
        listener = self._declared.listener
        listener_port, api_port = free_ports(2)
        config = HostConfig(
            functions=[
                self._spec(listener.function, cache_port, self._environments, run_dir / runfolder.FUNCTION),
                self._spec(self._declared.audit, cache_port, 1, self._folder / "audit.jsonl"),
            ],
            listener_port=listener_port,
            listener_function=listener.function.name,
            target_group_arn=listener.target_group_arn,
            api_port=api_port,
        )
        # Not one of Processes: it ends when its standard input closes, and says its one line on standard output.
        self._host = subprocess.Popen(
            [sys.executable, "-m", "rehearsal.function_host"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            start_new_session=True,
        )
        if self._host.stdin is None or self._host.stdout is None:
            raise FunctionsError("the function host has no pipes")
        self._host.stdin.write(json.dumps(asdict(config)) + "\n")
        self._host.stdin.flush()
        status_line = self._host.stdout.readline()
        problem = (
            json.loads(status_line).get("error") if status_line.strip() else "the function host ended without output"
        )
        if problem:
            raise FunctionsError(str(problem))
        self._api = f"http://127.0.0.1:{api_port}"
        self.url = f"http://127.0.0.1:{listener_port}"
        authority = listener.host if listener.port == 80 else f"{listener.host}:{listener.port}"
        self._names.stand_in(authority, f"127.0.0.1:{listener_port}", "the load balancer")
        self._try_both(run_dir)

    def run_starts(self, started_at_unix_s: float) -> None:
        """Tell the host the run's start, which its times count from."""
        self._post("/run", {"started_at_unix_s": started_at_unix_s})

    def limit_was_reached(self) -> bool:
        """Whether an invocation waited because all allowed environments were busy."""
        return bool(self._post("/limit", {})["limit_was_reached"])

    def invoke_audit(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Invoke the audit function through Lambda's Invoke API."""
        return self._post(f"/2015-03-31/functions/{self._declared.audit.name}/invocations", event)

    def stop(self) -> None:
        """End the host and its environments."""
        host, self._host = self._host, None
        if host is None:
            return
        if host.stdin:
            host.stdin.close()
        try:
            host.wait(5)
        except subprocess.TimeoutExpired:
            host.kill()
            host.wait()
        if host.stdout:
            host.stdout.close()

    def _spec(self, function: DeclaredFunction, cache_port: int, limit: int, output: Path) -> FunctionSpec:
        root = self._folder / function.name
        _extract(function, root)
        here = {key: self._names.local(value) for key, value in function.environment.items()}
        if here.get("CACHE_PORT") == str(self._declared.cache.port):
            here["CACHE_PORT"] = str(cache_port)
        return FunctionSpec(
            name=function.name,
            root=str(root),
            handler=function.handler,
            memory_mb=function.memory_mb,
            timeout_s=function.timeout_s,
            environment={
                **here,
                # Those of Lambda's own variables that have a meaning here.
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

    def _try_both(self, run_dir: Path) -> None:
        """Send one request and one audit now, so that a wrong variable does not show only under load."""
        try:
            with urllib.request.urlopen(self.url, timeout=30) as answer:  # noqa: S310 - the listener on loopback
                reply = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise FunctionsError(
                f"the declared function answers {error.code} {error.read().decode(errors='replace')[:300]}; it logged: "
                f"{_last_line(run_dir / runfolder.FUNCTION)}"
            ) from error
        except (OSError, ValueError) as error:
            raise FunctionsError(f"the declared function does not answer at {self.url}: {error}") from error
        audited = self.invoke_audit({"sessions": [reply["session"]]})
        if audited.get("checked") != 1 or audited.get("missing") or audited.get("different"):
            raise FunctionsError(
                f"the declared audit function, asked for the session just written, answers {audited}; it logged: "
                f"{_last_line(self._folder / 'audit.jsonl')}"
            )

    def _post(self, path: str, content: Mapping[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - the host's own address on loopback
            self._api + path, data=json.dumps(content).encode(), headers={"content-type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=self._declared.audit.timeout_s + 10) as answer:  # noqa: S310 - see above
                answered: dict[str, Any] = json.loads(answer.read())
        except (OSError, ValueError) as error:
            raise FunctionsError(f"the function host does not answer POST {path}: {error}") from error
        return answered


def _extract(function: DeclaredFunction, root: Path) -> None:
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
